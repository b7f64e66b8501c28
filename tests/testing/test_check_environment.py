"""`check_environment` finds what it promises to find: a sound world, broken in one place at a time."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.core import Tracer

from covey.core.algorithm import Scripted
from covey.core.environment import Reference
from covey.core.types import Box, Discrete, Field, Group, MultiDiscrete, Spec, Table, TimeStep
from covey.environments import toy
from covey.testing import AsHost, check_environment

LIMIT = 4
PAIR = Group(("p0", "p1"), (Field("place", (3,), valid=(3, 2)),), Discrete(3))
ONE = Group(("q0",), (Field("height", (1,)),), Box((-1.0,), (1.0,)))
SPEC = Spec("sound", Table({"p": PAIR, "q": ONE}), time_limit=LIMIT, state=(Field("clock", (2,)),), neighborhood=1)


class Sound:
    """Agent p0 dies in the second step, the world ends after four; chance comes from the key."""

    spec: Any = SPEC

    def reset(self, key):
        return self.clock(0), self.show(self.clock(0), key)

    def step(self, key, state, action):
        state = {"clock": state["clock"] + 1}
        return state, self.show(state, key, reward=1.0)

    def clock(self, value):
        return {"clock": jnp.int32(value)}

    def show(self, state, key, reward=0.0):
        clock = state["clock"]
        living = jnp.stack([clock < 2, jnp.bool_(True)])
        earns = jnp.stack([clock <= 2, jnp.bool_(True)])
        return TimeStep(
            obs={
                "p": jax.random.normal(key, (2, 3)) * jnp.array([[1, 1, 1], [1, 1, 0]]),
                "q": jnp.ones((1, 1)) * clock,
            },
            reward={"p": reward * earns, "q": reward * jnp.ones(1)},
            discount={"p": living.astype(jnp.float32), "q": jnp.ones(1)},
            alive={"p": living, "q": jnp.ones(1, bool)},
            last=clock >= LIMIT,
            legal={"p": jnp.array([[True, False, True], [True, True, True]])},
            state=jnp.stack([clock, clock]).astype(jnp.float32),
            neighbors={
                name: (jnp.zeros((size, 1), jnp.int32), jnp.ones((size, 1), bool))
                for name, size in (("p", 2), ("q", 1))
            },
        )


def shows(change):
    """A world whose time steps are changed: `change(now, clock)`."""

    class Changed(Sound):
        def show(self, state, key, reward=0.0):
            return change(Sound.show(self, state, key, reward), state["clock"])

    return Changed()


def with_spec(**changes):
    world = Sound()
    world.spec = SPEC._replace(**changes)
    return world


def with_group(**changes):
    return with_spec(groups=Table({"p": PAIR._replace(**changes), "q": ONE}))


def without(method):
    methods = {"spec": SPEC, "reset": Sound().reset, "step": Sound().step}
    del methods[method]
    return SimpleNamespace(**methods)


def put(part, name, value):
    """A change of one group in one part of every time step."""
    return lambda now, clock: now._replace(
        **{part: getattr(now, part) | {name: value(getattr(now, part)[name], clock)}}
    )


def at(value):
    """A change of the whole of one field."""
    ((part, new),) = value.items()
    return lambda now, clock: now._replace(**{part: new(now, clock)})


def test_a_sound_world_has_no_problems():
    assert check_environment(Sound()) == []


@pytest.mark.parametrize("make", [toy.discrete, toy.continuous, toy.graph])
def test_the_toy_worlds_have_no_problems(make):
    assert check_environment(make()) == []


# ---------------------------------------------------------------------------------------------------------------------
# The interface and the spec


@pytest.mark.parametrize("missing", ["spec", "reset", "step"])
def test_what_is_missing_is_named(missing):
    (problem,) = check_environment(without(missing))
    assert f"`{missing}`" in problem


@pytest.mark.parametrize(
    ("world", "says"),
    [
        (with_spec(groups={"p": PAIR}), "not hashable"),
        (with_spec(groups=Table({})), "no groups"),
        (with_spec(time_limit=0), "time limit is 0"),
        (with_group(names=("p0", "q0")), "named twice"),
        (with_group(obs=()), "observes nothing"),
        (with_group(obs=(Field("place", (3,), valid=(3,)),)), "`valid`"),
        (with_group(obs=(Field("place", (3,), valid=(3, 4)),)), "outside 0 to 3"),
        (with_group(obs=(Field("place", (3,), dtype="floaty"),)), "does not know"),
        (with_group(obs=(Field("a"), Field("a", dtype="uint8"))), "cannot be told apart"),
        (with_spec(state=(Field("a"), Field("b", dtype="uint8"))), "one dtype"),
        (with_group(action=Box((-np.inf,), (1.0,))), "infinite bounds"),
        (with_group(action=Box((1.0,), (1.0,))), "not below its high"),
        (with_group(action=Box((0.0,), (1.0, 1.0))), "do not match"),
        (with_group(action=Discrete(0)), "nothing to choose"),
        (with_group(action=MultiDiscrete((2, 0))), "nothing to choose"),
        (with_group(action="left or right"), "use Discrete"),
        (SimpleNamespace(spec="three agents", reset=print, step=print), "not a covey.core.types.Spec"),
    ],
)
def test_a_spec_that_is_not_sound(world, says):
    problems = check_environment(world)
    assert any(says in problem for problem in problems), problems


# ---------------------------------------------------------------------------------------------------------------------
# Shapes


def absent(part):
    return lambda now, clock: now._replace(**{part: {"p": getattr(now, part)["p"]}})


@pytest.mark.parametrize(
    ("change", "says"),
    [
        *[(absent(part), f"`{part}`") for part in ("obs", "reward", "discount", "alive")],
        (put("obs", "q", lambda x, clock: x[0]), "the shape (1,), and the spec says (1, 1)"),
        (put("obs", "p", lambda x, clock: x.astype(jnp.float16)), "the dtype float16, and it should be float32"),
        (put("reward", "p", lambda x, clock: x.sum()), "`reward` of group 'p'"),
        (put("discount", "p", lambda x, clock: x > 0), "the dtype bool, and it should be float32"),
        (put("alive", "p", lambda x, clock: x.astype(jnp.float32)), "`alive` of group 'p'"),
        (put("legal", "p", lambda x, clock: x.astype(jnp.int32)), "`legal` of group 'p'"),
        (put("legal", "p", lambda x, clock: x[:, :2]), "the shape (2, 2), and the spec says (2, 3)"),
        (lambda now, clock: now._replace(legal=now.legal | {"q": jnp.ones((1, 1), bool)}), "nothing to mask"),
        (at({"last": lambda now, clock: jnp.zeros(2, bool)}), "`last`"),
        (at({"last": lambda now, clock: False}), "Python bool"),
        (at({"state": lambda now, clock: None}), "no global `state`"),
        (at({"state": lambda now, clock: jnp.ones(3)}), "`state`"),
        (at({"neighbors": lambda now, clock: {}}), "`neighbors`"),
        (put("neighbors", "q", lambda pair, clock: (pair[0][0], pair[1])), "the index in `neighbors`"),
        (lambda now, clock: now._asdict(), "not a covey.core.types.TimeStep"),
    ],
)
def test_arrays_that_are_not_what_the_spec_says(change, says):
    problems = check_environment(shows(change))
    assert any(says in problem for problem in problems), problems


def test_what_the_spec_does_not_announce():
    problems = check_environment(with_spec(state=(), neighborhood=0))
    assert any("`Spec.state`" in problem for problem in problems)
    assert any("neighborhood is 0" in problem for problem in problems)


class ForgetsThePair(Sound):
    def reset(self, key):
        return Sound.reset(self, key)[1]


class CountsInFloats(Sound):
    def step(self, key, state, action):
        state, then = Sound.step(self, key, state, action)
        return {"clock": state["clock"].astype(jnp.float32)}, then


class KeepsPythonNumbers(Sound):
    def clock(self, value):
        return {"clock": jnp.int32(value), "level": 3}


class MasksLater(Sound):
    def reset(self, key):
        state, now = Sound.reset(self, key)
        return state, now._replace(legal={})


class Stumbles(Sound):
    def step(self, key, state, action):
        return state["hidden"], None


@pytest.mark.parametrize(
    ("world", "says"),
    [
        (ForgetsThePair(), "not a pair"),
        (CountsInFloats(), "the state of `reset` and that of `step` are of different kinds"),
        (MasksLater(), "the time step of `reset` and that of `step` are of different kinds"),
        (KeepsPythonNumbers(), "holds a int"),
        (Stumbles(), "raised KeyError"),
    ],
)
def test_a_loop_could_not_carry_it(world, says):
    problems = check_environment(world)
    assert any(says in problem for problem in problems), problems


# ---------------------------------------------------------------------------------------------------------------------
# Purity and programs


class DrawsFromNumPy(Sound):
    def step(self, key, state, action):
        state, then = Sound.step(self, key, state, action)
        return state, then._replace(state=then.state + np.random.default_rng().random())


class ChangesItsState(Sound):
    def step(self, key, state, action):
        state["clock"] = state["clock"] + 1
        return dict(state), self.show(state, key, reward=1.0)


class CountsOnItself(Sound):
    steps = 0

    def __init__(self):
        self.steps = 0

    def step(self, key, state, action):
        self.steps += 1
        return Sound.step(self, key, state, action)


class Branches(Sound):
    def step(self, key, state, action):
        if action["p"].sum() > 2:
            state = {"clock": state["clock"] + 0}
        return Sound.step(self, key, state, action)


class KnowsWhenItIsTraced(Sound):
    def step(self, key, state, action):
        state, then = Sound.step(self, key, state, action)
        return state, then._replace(state=then.state + isinstance(state["clock"], Tracer))


class CountsItsLanes(Sound):
    def step(self, key, state, action):
        lanes = jax.pure_callback(
            lambda x: np.full(x.shape, x.size, np.float32),
            jax.ShapeDtypeStruct((), jnp.float32),
            state["clock"],
            vmap_method="broadcast_all",
        )
        state, then = Sound.step(self, key, state, action)
        return state, then._replace(state=then.state + lanes)


@pytest.mark.parametrize(
    ("world", "says"),
    [
        (DrawsFromNumPy(), "is not pure"),
        (ChangesItsState(), "changed the state"),
        (CountsOnItself(), "the attributes ['steps']"),
        (Branches(), "under jax.jit"),
        (KnowsWhenItIsTraced(), "compiled and as it is"),
        (CountsItsLanes(), "alone and in a vmap"),
    ],
)
def test_a_world_that_is_not_a_pure_function(world, says):
    problems = check_environment(world)
    assert any(says in problem for problem in problems), problems


# ---------------------------------------------------------------------------------------------------------------------
# Episodes


def late(value):
    """A change from the third step on."""
    return lambda x, clock: jnp.where(clock >= 3, value, x)


@pytest.mark.parametrize(
    ("change", "says", "when"),
    [
        (put("discount", "p", lambda x, clock: x * 0.5), "neither 0 nor 1", "step 1"),
        (
            put("discount", "p", lambda x, clock: jnp.maximum(x, 0.0) * jnp.where(clock == 0, 0.9, 1)),
            "is not 1",
            "a reset",
        ),
        (put("reward", "q", lambda x, clock: x + 1), "is not 0 after a reset", "a reset"),
        (put("reward", "p", lambda x, clock: jnp.where(clock > 0, 1.0, x)), "was dead earned a reward", "step 3"),
        (put("alive", "p", late(True)), "whose discount had been 0 is alive", "step 3"),
        (put("discount", "p", late(1.0)), "went from 0 back to 1", "step 3"),
        (put("discount", "p", lambda x, clock: jnp.ones(2)), "died with a discount of 1", "step 2"),
        (put("obs", "q", late(jnp.nan)), "observation of group 'q' is not finite", "step 3"),
        (put("reward", "q", late(jnp.inf)), "reward of group 'q' is not finite", "step 3"),
        (put("obs", "p", lambda x, clock: x.at[1, 2].set(5.0)), "padding", "a reset"),
        (put("legal", "p", lambda x, clock: x.at[1].set(clock < 3)), "no legal action", "step 3"),
        (put("neighbors", "q", lambda pair, clock: (pair[0] + 3, pair[1])), "from 0 to 2", "a reset"),
        (at({"state": lambda now, clock: now.state / (clock < 3)}), "state is not finite", "step 3"),
        (at({"last": lambda now, clock: clock >= 0}), "cannot end before it begins", "a reset"),
        (at({"last": lambda now, clock: clock >= LIMIT + 1}), "past the spec's time limit of 4", "step 4"),
        (at({"last": lambda now, clock: clock < 0}), "past the spec's time limit of 4", "step 4"),
        (
            lambda now, clock: now._replace(
                discount={name: jnp.where(clock >= 3, 0.0, x) for name, x in now.discount.items()}
            ),
            "`last` is False",
            "step 3",
        ),
    ],
)
def test_an_episode_that_breaks_a_rule(change, says, when):
    problems = check_environment(shows(change))
    assert any(says in problem and when in problem for problem in problems), problems


def test_rewards_that_are_not_shared():
    world = shows(put("reward", "q", lambda x, clock: x * 2))
    world.spec = SPEC._replace(shared_reward=True)
    problems = check_environment(world)
    assert any("reward is shared" in problem for problem in problems), problems
    shared = Sound()
    shared.spec = SPEC._replace(shared_reward=True)
    assert check_environment(shared) == [], "a dead agent may get 0 where the living share"


def test_an_agent_that_comes_back_may_keep_its_discount():
    def returns(now, clock):
        away = jnp.stack([clock % 2 == 1, jnp.bool_(False)])
        return now._replace(
            alive=now.alive | {"p": ~away},
            discount=now.discount | {"p": jnp.ones(2)},
            reward=now.reward | {"p": jnp.zeros(2)},
        )

    assert check_environment(shows(returns)) == []


def test_a_problem_beyond_the_steps_is_not_seen():
    world = shows(put("obs", "q", late(jnp.nan)))
    assert check_environment(world, steps=2) == []


def test_problems_that_only_one_key_meets_depend_on_the_key():
    assert check_environment(Sound(), key=jax.random.key(5)) == []


# ---------------------------------------------------------------------------------------------------------------------
# What a world may offer besides


def test_measures_have_to_be_scalars():
    world: Any = Sound()
    world.measure = lambda state: {"clocks": jnp.ones(2)}
    assert any("'clocks'" in problem for problem in check_environment(world))


def test_a_reference_has_one_of_three_kinds():
    world: Any = Sound()
    world.reference = lambda: Reference("guess", "random", "")
    assert any("`reference`" in problem for problem in check_environment(world))


# ---------------------------------------------------------------------------------------------------------------------
# Worlds outside JAX


class Host(AsHost):
    """`Sound` as a host world, with a fault."""

    def __init__(self, world: Any = None, fault=None):
        sound: Any = Sound()
        super().__init__(world or sound, 3)
        self.fault = fault

    def step(self, action):
        then, now = super().step(action)
        return self.fault(then, now) if self.fault else (then, now)


def test_a_sound_host_world_has_no_problems():
    assert check_environment(Host()) == []


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        (lambda then, now: then, "not a pair (then, now)"),
        (lambda then, now: (then, then), "cannot end before it begins"),
        (lambda then, now: (then, now._replace(state=now.state + 1)), "the two time steps of `step` differ"),
        (lambda then, now: (jax.tree.map(jnp.asarray, then), now), "not NumPy's"),
        (lambda then, now: (jax.tree.map(lambda x: x[0], then), now), "`then` of `step`"),
    ],
)
def test_a_host_world_with_a_fault(fault, says):
    problems = check_environment(Host(fault=fault))
    assert any(says in problem for problem in problems), problems


def test_a_host_world_that_breaks_a_rule_of_episodes():
    endless = shows(at({"last": lambda now, clock: clock < 0}))
    assert any("time limit of 4" in problem for problem in check_environment(Host(endless)))


class ReusesItsArrays(Host):
    def reset(self):
        self.given = jax.tree.map(np.array, super().reset())
        return self.given

    def step(self, action):
        then, now = super().step(action)
        jax.tree.map(lambda mine, new: np.copyto(mine, new), self.given, now)
        return then, self.given


class ForgetsWhatItSaved(Host):
    def save(self):
        return b"nothing"

    def restore(self, saved):
        pass


def test_arrays_that_are_overwritten():
    assert any("overwrote" in problem for problem in check_environment(ReusesItsArrays()))


def test_a_save_that_does_not_bring_the_world_back():
    assert any("after `restore`" in problem for problem in check_environment(ForgetsWhatItSaved()))


# ---------------------------------------------------------------------------------------------------------------------
# Rules and pictures


def ruled(rules):
    """A sound world with these rules."""
    world: Any = Sound()
    world.rules = lambda: rules
    return world


def rule(action):
    return lambda: Scripted(SPEC, ("p", "q"), lambda now, key: action)


STILL = {"p": jnp.zeros(2, jnp.int32), "q": jnp.zeros((1, 1))}


def test_sound_rules_have_no_problems():
    assert check_environment(ruled({"still": rule(STILL)})) == []


@pytest.mark.parametrize(
    ("rules", "says"),
    [
        ([rule(STILL)], "`rules` returned a list, not a dict of functions by name"),
        ({"still": rule(STILL)()}, "the rule 'still' is a Scripted, not a function without arguments that makes one"),
        ({"still": Scripted}, "making the rule 'still' raised TypeError"),
        ({"still": lambda: STILL}, "the function of the rule 'still' made a dict, not an algorithm"),
        ({"still": rule({"p": STILL["p"]})}, "the rule 'still' acts for ['p'], and has to for the groups ['p', 'q']"),
        (
            {"still": rule(STILL | {"p": jnp.zeros(2)})},
            "the rule 'still' gives float32[2] for the group 'p', and has to give int32[2]",
        ),
    ],
)
def test_rules_that_cannot_be_played(rules, says):
    (problem,) = check_environment(ruled(rules))
    assert says in problem


def test_a_picture_that_cannot_be_drawn():
    world: Any = Sound()
    world.draw = lambda axes, state, now, action=None, history=None: axes.scater([0], [0])
    (problem,) = check_environment(world)
    assert "`draw(axes, state, now)` raised AttributeError in test_check_environment.py:" in problem
