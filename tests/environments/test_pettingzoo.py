"""PettingZoo in and out: dictionaries as arrays, every clause of the contract, and PettingZoo's own tests."""

from __future__ import annotations

import re
import warnings

import jax
import numpy as np
import pytest
from pettingzoo.test import api_test, parallel_api_test, parallel_seed_test
from pettingzoo.utils.conversions import parallel_to_aec

import covey
from covey.algorithms import ppo
from covey.cli import main
from covey.core.errors import BadInput
from covey.core.types import Box, Discrete, MultiDiscrete
from covey.core.workers import WorkerFailed
from covey.environments import make
from covey.environments.pettingzoo import keywords
from covey.runs.evaluate import evaluate
from covey.testing import check_environment
from covey.testing.compare import difference


@pytest.fixture
def world():
    """Worlds that are closed when the test ends."""
    made = []

    def world(module, **options):
        made.append(make(f"pettingzoo:{module}", **options))
        return made[-1]

    yield world
    for each in made:
        each.close()


def act(lanes, walkers=((1, 2), (0, 0))):
    return {
        "walker": np.tile(np.array(walkers, np.int32), (lanes, 1, 1)),
        "painter": np.tile(np.array([[0.5, 9.0]], np.float32), (lanes, 1, 1)),
        "late": np.full((lanes, 1), 2, np.int32),
    }


def test_kinds_of_agents_are_groups(world):
    spec = world("games", lanes=1, state=True).spec
    assert {name: group.names for name, group in spec.groups.items()} == {
        "late": ("late_0",),
        "painter": ("painter_0",),
        "walker": ("walker_0", "walker_1"),
    }
    assert spec.groups["walker"].action == MultiDiscrete((2, 3))
    assert spec.groups["painter"].action == Box((-1.0, 0.0), (1.0, 5.0))
    assert spec.groups["late"].action == Discrete(3)
    assert spec.groups["painter"].obs[0].dtype == "uint8"
    assert spec.groups["late"].obs_size == 4  # one of four, as a vector
    assert sum(field.size for field in spec.state) == 2


def test_an_episode_by_hand(world):
    """Who is there, who ended, and what is earned, in every step of two lanes."""
    parade = world("games", lanes=2, state=True)
    now = parade.reset()
    assert now.alive["walker"].tolist() == [[True, True]] * 2
    assert now.alive["late"].tolist() == [[False]] * 2
    luck = now.obs["walker"][:, 0, 1]
    assert luck[0] != luck[1]
    alive, discount, reward, last = {}, {}, {}, []
    for _ in range(5):
        then, now = parade.step(act(2))
        last.append(bool(then.last[0]))
        for name in parade.spec.groups:
            for table, values in ((alive, then.alive), (discount, then.discount), (reward, then.reward)):
                table.setdefault(name, []).append(values[name][0].tolist())
    assert last == [False] * 4 + [True]
    assert alive["walker"] == [[True, True], [False, True], [False, True], [False, True], [False, True]]
    assert discount["walker"] == [[1, 1], [0, 1], [0, 1], [0, 1], [0, 1]]
    assert reward["walker"] == [[1, 1], [2, 2], [0, 3], [0, 4], [0, 5]]
    assert alive["painter"] == [[True]] * 5  # away in steps 1 and 2: it waits, and nothing is bootstrapped from nowhere
    assert discount["painter"] == [[1]] * 5
    assert reward["painter"] == [[1], [0], [0], [4], [5]]
    assert alive["late"] == [[False], [True], [True], [True], [True]]
    np.testing.assert_allclose(then.obs["walker"][0, 1], [5, luck[0]], rtol=1e-6)  # the true last observation
    assert then.obs["painter"][0, 0].tolist() == [[50, 50], [50, 50]]
    assert then.state[0].tolist() == [5, 7]
    assert now.alive["walker"].all()  # the next episode
    assert now.obs["walker"][0, 0, 0] == 0
    assert now.obs["walker"][0, 0, 1] != luck[0]
    assert not now.last.any()
    assert now.discount["walker"].all()


def test_what_environments_are_given(world):
    parade = world("games", lanes=1)
    parade.reset()
    for _ in range(3):
        parade.step(act(1))
    taken = parade._inner.games[0].env.taken
    assert taken[0]["walker_0"].tolist() == [1, 2]
    assert taken[0]["painter_0"].tolist() == [[0.5], [5.0]]  # in the box's shape, and inside it
    assert "late_0" not in taken[1]
    assert taken[2]["late_0"] == 12  # the third action of a space that starts at 10


