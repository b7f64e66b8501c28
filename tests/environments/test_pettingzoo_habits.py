"""What real PettingZoo environments do: every habit is understood, or refused in one sentence."""

from __future__ import annotations

import re
import sys

import habits
import jax
import numpy as np
import pytest

from covey.algorithms import make as make_algorithm
from covey.cli import main
from covey.core.errors import BadInput
from covey.core.types import Box, Discrete, Field, MultiDiscrete, action_shape
from covey.environments import make
from covey.environments.pettingzoo.pictures import reduced, smaller
from covey.nn.joint import observations
from covey.runs.evaluate import evaluate
from covey.testing import check_environment


@pytest.fixture
def play():
    """`play(kind)` makes an environment of `habits` with one lane, which is closed when the test ends."""
    made = []

    def play(kind, **options):
        made.append(make("pettingzoo:habits", lanes=1, arguments=f"kind: {kind}", **options))
        return made[-1]

    yield play
    for each in made:
        each.close()


def ones(environment):
    """Action 1 of everybody."""
    return {
        name: np.ones((environment.lanes, group.size, *action_shape(group.action)[0]), action_shape(group.action)[1])
        for name, group in environment.spec.groups.items()
    }


def steps(environment, count):
    """The reset, and `count` steps of action 1."""
    return [environment.reset(), *(environment.step(ones(environment))[0] for _ in range(count))]


def refused(play, kind, **options):
    """The one sentence with which an environment is refused, at once or while it plays."""
    with pytest.raises(BadInput) as raised:
        steps(play(kind, **options), 5)
    sentence = str(raised.value)
    assert "\n" not in sentence
    return sentence


def of_a(steps, part):
    """One part of the time steps for group `a`, [steps, n, ...]."""
    return [getattr(step, part)["a"][0].tolist() for step in steps]


# ---------------------------------------------------------------------------------------------------------------------
# Masks


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        ("dict-obs", ["obs"]),
        ("dict-obs-avail", ["obs"]),
        ("dict-obs-state", ["observation"]),
        ("dict-obs-third", ["goal", "vector"]),
    ],
)
def test_mask_and_observation_by_key(play, kind, fields):
    game = play(kind)
    group = game.spec.groups["a"]
    assert sorted(field.name for field in group.obs) == fields
    played = steps(game, 2)
    assert of_a(played, "legal") == [[[True, False, True]] * 2] * 3
    assert of_a(played, "obs")[1] == [[1.0, 1.0] * len(fields)] * 2
    assert group.obs_size == 2 * len(fields)


def test_a_state_beside_a_mask_is_the_global_state(play):
    assert play("dict-obs-state").spec.state == ()
    game = play("dict-obs-state", state=True)
    assert [step.state[0].tolist() for step in steps(game, 2)] == [[0, 1], [1, 1], [2, 1]]


def test_a_state_without_a_mask_is_the_agents_own(play):
    game = play("own-state")
    assert [field.name for field in game.spec.groups["a"].obs] == ["joints", "state"]
    assert of_a(steps(game, 1), "obs")[1] == [[1, 1, 0, 0], [1, 1, 1, 1]]


def test_states_that_differ_are_no_global_state(play):
    assert "shows its agents different things under the key 'state'" in refused(play, "states-that-differ", state=True)


FREE, NOT_FIRST = [[True] * 3] * 2, [[False, True, True]] * 2


