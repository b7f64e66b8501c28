"""One contract serves every environment: views, actions and text come from the fields that it names."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import covey
from covey.authored.allow_list import JNP
from covey.authored.contract import EQUAL, contract_of, goal_names, masks
from covey.authored.limits import Limits
from covey.authored.program import Type, rebuilt
from covey.authored.program_reader import read_program
from covey.authored.refusal import Refused
from covey.authored.rollouts import at_random, play, sample_views
from covey.authored.views import EDGES, HUGE, KINDS, add_edge_cases, read_views
from covey.core.errors import BadInput
from covey.core.types import Box, Discrete, Field, Group, MultiDiscrete, Spec, Splits, Table, TimeStep
from covey.testing.as_host import AsHost

ENVIRONMENTS = ["navigation", "toy/discrete", "toy/graph", "toy/pictures"]


class Named:
    """Two robots in a corridor. They see how far the doors are."""

    spec = Spec(
        "corridor",
        Table(
            {
                "robot": Group(
                    ("a", "b"), (Field("doors", (4, 2), "m", valid=(8, 4)), Field("own")), Box((-1.0,), (2.0,))
                )
            }
        ),
    )

    def reset(self, key):
        groups = {name: (group, (group.size,)) for name, group in self.spec.groups.items()}
        now = TimeStep(
            obs={name: jnp.asarray(group.blank()) for name, (group, _) in groups.items()},
            reward={name: jnp.zeros(n) for name, (_, n) in groups.items()},
            discount={name: jnp.ones(n) for name, (_, n) in groups.items()},
            alive={name: jnp.ones(n, bool) for name, (_, n) in groups.items()},
            last=jnp.bool_(False),
        )
        return jnp.int32(0), now

    def step(self, key, state, action):
        return self.reset(key)

    def constants(self):
        return {"reach": 2.5, "dt": 0.1}


@pytest.fixture
def corridor():
    return contract_of(Named())


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_views_and_actions_of_every_environment(name):
    environment = covey.make(name)
    _, now = jax.vmap(environment.reset)(jax.random.split(jax.random.key(0), 5))
    for group in environment.spec.groups:
        contract = contract_of(environment, group)
        legal = now.legal.get(group)
        view = contract.view_of(now.obs[group], legal)
        assert list(view) == [field.name for field in contract.view]
        for field in contract.view:
            assert view[field.name].shape == (5, contract.group.size, *field.shape)
            assert view[field.name].dtype == jnp.float32
            assert f"`view[{field.name!r}]`: {list(field.shape)}" in contract.text()
        (size,) = contract.gives["prior_policy"]
        each = [0, 0] if legal is not None else [0, None]
        raw = jax.random.normal(jax.random.key(1), (5, contract.group.size, size))
        actions = jax.vmap(jax.vmap(contract.action_of, each), each)(raw, legal)
        match contract.action:
            case Discrete() if legal is not None:
                assert np.take_along_axis(np.asarray(legal), np.asarray(actions)[..., None], -1).all()
            case Splits(parts=parts):
                assert legal is not None
                ends = np.cumsum(parts)[:-1]
                for share, allowed in zip(jnp.split(actions, ends, -1), jnp.split(legal, ends, -1), strict=True):
                    np.testing.assert_allclose(share.sum(-1), np.asarray(allowed).any(-1), atol=1e-6)
                    assert not np.asarray(share)[~np.asarray(allowed)].any()


def test_a_group_has_to_be_named_where_there_are_several():
    environment = covey.make("toy/discrete")
    with pytest.raises(BadInput, match="say which one"):
        contract_of(environment)
    with pytest.raises(BadInput, match="did you mean"):
        contract_of(environment, "aa")


def test_an_environment_of_ones_own(corridor):
    assert [field.name for field in corridor.view] == ["doors", "own", "doors_mask"]
    assert corridor.inputs == tuple(Type("float32", shape) for shape in ((4, 2), (1,), (4, 2), (), ()))
    assert corridor.constants == (("dt", 0.1), ("reach", 2.5))
    assert corridor.document() == {
        "view": [["doors", [4, 2]], ["own", [1]], ["doors_mask", [4, 2]]],
        "lists": [],
        "constants": ["dt", "reach"],
        "gives": {"prior_policy": [1], "reward": []},
        "bounds": [[-1.0], [2.0]],
    }
    text = corridor.text()
    for words in ("Two robots in a corridor.", "[4, 2], m", "`p['reach']`: 2.5", "between [-1.0] and [2.0]"):
        assert words in text
    assert all(f" {name} " in f" {text.split('`jnp`: ')[1]} " for name in JNP if name not in ("zeros_like",))


def test_masks_say_what_is_real(corridor):
    (mask,) = masks(corridor.group).values()
    assert mask.shape == (2, 4, 2)
    assert mask.sum(axis=(1, 2)).tolist() == [8, 4]
    view = corridor.view_of(jnp.ones((7, 2, 9)))
    np.testing.assert_array_equal(view["doors_mask"][3], mask)


def test_names_that_collide():
    class Twice(Named):
        spec = Spec("x", Table({"a": Group(("a",), (Field("d", (2,), valid=(1,)), Field("d_mask")), Discrete(2))}))

    with pytest.raises(BadInput, match="names of their own"):
        contract_of(Twice())


@pytest.mark.parametrize("constants", [{"reach": float("nan")}, {"not a name": 1.0}, {3: 1.0}])
def test_constants_that_are_none(constants):
    class Wrong(Named):
        def constants(self):
            return constants

    with pytest.raises(BadInput, match="plain name and a finite value"):
        contract_of(Wrong())


def acts(space, raw, legal=None):
    contract = contract_of(Named())
    return contract._replace(group=contract.group._replace(action=space)).action_of(jnp.array(raw), legal)


def test_preferences_become_actions():
    np.testing.assert_array_equal(acts(Box((-1.0, 0.0), (1.0, 2.0)), [-3.0, 1.5]), [-1.0, 1.5])
    assert acts(Discrete(3), [0.1, 3.0, 2.0]) == 1
    assert acts(Discrete(3), [0.1, 3.0, 2.0], jnp.array([True, False, True])) == 2
    np.testing.assert_array_equal(acts(MultiDiscrete((2, 2)), [0.0, 1.0, 5.0, 1.0]), [1, 0])
    np.testing.assert_allclose(acts(Splits((2, 2)), [1.0, 3.0, -1.0, 0.0]), [0.25, 0.75, 0.5, 0.5], atol=2 * EQUAL)


# ---------------------------------------------------------------------------------------------------------------------
# What comes back


def document(contract, gives):
    inputs = [[kind.dtype, list(kind.shape)] for kind in contract.inputs]
    constant = {"type": ["float32", list(gives)], "values": [0.5] * int(np.prod(gives))}
    return {"inputs": inputs, "constants": [constant], "equations": [], "outputs": [len(inputs)]}


def test_programs_are_of_the_types_that_are_named(corridor):
    good = read_program(document(corridor, (1,)), Limits())
    corridor.check("prior_policy", good, [])
    assert rebuilt(good)(*(np.zeros(kind.shape, np.float32) for kind in corridor.inputs))[0].tolist() == [0.5]
    for name, shape, goals in (("prior_policy", (2,), []), ("reward", (1,), []), ("reward", (), ["near"])):
        with pytest.raises(Refused, match="takes or gives other types"):
            corridor.check(name, read_program(document(corridor, shape), Limits()), goals)
    fewer = document(corridor, (1,)) | {"inputs": [["float32", [1]]], "outputs": [1]}
    with pytest.raises(Refused, match="takes or gives other types"):
        corridor.check("prior_policy", read_program(fewer, Limits()), [])


GOALS = [None, "near", [3], ["b", "a"], ["a", "a"], ["not plain"], ["é"], ["x" * 41], [f"g{k:02}" for k in range(17)]]


@pytest.mark.parametrize("goals", GOALS)
def test_names_of_goals_that_are_none(goals):
    with pytest.raises(Refused):
        goal_names(goals)


# ---------------------------------------------------------------------------------------------------------------------
# Views


def test_views_have_every_kind(contract, views):
    assert views.count >= 2_000
    assert set(views.kind.tolist()) == set(range(len(KINDS)))
    assert all(np.isfinite(x).all() and x.dtype == np.float32 for x in views.inputs)
    by_kind = {kind: [x[views.kind == k] for x in views.inputs] for k, kind in enumerate(KINDS)}
    assert not any(x.any() for x in by_kind["zeros"][: len(contract.view)])
    landmarks = [field.name for field in contract.view].index("landmarks")
    coincident = by_kind["coincident"][landmarks]
    assert (coincident == coincident[:, :1]).all()
    assert np.abs(by_kind["huge"][landmarks]).max() > HUGE / 2
    assert 0 < np.abs(by_kind["tiny"][landmarks]).max() < 1e-11
    assert len(coincident) == EDGES


def test_masks_stay_in_views_at_the_edge():
    view, mask = np.ones((100, 3), np.float32), np.tile(np.array([1, 1, 0], np.float32), (100, 1))
    made = add_edge_cases([view, mask], [False, True], [np.full(100, 2.0, np.float32)])
    huge = made.kind == KINDS.index("huge")
    np.testing.assert_array_equal(made.inputs[1][huge], mask[:EDGES])
    constants = made.inputs[2][made.kind == KINDS.index("constants")]
    assert set(constants.tolist()) == {np.float32(0.2), 20.0}


def test_views_come_back_from_their_document(contract, views):
    back = read_views(views.document(), [kind.shape for kind in contract.inputs])
    jax.tree.map(np.testing.assert_array_equal, back, views)


def test_play_resets_where_an_episode_ends():
    environment = covey.make("toy/continuous")
    played = play(environment, at_random(environment.spec), jax.random.key(0), 2, 40)
    assert played.then.last.any()
    seen = np.asarray(played.now.obs["mover"]), np.asarray(played.then.obs["mover"])
    over = np.asarray(played.then.last)
    for t in range(39):
        for lane in range(2):
            goes_on = np.array_equal(seen[0][t + 1, lane], seen[1][t, lane])
            assert goes_on == (not over[t, lane])


def test_environments_outside_jax_are_sampled_too():
    environment = AsHost(covey.make("toy/continuous"), lanes=4)
    contract = contract_of(environment)
    assert sample_views(contract, environment, jax.random.key(0), count=100).count >= 100