def test_termination_is_not_truncation(world):
    cut, ended = (world("games", lanes=1, arguments=f"length: 1, truncate: {flag}") for flag in ("true", "false"))
    for parade, discount in ((cut, 1.0), (ended, 0.0)):
        parade.reset()
        then, _ = parade.step(act(1))
        assert then.last.all()
        assert then.discount["walker"].tolist() == [[discount, discount]]
        assert then.alive["walker"].all() == bool(discount)


def test_a_limit_of_our_own(world):
    parade = world("games", lanes=1, time_limit=2)
    assert parade.spec.time_limit == 2
    parade.reset()
    lasts = [parade.step(act(1)) for _ in range(4)]
    assert [bool(then.last) for then, _ in lasts] == [False, True, False, True]
    assert lasts[1][0].discount["walker"].tolist() == [[0, 1]]


def test_masks(world):
    parade = world("games", lanes=1)
    parade.reset()
    parade.step(act(1))
    then, _ = parade.step(act(1))
    assert then.legal["late"].tolist() == [[[True, False, True]]]


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_play_the_same_episodes(world, workers):
    here, there = world("games", lanes=3), world("games", lanes=3, workers=workers)
    for parade in (here, there):
        parade.reseed([5, 6, 7])
    assert difference(here.reset(), there.reset()) is None
    for _ in range(7):
        assert difference(here.step(act(3)), there.step(act(3))) is None


def test_pictures_are_seen_from_0_to_1(world):
    from covey.nn.joint import observations

    parade = world("games", lanes=1, time_limit=9, arguments="length: 9")
    parade.reset()
    for _ in range(3):
        then, _ = parade.step(act(1))
    seen = observations(parade.spec, jax.tree.map(lambda x: x[0], then))
    np.testing.assert_allclose(seen["painter"], np.full((1, 4), 30 / 255), rtol=1e-6)