@pytest.mark.parametrize(
    ("kind", "legal"),
    [
        ("late-mask", [FREE, NOT_FIRST, NOT_FIRST]),
        ("additive-mask", [[[True, False, False]] * 2] * 3),
        ("additive-infinite", [NOT_FIRST, FREE, FREE]),
        ("bool-mask", [NOT_FIRST] * 3),
        ("list-mask", [NOT_FIRST] * 3),
        ("avail-in-info", [NOT_FIRST] * 3),
        ("no-info", [FREE] * 3),
        ("lists-of-moves", [FREE] * 3),
        ("part-masks", [[[True, False, False, False, True]] * 2] * 3),
    ],
)
def test_masks(play, kind, legal):
    game = play(kind)
    zeros = jax.tree.map(np.zeros_like, ones(game))
    assert of_a([game.reset(), game.step(zeros)[0], game.step(zeros)[0]], "legal") == legal


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("empty-mask", "leaves the agent 'a_0' no legal action in step 2"),
        ("additive-empty", "leaves the agent 'a_0' no legal action at the reset"),
        ("part-without-choice", "leaves the agent 'a_0' no legal action in step 1"),
        ("short-mask", "gave the agent 'a_0' at the reset a mask of 2 entries for 3 actions"),
        ("half-mask", "a mask with other numbers than 1 and 0"),
        ("nan-mask", "a mask with other numbers than 1 and 0"),
        ("text-mask", "values instead of 1 and 0"),
    ],
)
def test_masks_that_say_nothing_of_use(play, kind, said):
    assert said in refused(play, kind)


def test_nobody_is_asked_at_the_end(play):
    *_, last = steps(play("empty-at-the-end"), 5)
    assert last.last.all()
    assert last.legal["a"].all()


def test_masks_of_boxes_mean_nothing(play):
    assert "a" not in steps(play("box-mask"), 2)[2].legal


def test_those_who_wait_for_their_turn_have_one_choice():
    """Connect four, where the one who waits gets a mask of zeros."""
    game = make("pettingzoo:turns", lanes=2)
    try:
        now = game.reset()
        assert now.legal["player"].sum(-1).tolist() == [[7, 1]] * 2
        now = game.step({"player": np.full((2, 2), 3, np.int32)})[1]
        assert now.legal["player"].sum(-1).tolist() == [[1, 7]] * 2
        assert now.alive["player"].all()
        assert check_environment(game, steps=60) == []
    finally:
        game.close()


# ---------------------------------------------------------------------------------------------------------------------
# Away


def a_1(played, part):
    return [step[1] for step in of_a(played, part)]


@pytest.mark.parametrize(
    ("kind", "reward", "discount"),
    [
        ("paid-while-away", [0, 1, 0, 5, 1, 1], [1] * 6),
        ("paid-often", [0, 1, 1, 2, 0, 4], [1] * 6),
        ("ended-while-away", [0, 1, 0, 0, 0, 0], [1, 1, 1, 0, 0, 0]),
        ("cut-while-away", [0, 1, 0, 0, 0, 0], [1, 1, 1, 0, 0, 0]),
        ("away-at-the-limit", [0, 1, 0, 0, 0, 0], [1] * 6),
        ("away-at-the-death", [0, 1, 0, 0, 0, 0], [1, 1, 1, 1, 1, 0]),
    ],
)
def test_who_is_away_waits(play, kind, reward, discount):
    """It is alive until its part has ended, so that what comes meanwhile belongs to what it did last."""
    played = steps(play(kind), 5)
    assert a_1(played, "reward") == reward
    assert a_1(played, "discount") == discount
    assert a_1(played, "alive") == [bool(d) for d in discount]
    assert a_1(played, "obs")[2] == [0, 0]
    assert a_1(played, "legal")[2] == [True, False, False]


def test_what_is_paid_while_away_counts(play):
    game = play("paid-while-away")
    random = make_algorithm("random", game)
    returns = evaluate(game, random, (), jax.random.key(0), 20).values["return/a/mean_agent"]
    assert (returns >= 2.5).all()  # the 5 is half of it, and what a_0 and a_1 do is the rest


def test_what_is_paid_before_an_agent_came_is_nobodys(play):
    played = steps(play("paid-before-it-came"), 5)
    assert a_1(played, "reward") == [0, 0, 0, 0, 1, 1]
    assert a_1(played, "alive") == [False] * 3 + [True] * 3


