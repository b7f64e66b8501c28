"""Each law is broken by an algorithm that deserves it, and kept by one that is sound."""

from __future__ import annotations

import functools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from covey.core.algorithm import Algorithm, Plan
from covey.core.types import Spec, action_size
from covey.environments import toy
from covey.nn.joint import observations
from covey.testing import check_algorithm, laws
from covey.testing.garble import Flags, GarbledWorld
from law_counts import LawCounts


class Sound(Algorithm):
    """Linear preferences over discrete actions, nudged by what was seen and earned. Breaks no law."""

    spec: Spec = eqx.field(static=True)
    groups: tuple[str, ...] = eqx.field(static=True)

    @property
    def plan(self):
        return Plan(horizon=2)

    def init(self, key, lanes):
        keys = dict(zip(self.groups, jax.random.split(key, len(self.groups)), strict=True))
        shape = {name: (g.size, g.obs_size, action_size(g.action)) for name, g in self.spec.groups.items()}
        return {name: jax.random.normal(keys[name], shape[name]) for name in self.groups}

    def seen(self, now):
        return observations(self.spec, now)

    def act(self, state, memory, now, key, step, *, explore):
        seen, action = self.seen(now), {}
        for name, k in zip(self.groups, jax.random.split(key, len(self.groups)), strict=True):
            scores = jnp.einsum("nd,nda->na", seen[name], state[name])
            noisy = scores + jax.random.gumbel(k, scores.shape) * explore
            action[name] = jnp.argmax(jnp.where(self.mask(now, name), noisy, -jnp.inf), -1).astype(jnp.int32)
        return action, memory, ()

    def mask(self, now, name):
        return now.legal.get(name, True)

    def weight(self, now):
        return now.alive

    def learn(self, state, rollout, key, step):
        seen = jax.vmap(jax.vmap(self.seen))(rollout.now)
        alive, moved = self.weight(rollout.now), {}
        for name, weights in state.items():
            earned = jnp.where(alive[name], rollout.then.reward[name], 0.0)
            done = jax.nn.one_hot(rollout.action[name], weights.shape[-1])
            moved[name] = weights + 0.1 * jnp.einsum("ten,tend,tena->nda", earned, seen[name], done)
        return moved, {"size": sum(jnp.abs(w).mean() for w in moved.values())}


class SeesPadding(Sound):
    def seen(self, now):
        return {name: jnp.where(now.alive[name][:, None], obs, 0.0) for name, obs in now.obs.items()}


class LearnsFromTheDead(Sound):
    def seen(self, now):
        everyone = now._replace(alive=self.weight(now))
        return observations(self.spec, everyone)

    def weight(self, now):
        return jax.tree.map(jnp.ones_like, now.alive)


class ListensToTheDead(Sound):
    """Everybody in `a` is moved by what the other one sees, dead or not; learns nothing."""

    def act(self, state, memory, now, key, step, *, explore):
        total = sum(obs[:, :2].sum() for obs in now.obs.values())
        chosen = {name: jnp.full(now.alive[name].shape, total > 10.0).astype(jnp.int32) for name in self.groups}
        return chosen, memory, ()

    def learn(self, state, rollout, key, step):
        return state, {}


class CountsTheDead(Sound):
    """Learns how many neighbors are listed, dead or not."""

    def learn(self, state, rollout, key, step):
        listed = sum(mask.sum() for _, mask in rollout.now.neighbors.values())
        return jax.tree.map(lambda w: w + 0.1 * listed, state), {}


class NeedsItsMask(Sound):
    def learn(self, state, rollout, key, step):
        return (state if rollout.now.legal else jax.tree.map(jnp.zeros_like, state)), {}


class DrawsOutside(Sound):
    """Adds a number from NumPy, which no key decides."""

    def learn(self, state, rollout, key, step):
        noise = jax.pure_callback(
            lambda x: np.random.default_rng().random(x.shape, np.float32),
            jax.ShapeDtypeStruct((), jnp.float32),
            rollout.then.last.sum().astype(jnp.float32),
            vmap_method="broadcast_all",
        )
        return jax.tree.map(lambda w: w + noise, state), {}


class AveragesOverSeeds(Sound):
    """Looks at the whole batch of seeds, which a vmap should hide."""

    def learn(self, state, rollout, key, step):
        mean = jax.pure_callback(
            lambda x: np.full(x.shape, x.mean(), np.float32),
            jax.ShapeDtypeStruct((), jnp.float32),
            sum(w.mean() for w in state.values()),
            vmap_method="broadcast_all",
        )
        return jax.tree.map(lambda w: w + mean, state), {}


class Diverges(Sound):
    def learn(self, state, rollout, key, step):
        return jax.tree.map(lambda w: w / 0.0, state), {}


class ReportsInfinity(Sound):
    def learn(self, state, rollout, key, step):
        return state, {"loss": jnp.inf * (1 + step)}


class ForgetsInActing(Sound):
    def acting(self, state):
        return jax.tree.map(lambda w: -w, state)


class HidesItsParameters(Sound):
    def parameters(self, state):
        return jax.tree.map(lambda w: w.astype(jnp.int32), state)