FAULTS = {
    "nobody": "does not list its `possible_agents`",
    "twins": "cannot be told apart",
    "sequence": "observes a Sequence, whose size changes",
    "endless": "without bounds",
    "whole numbers": "whole numbers from a box",
    "tuple": "acts in a Tuple",
    "empty": "begins an episode without agents",
    "stranger": "plays with ['nobody_9'], who are not among its `possible_agents`",
    "old reset": "has to return the pair (observations, infos)",
    "old step": "has to return (observations, rewards, terminations, truncations, infos)",
    "silent": "the observations of `step` of pettingzoo:broken_games lack ['walker_1']",
    "unpaid": "the rewards of `step` of pettingzoo:broken_games lack ['walker_1']",
    "infinite": "gave the agent 'walker_1' a reward that is not finite",
    "shape": "it has the shape (3,) and its space (2,)",
    "growing picture": "it has the shape (2, 3) and its space (2, 2)",
    "nan": "gave the agent 'walker_1' an observation that is not finite",
    "revived": "brought ['walker_0'] back",
    "list": "have to be a dict",
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_broken_contract_is_one_sentence(world, fault):
    def play():
        parade = world("broken_games", lanes=1, arguments=f"fault: {fault}")
        parade.reset()
        for _ in range(4):
            parade.step(act(1))

    with pytest.raises(BadInput, match=re.escape(FAULTS[fault])) as raised:
        play()
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(("fault", "said"), [("raises", "the world fell over"), ("dies", "died with exit code 3")])
def test_a_worker_that_fails(world, fault, said):
    parade = world("broken_games", lanes=2, workers=2, arguments=f"fault: {fault}")
    parade.reset()
    parade.step(act(2))
    with pytest.raises(WorkerFailed) as failed:
        parade.step(act(2))
    assert said in str(failed.value) + failed.value.details


def test_a_run_is_saved_when_a_worker_fails(tmp_path, capfd):
    """And its last word is one sentence, below the worker's own traceback."""
    world = ["pettingzoo:broken_games", "--env.lanes", "2", "--env.workers", "2", "--env.arguments", "fault: raises"]
    assert main(["train", "random", *world, "--steps", "100", "--out", str(tmp_path / "run")]) == 2
    told = capfd.readouterr()
    assert "the environment failed; step 2 is saved" in told.out
    *before, sentence = told.err.strip().splitlines()
    assert sentence == "covey: worker 0 (lanes 0 to 0) raised; all workers were closed."
    assert "RuntimeError: the world fell over" in before


@pytest.mark.parametrize(
    ("module", "options", "said"),
    [
        ("no_such_module", {}, "there is no module 'no_such_module'"),
        ("butterfly/pistonbal_v6", {}, "PettingZoo's registry does not have 'butterfly/pistonbal_v6'"),
        ("classic/tictactoe_v3", {}, "agents move one after the other"),
        ("games", {"arguments": "colour: red"}, "cannot be made with"),
        ("games", {"arguments": "5"}, "gives 5 no value"),
        ("games", {"arguments": "[5"}, "is not of the form"),
        ("games", {"lanes": 0}, "`lanes` must be at least 1"),
        ("games", {"time_limit": 0}, "`time_limit` must be at least 1"),
        ("games", {"lanes": 1, "workers": 2}, "cannot be shared by 2 workers"),
        ("json", {}, "neither `parallel_env` nor `env`"),
    ],
)
def test_refuses(world, module, options, said):
    with pytest.raises(BadInput, match=re.escape(said)):
        world(module, **options)


def test_keywords():
    assert keywords("") == {}
    assert keywords("N: 5, local_ratio: 0.3, continuous_actions: true") == keywords(
        "{N: 5, local_ratio: 0.3, continuous_actions: true}"
    )


@pytest.mark.parametrize(
    ("module", "options"),
    [
        ("games", {}),
        ("mpe2.simple_speaker_listener_v4", {"arguments": "max_cycles: 5"}),
        ("magent2.environments.battle_v4", {"arguments": "map_size: 12, max_cycles: 10"}),
        ("pettingzoo.butterfly.knights_archers_zombies_v11", {"arguments": "max_cycles: 20"}),
        ("butterfly/pistonball_v6", {"arguments": "max_cycles: 3, n_pistons: 2"}),
    ],
)
def test_worlds_keep_to_the_rules(world, module, options):
    pytest.importorskip(module.split(".")[0].replace("butterfly/pistonball_v6", "pettingzoo"))
    assert check_environment(world(module, lanes=2, **options), steps=12) == []


def test_an_evaluation_is_decided_by_its_key(world):
    """The same world and algorithm, the same key: the same episodes, whatever was played before."""
    spread = world("mpe2.simple_spread_v3", lanes=4, arguments="max_cycles: 6")
    algorithm = ppo.ippo(spread.spec)
    states = jax.vmap(lambda key: algorithm.init(key, 4))(jax.random.split(jax.random.key(0), 2))
    first, again, other = (evaluate(spread, algorithm, states, jax.random.key(key), 3) for key in (1, 1, 2))
    assert difference(first.values, again.values) is None
    assert difference(first.values, other.values)
    returns = first.values["return/agent/mean_agent"]
    assert len(np.unique(returns)) == returns.size


# ---------------------------------------------------------------------------------------------------------------------
# Out

OURS = ("toy/discrete", "toy/continuous", "toy/graph", "particle/spread", "particle/tag", "matrix/two-step")


@pytest.mark.parametrize("name", OURS)
def test_our_worlds_pass_the_tests_of_pettingzoo(name):
    environment = make(name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PettingZoo warns of unbounded observations and absent pictures
        parallel_api_test(covey.to_pettingzoo(environment), num_cycles=60)
        parallel_seed_test(lambda: covey.to_pettingzoo(environment), num_cycles=20)
        api_test(parallel_to_aec(covey.to_pettingzoo(environment)), num_cycles=60)


def test_out_and_in_again_is_the_same_world():
    """What an agent sees and earns outside is what the compiled world shows."""
    environment = make("particle/tag")
    env = covey.to_pettingzoo(environment)
    observations, _ = env.reset(seed=3)
    key, first = jax.random.split(jax.random.key(3))
    state, now = environment.reset(first)
    for t in range(4):
        for agent, obs in observations.items():
            group, index = ("adversary", int(agent[-1])) if agent.startswith("adv") else ("agent", 0)
            np.testing.assert_allclose(obs, now.obs[group][index], rtol=1e-6, atol=1e-30)
        observations, rewards, *_ = env.step(dict.fromkeys(env.agents, t % 5))
        key, following = jax.random.split(key)
        action = {name: np.full(group.size, t % 5, np.int32) for name, group in environment.spec.groups.items()}
        state, now = environment.step(following, state, action)
        assert rewards["agent_0"] == pytest.approx(float(now.reward["agent"][0]), abs=1e-5)


@pytest.mark.parametrize(("name", "ending"), [("toy/discrete", "terminated"), ("particle/spread", "truncated")])
def test_deaths_and_time_limits_are_told_apart(name, ending):
    env = covey.to_pettingzoo(make(name))
    env.reset(seed=0)
    ended = []
    while env.agents:
        _, _, terminated, truncated, _ = env.step(dict.fromkeys(env.agents, 0))
        over = [agent for agent in terminated if terminated[agent] or truncated[agent]]
        assert not set(over) & set(env.agents)
        ended += ["terminated" if terminated[agent] else "truncated" for agent in over]
    assert ended == [ending] * len(env.possible_agents)


def test_worlds_outside_jax_stay_there(world):
    with pytest.raises(BadInput, match="lives outside JAX already"):
        covey.to_pettingzoo(world("games", lanes=1))