def test_a_wait_has_one_choice_in_every_part(play):
    assert a_1(steps(play("away-with-parts"), 2), "legal")[2] == [True, False, True, False, False]


@pytest.mark.parametrize("kind", ["paid-while-away", "paid-often", "ended-while-away", "away-at-the-death"])
def test_who_waits_keeps_to_the_rules(play, kind):
    assert check_environment(play(kind), steps=12) == []


def test_a_time_limit_behind_black_death_is_no_death(play):
    """SuperSuit's wrapper plays one step after the limit, and calls that step a death."""
    game = make("pettingzoo:habits", lanes=1, arguments="kind: limited, black_death: true")
    played = steps(game, 5)
    game.close()
    assert [bool(step.last[0]) for step in played] == [False] * 5 + [True]
    assert of_a(played, "discount") == [[1, 1]] * 6
    assert game.spec.time_limit == 5


# ---------------------------------------------------------------------------------------------------------------------
# Rewards and observations


def test_a_reward_of_one_number_in_an_array_is_that_number(play):
    assert of_a(steps(play("array-reward"), 2), "reward") == [[0, 0], [1, 1], [1, 1]]
    assert of_a(steps(play("bool-reward"), 1), "reward")[1] == [1, 1]


@pytest.mark.parametrize("kind", ["text-reward", "pair-reward", "paid-with-nothing"])
def test_a_reward_is_one_number(play, kind):
    assert "a reward has to be one number" in refused(play, kind)


def test_an_array_that_is_changed_in_place_is_copied(play):
    assert of_a(steps(play("reused-array"), 2), "obs") == [[[t, 1]] * 2 for t in range(3)]


@pytest.mark.parametrize(("kind", "most"), [("counts", 3.0), ("board", 3.0), ("picture", 0.2)])
def test_only_pictures_are_scaled(play, kind, most):
    """Bytes from 0 to 3 are seen as they are; a picture's 51 of 255 is a fifth."""
    game = play(kind)
    *_, third = steps(game, 3)
    seen = observations(game.spec, jax.tree.map(lambda x: x[0], third))["a"]
    assert float(seen.max()) == pytest.approx(most)
    assert (game.spec.groups["a"].obs[0].dtype == "uint8") == (kind == "picture")


def test_a_picture_beside_a_vector(play):
    game = play("picture-and-speed")
    assert game.spec.groups["a"].obs == (Field("camera", (4, 4, 3), dtype="uint8"), Field("speed", (2,)))
    after = steps(game, 1)[1]
    np.testing.assert_array_equal(after.obs["a"]["camera"][0, 0], np.full((4, 4, 3), 51))
    np.testing.assert_array_equal(after.obs["a"]["speed"][0, 0], [0.25, 1.0])
    seen = observations(game.spec, jax.tree.map(lambda x: x[0], after))["a"][0]
    np.testing.assert_allclose(seen, [0.2] * 48 + [0.25, 1.0], rtol=1e-6)


def test_dictionaries_in_tuples(play):
    game = play("nested")
    assert {field.name: field.size for field in game.spec.groups["a"].obs} == {"flags": 2, "pair.0": 3, "pair.1.x": 1}
    assert sorted(of_a(steps(game, 2), "obs")[2][0]) == [0, 0, 0, 1, 1, 7]


def test_doubles(play):
    game = play("doubles")
    assert game.spec.groups["a"].obs == (Field("observation", (2, 3)),)
    assert steps(game, 1)[1].obs["a"].dtype == np.float32


def test_somebody_who_sees_nothing(play):
    assert "the agent 'a_0' observes nothing" in refused(play, "nothing-to-see")


# ---------------------------------------------------------------------------------------------------------------------
# Names and actions


@pytest.mark.parametrize("kind", ["stem-collision", "stem-collision-same"])
def test_names_that_collide_are_three_groups(play, kind):
    game = play(kind)
    assert {name: group.names for name, group in game.spec.groups.items()} == {
        name: (name,) for name in habits.StemCollision.names
    }
    most = {name: np.full((1, 1), group.action.n - 1) for name, group in game.spec.groups.items()}
    game.reset()
    then, _ = game.step(most)
    for number, name in enumerate(habits.StemCollision.names):
        assert set(then.obs[name].ravel()) == {number}
        assert then.reward[name].item() == most[name].item()