class TurnsHalf(Algorithm):
    """A continuous algorithm whose `rotate` forgets one of its two tables, if told to."""

    spec: Spec = eqx.field(static=True)
    groups: tuple[str, ...] = eqx.field(static=True)
    forgets: bool = eqx.field(static=True)

    def init(self, key, lanes):
        return {"own": jnp.zeros((3, 2)), "other": jax.random.normal(key, (3, 2))}

    def act(self, state, memory, now, key, step, *, explore):
        return {"mover": jnp.tanh(state["own"] + jax.random.normal(key, (3, 2)))}, memory, ()

    def learn(self, state, rollout, key, step):
        earned = (rollout.then.reward["mover"][..., None] * rollout.action["mover"]).mean((0, 1))
        return state | {"own": state["own"] + earned * state["other"]}, {}

    def rotate(self, state, shift):
        turned = jax.tree.map(lambda x: jnp.roll(x, shift, axis=0), state)
        return turned | {"other": state["other"]} if self.forgets else turned


class Follows(Algorithm):
    """Learns what its neighbors earn; `own` numbers are those of agents, `rotate` moves them."""

    spec: Spec = eqx.field(static=True)
    groups: tuple[str, ...] = eqx.field(static=True)
    by_number: bool = eqx.field(static=True)

    def init(self, key, lanes):
        return jax.random.normal(key, (3, 2))

    def act(self, state, memory, now, key, step, *, explore):
        return {"mover": jnp.tanh(state + jax.random.normal(key, (3, 2)))}, memory, ()

    def learn(self, state, rollout, key, step):
        index, there = rollout.now.neighbors["mover"]
        if self.by_number:  # what a neighbor's number has to say is nothing
            return state + index.mean((0, 1)), {}
        earned = jax.vmap(jax.vmap(lambda x, i: x[i]))(rollout.action["mover"], index)
        return state + jnp.where(there[..., None], earned, 0.0).sum(-2).mean((0, 1)), {}

    def rotate(self, state, shift):
        return jnp.roll(state, shift, axis=0)


def pair(kind, world=toy.discrete):
    environment = world()
    return laws.Pair(kind(environment.spec, tuple(environment.spec.groups)), environment)


BROKEN = [
    (SeesPadding, laws.law_padding, "padding"),
    (LearnsFromTheDead, laws.law_dead, "the data of dead agents change what is learned"),
    (ListensToTheDead, laws.law_dead, "changes what the living do"),
    (NeedsItsMask, laws.law_absent_mask, "no mask differ in learning"),
    (DrawsOutside, laws.law_same_twice, "played twice"),
    (DrawsOutside, laws.law_split_chunks, "two chunks of 4 iterations and one of 8"),
    (AveragesOverSeeds, laws.law_alone, "a seed alone"),
    (Diverges, laws.law_finite, "are not finite"),
    (ListensToTheDead, laws.law_learns, "nothing is learned in 8 iterations"),
    (ForgetsInActing, laws.law_acting, "acts otherwise"),
    (ReportsInfinity, laws.law_finite, "['loss'] are infinite"),
]


@pytest.mark.parametrize(("kind", "law", "says"), BROKEN, ids=[f"{k.__name__}-{l.__name__}" for k, l, _ in BROKEN])
def test_a_law_finds_who_breaks_it(kind, law, says):
    with pytest.raises(AssertionError) as broken:
        law(pair(kind))
    assert says in str(broken.value)


SILENT = [
    (Sound, toy.continuous, laws.law_padding, "padded"),
    (Sound, toy.discrete, laws.law_ledger, "no ledger"),
    (Sound, toy.discrete, laws.law_rotation, "number means something"),
    (functools.partial(TurnsHalf, forgets=False), toy.continuous, laws.law_dead, "nobody dies"),
    (functools.partial(TurnsHalf, forgets=False), toy.continuous, laws.law_absent_mask, "restricts no action"),
]


@pytest.mark.parametrize(("kind", "world", "law", "says"), SILENT, ids=[law.__name__ for *_, law, _ in SILENT])
def test_a_law_that_is_about_something_else_says_so(kind, world, law, says):
    with pytest.raises(laws.Silent, match=says):
        law(pair(kind, world))


def test_a_law_that_never_speaks_fails_the_test_run():
    counts = LawCounts()
    for algorithm, outcome in [("random", "skipped"), ("mappo", "passed"), ("ippo", "failed")]:
        counts.add(f"tests/test_laws.py::Test_{algorithm}_discrete::test_law[dead]", "setup", "passed")
        counts.add(f"tests/test_laws.py::Test_{algorithm}_discrete::test_law[dead]", "call", outcome)
    counts.add("tests/test_laws.py::Test_random_discrete::test_law[padding]", "call", "skipped")
    counts.add("tests/test_laws.py::test_the_rows_are_sound", "call", "passed")
    assert counts.never_spoke() == ["padding"]
    assert [line.split() for line in counts.lines()] == [["dead", "2", "of", "3"], ["padding", "0", "of", "1"]]


def test_hidden_parameters_are_found(tmp_path):
    with pytest.raises(AssertionError, match="leaves out"):
        laws.law_non_finite(pair(HidesItsParameters), tmp_path)


@pytest.mark.parametrize("forgets", [False, True])
def test_a_rotation_that_forgets_something_is_found(forgets):
    def kind(spec, groups):
        return TurnsHalf(spec, groups, forgets)

    check = functools.partial(laws.law_rotation, pair(kind, toy.continuous))
    if forgets:
        with pytest.raises(AssertionError, match="renumbering"):
            check()
    else:
        check()


@pytest.mark.parametrize("by_number", [False, True])
def test_neighbors_are_renumbered_with_their_group(by_number):
    def kind(spec, groups):
        return Follows(spec, groups, by_number)

    check = functools.partial(laws.law_rotation, pair(kind, functools.partial(toy.continuous, nearest=2)))
    if by_number:
        with pytest.raises(AssertionError, match="renumbering"):
            check()
    else:
        check()


@pytest.mark.slow
def test_a_dead_neighbor_that_counts_is_found():
    with pytest.raises(AssertionError, match="the data of dead agents change what is learned"):
        laws.law_dead(pair(CountsTheDead, toy.duel))
    laws.law_dead(pair(Sound, toy.duel))


def test_a_checkpoint_that_is_not_whole_is_found(tmp_path, monkeypatch):
    save = laws.checkpoint.save

    def forgetful(folder, run, *rest):
        return save(folder, run._replace(step=run.step * 0), *rest)

    monkeypatch.setattr(laws.checkpoint, "save", forgetful)
    with pytest.raises(AssertionError, match="saved and loaded"):
        laws.law_save_and_load(pair(Sound), tmp_path)


def test_another_world_behind_the_host_is_found(monkeypatch):
    sound = pair(Sound)
    other = toy.discrete(bonus=0.25)
    monkeypatch.setattr(laws, "AsHost", lambda world, lanes, draws: AS_HOST(other, lanes, draws))
    with pytest.raises(AssertionError, match="inside and outside"):
        laws.law_hosted_exactly(sound)


AS_HOST = laws.AsHost


# ---------------------------------------------------------------------------------------------------------------------
# check_algorithm


def make(kind, **options):
    return lambda spec: kind(spec, tuple(spec.groups), **options)


class WrongActions(Sound):
    def act(self, state, memory, now, key, step, *, explore):
        action, memory, extra = Sound.act(self, state, memory, now, key, step, explore=explore)
        return action | {"a": action["a"].astype(jnp.float32)}, memory, extra


class Grows(Sound):
    def learn(self, state, rollout, key, step):
        return state | {"more": jnp.zeros(3)}, {}


class KeepsNumbers(Sound):
    def init(self, key, lanes):
        return Sound.init(self, key, lanes) | {"rate": 0.1}


class Trips(Sound):
    def act(self, state, memory, now, key, step, *, explore):
        raise KeyError("nothing there")


@pytest.mark.learn  # the algorithm of the tutorial is held to the same by `make test`
def test_a_sound_algorithm_has_no_problems():
    assert check_algorithm(make(Sound), toy.discrete()) == []


@pytest.mark.parametrize(
    ("factory", "says"),
    [
        (lambda spec: "an algorithm", "not a covey.core.algorithm.Algorithm"),
        (lambda spec: Sound(spec, ("a",)), "control all of them"),
        (make(WrongActions), "the action of group 'a' is float32[2]"),
        (make(Grows), "`learn` returned another kind of state"),
        (make(KeepsNumbers), "every leaf has to be an array"),
        (make(Trips), "`act` raised KeyError"),
    ],
)
def test_what_keeps_an_algorithm_from_running(factory, says):
    (problem,) = check_algorithm(factory, toy.discrete())
    assert says in problem


@pytest.mark.slow
def test_broken_laws_are_sentences():
    problems = check_algorithm(make(SeesPadding), toy.discrete())
    assert problems
    assert all("padding" in problem for problem in problems)


def test_a_garbled_world_differs_only_where_it_should():
    world = toy.discrete()
    key = jax.random.key(3)
    padding = ~np.asarray(world.spec.groups["a"].obs_valid())
    assert padding.any()

    def played(flags, steps=6):
        seen = GarbledWorld(world, flags)
        state, now = seen.reset(key)
        for t in range(steps):
            action = {name: jnp.zeros(x.shape, jnp.int32) for name, x in now.alive.items()}
            acted = now.alive
            state, now = seen.step(jax.random.fold_in(key, t), state, action)
        return acted, now

    acted, true = played(Flags())
    assert not all(bool(alive.all()) for alive in acted.values())
    _, padded = played(Flags(padding=True))
    np.testing.assert_array_equal(padded.obs["a"] != true.obs["a"], padding)
    _, dead = played(Flags(dead=True))
    for name, alive in true.alive.items():
        np.testing.assert_array_equal((dead.obs[name] != true.obs[name]).any(-1), ~alive)
        np.testing.assert_array_equal(dead.reward[name] != true.reward[name], ~acted[name])