def test_a_part_that_is_fixed_is_not_chosen(play):
    game = play("point-box")
    assert game.spec.groups["a"].action == Box((-1.0,), (1.0,))
    assert of_a(steps(game, 1), "reward")[1] == [1.5, 1.5]


def test_fixed_parts_of_several_agents(play):
    game = play("points-that-differ")
    assert game.spec.groups["a"].size == 2
    assert of_a(steps(game, 1), "reward")[1] == [1.5, 2.5]


def test_a_box_of_points_leaves_one_choice(play):
    game = play("points-only")
    assert game.spec.groups["a"].action == Discrete(1)
    game.reset()
    assert game.step({"a": np.zeros((1, 2), np.int32)})[0].reward["a"].tolist() == [[0.75, 0.75]]


def test_choices_in_rows_and_columns(play):
    game = play("table")
    assert game.spec.groups["a"].action == MultiDiscrete((2, 3, 4, 5))
    game.reset()
    then, _ = game.step({"a": np.array([[[1, 2, 3, 4], [0, 0, 0, 1]]], np.int32)})
    assert then.reward["a"].tolist() == [[10, 1]]


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("huge-box", "the agent 'a_0' acts in a box without bounds"),
        ("huge-on-one-side", "the agent 'a_0' acts in a box without bounds"),
        ("box-of-nothing", "the agent 'a_0' has nothing to choose"),
    ],
)
def test_boxes_in_which_nobody_can_explore(play, kind, said):
    assert said in refused(play, kind)


# ---------------------------------------------------------------------------------------------------------------------
# States and resets


@pytest.mark.parametrize(
    ("kind", "state"),
    [
        ("state-dict", [7, 7, 7, 7, 1]),
        ("state-bytes", [1, 3]),
        ("state-picture", [0.2] * 4),
        ("state-board", [51] * 4),
        ("state-of-space", [0, 1, 0, 0, 5]),
        ("state-of-lists", [1, 2, 1, 1, 4]),
        ("state-number", [1]),
    ],
)
def test_states_become_vectors(play, kind, state):
    game = play(kind, state=True)
    np.testing.assert_allclose(steps(game, 1)[1].state[0], state, rtol=1e-6)
    assert sum(field.size for field in game.spec.state) == len(state)


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("state-grows", "had 4 numbers at first and has 2 in step 2"),
        ("state-text", "the global state of pettingzoo:habits cannot be made a vector"),
        ("state-none", "has no global state (`state()`) to show to critics"),
        ("game", "has no global state (`state()`) to show to critics"),
        ("state-nan", "has a global state that is not finite"),
    ],
)
def test_states_that_no_critic_can_use(play, kind, said):
    assert said in refused(play, kind, state=True)


def test_a_reset_without_a_seed(play):
    assert "takes no `seed`" in refused(play, "no-seed")


@pytest.mark.parametrize(
    ("module", "said"),
    [
        ("mpe2.simple_spred_v3", "there is no module 'mpe2.simple_spred_v3': did you mean 'mpe2.simple_spread_v3'?"),
        ("pettingzoo.butterfly.pistonbal_v6", "did you mean 'pettingzoo.butterfly.pistonball_v6'?"),
        ("butterfly/pistonbal_v6", "did you mean 'butterfly/pistonball_v6'?"),
        ("butterfly/pistonball_v5", "did you mean 'butterfly/pistonball_v6'?"),
        ("sisl/multiwalker_v8", "did you mean 'sisl/multiwalker_v9'?"),
        ("mpe/simple_spread_v3", "`pip install mpe2`, and write 'pettingzoo:mpe2.simple_spread_v3'"),
        ("pettingzoo.mpe.simple_spread_v3", "`pip install mpe2`, and write 'pettingzoo:mpe2.simple_spread_v3'"),
        ("pettingzoo.magent.battle_v4", "write 'pettingzoo:magent2.environments.battle_v4'"),
        ("classic/connect_four_v3", "`turn_based_aec_to_parallel`"),
    ],
)
def test_names_that_are_nearly_right(module, said):
    with pytest.raises(BadInput, match=re.escape(said)) as raised:
        make(f"pettingzoo:{module}")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_module_in_the_current_folder(workers, tmp_path, monkeypatch):
    name = f"beside_me_{workers}"
    (tmp_path / f"{name}.py").write_text("from mpe2.simple_spread_v3 import parallel_env\n")
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.chdir(tmp_path)
    game = make(f"pettingzoo:{name}", lanes=1, workers=workers)
    assert game.spec.groups["agent"].size == 3
    game.close()


@pytest.mark.parametrize(
    ("module", "missing", "cure"),
    [
        ("sisl/multiwalker_v9", "Box2D", "`pip install 'pettingzoo[sisl]'`"),
        ("pettingzoo.sisl.multiwalker_v9", "Box2D", "`pip install 'pettingzoo[sisl]'`"),
        ("pettingzoo.classic.chess_v6", "chess", "`pip install 'pettingzoo[classic]'`"),
        ("atari/pong_v3", "multi_agent_ale_py", "`pip install 'pettingzoo[atari]'`"),
        ("needs_more", "nowhere_to_be_found", "install the package that has it"),
    ],
)
def test_what_to_install(module, missing, cure, monkeypatch):
    for name in [name for name in sys.modules if name.startswith(("pettingzoo.sisl", "pettingzoo.classic.chess"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, missing, None)  # as if it were not installed
    with pytest.raises(BadInput, match=re.escape(cure)) as raised:
        make(f"pettingzoo:{module}")
    assert f"there is no module {missing!r}" in str(raised.value)


# ---------------------------------------------------------------------------------------------------------------------
# Pictures


@pytest.mark.parametrize(
    ("kind", "options", "said"),
    [
        ("raw-picture", [], "an agent of group 'a' observes 30,000 numbers (100 x 100 x 3) and networks take 0.0 MB"),
        ("raw-state", ["--env.state", "True"], "the global state has 40,000 numbers and networks take 0.0 MB"),
        ("picture", [], None),
    ],
)
def test_raw_pictures_are_warned_of_once(kind, options, said, tmp_path, capsys):
    words = ["train", "random", "pettingzoo:habits", "--env.arguments", f"kind: {kind}", "--env.lanes", "1", *options]
    assert main([*words, "--steps", "4", "--episodes", "1", "--out", str(tmp_path / "run")]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert told.count("reduce pictures before") == (said is not None)
    assert said is None or said in told


def test_reduced_pictures():
    game = make("pettingzoo:small_pictures", lanes=1)
    field = game.spec.groups["a"].obs[0]
    assert (field.shape, field.dtype) == ((13, 13), "uint8")
    assert check_environment(game, steps=8) == []
    game.close()


def test_a_reduced_picture_is_the_mean_of_its_squares():
    picture = np.zeros((4, 6, 3), np.uint8)
    picture[:2, :2] = [[[0] * 3, [100] * 3], [[100] * 3, [200] * 3]]
    assert smaller(picture, 2).tolist() == [[100, 0, 0], [0, 0, 0]]
    assert smaller(picture[..., 0], 3).shape == (2, 2)


@pytest.mark.parametrize("kind", ["game", "counts", "dict-obs"])
def test_only_pictures_are_reduced(kind):
    with pytest.raises(BadInput, match="which is no picture"):
        reduced(habits.parallel_env(kind), 2)
    with pytest.raises(BadInput, match="`factor` must be at least 1"):
        reduced(habits.parallel_env("raw-picture"), 0)
