"""Workers: the same episodes as in one process, and an end for every failure."""

from __future__ import annotations

import functools
import subprocess
import sys
from multiprocessing.shared_memory import SharedMemory

import jax
import numpy as np
import pytest
from walks import SPEC, Faulty, SavedWalk, Walk, broken_from_the_start, one_lane_short

from covey.core.errors import BadInput
from covey.core.workers import WorkerFailed, Workers, cut, join, lane_seeds
from covey.testing.compare import difference
from covey.testing.environments import check_environment


def actions(t, lanes):
    rng = np.random.default_rng(t)
    return {
        "walker": rng.uniform(-1, 1, (lanes, 2, 1)).astype(np.float32),
        "guard": rng.uniform(-1, 1, (lanes, 1, 2)).astype(np.float32),
    }


def play(world, steps=7):
    """The first time step, and every pair after it."""
    return [world.reset()] + [world.step(actions(t, world.lanes)) for t in range(steps)]


@pytest.fixture
def hire():
    """Workers that are closed when the test ends, however it does."""
    hired = []

    def hire(*arguments, **options):
        hired.append(Workers(*arguments, **options))
        return hired[-1]

    yield hire
    for workers in hired:
        workers.close()


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_the_same_episodes_as_in_one_process(hire, workers):
    team = hire(Walk, lanes=5, workers=workers, seed=3)
    assert (team.spec, team.lanes) == (SPEC, 5)
    assert not difference(play(team), play(Walk(lane_seeds(3, 5))))


def test_what_was_returned_is_not_overwritten(hire):
    team = hire(Walk, lanes=2, workers=2)
    team.reset()
    then, now = team.step(actions(0, 2))
    before = jax.tree.map(np.copy, (then, now))
    team.step(actions(1, 2))
    assert not difference((then, now), before)


def test_a_later_reset_begins_new_episodes(hire):
    team = hire(Walk, lanes=3, workers=2)
    first, *_ = play(team, 2)
    second, *_ = play(team, 2)
    assert difference(first, second)


def test_the_order_of_groups_in_an_action_means_nothing(hire):
    team = hire(Walk, lanes=2, workers=1)
    team.reset()
    turned = dict(reversed(actions(0, 2).items()))
    alone = Walk(lane_seeds(0, 2))
    alone.reset()
    assert not difference(team.step(turned), alone.step(actions(0, 2)))


def test_lane_seeds_differ_and_are_decided_by_the_seed():
    assert len(set(lane_seeds(0, 1000))) == 1000
    assert lane_seeds(0, 10) == lane_seeds(0, 10)
    assert not set(lane_seeds(0, 10)) & set(lane_seeds(1, 10))


def test_a_worker_needs_no_jax():
    code = "import sys, covey.core.workers; sys.exit('jax' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_script_without_a_guard_is_told_so(tmp_path):
    script = tmp_path / "script.py"
    script.write_text("from covey.environments import make\nmake('pettingzoo:mpe2.simple_v3', lanes=2, workers=1)\n")
    ended = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert 'under `if __name__ == "__main__":`?; all workers were closed.' in ended.stderr


def test_workers_pass_the_check_of_environments(hire):
    assert check_environment(hire(SavedWalk, lanes=4, workers=2)) == []


# ---------------------------------------------------------------------------------------------------------------------
# Saving


def test_save_and_restore_go_through(hire):
    team = hire(SavedWalk, lanes=3, workers=2)
    team.reset()
    team.step(actions(0, 3))
    saved = team.save()
    expected = [team.step(actions(t, 3)) for t in range(1, 5)]
    team.restore(saved)
    assert not difference([team.step(actions(t, 3)) for t in range(1, 5)], expected)


def test_new_workers_go_on_from_a_save_without_a_reset(hire):
    team = hire(SavedWalk, lanes=3, workers=2)
    team.reset()
    saved = team.save()
    expected = team.step(actions(0, 3))
    team.close()
    other = hire(SavedWalk, lanes=3, workers=2, seed=9)
    other.restore(saved)
    assert not difference(other.step(actions(0, 3)), expected)


def test_a_save_of_another_number_of_workers_is_refused(hire):
    team = hire(SavedWalk, lanes=4, workers=2)
    team.reset()
    saved = team.save()
    with pytest.raises(BadInput, match="workers=2"):
        hire(SavedWalk, lanes=4, workers=4).restore(saved)


def test_a_world_that_cannot_be_saved_offers_no_save(hire):
    team = hire(Walk, lanes=2, workers=1)
    assert not hasattr(team, "save")
    assert not hasattr(team, "restore")


def test_join_and_cut_are_inverses():
    parts = [b"", b"abc", b"\x00" * 9]
    assert cut(join(parts)) == parts


# ---------------------------------------------------------------------------------------------------------------------
# Failures


@pytest.mark.parametrize(
    ("fault", "says"),
    [("raise", ["worker 1 (lanes 2 to 3)", "the floor gave way", "Traceback"]), ("die", ["worker 1", "exit code 7"])],
)
def test_a_worker_that_fails_ends_everything_with_one_error(hire, fault, says):
    where = lane_seeds(0, 4)[3]
    team = hire(functools.partial(Faulty, fault=fault, where=where), lanes=4, workers=2)
    team.reset()
    team.step(actions(0, 4))
    with pytest.raises(WorkerFailed) as failed:
        team.step(actions(1, 4))
    assert "\n" not in str(failed.value)
    assert all(words in str(failed.value) + failed.value.details for words in says)
    assert all(not process.is_alive() for process in team._crew.processes)
    with pytest.raises(BadInput, match="closed"):
        team.step(actions(2, 4))


@pytest.mark.parametrize(
    ("make", "says"), [(broken_from_the_start, "there is no such level"), (one_lane_short, "one lane per seed")]
)
def test_a_world_that_cannot_be_made_is_reported(make, says):
    with pytest.raises(BadInput, match=says):
        Workers(make, lanes=4, workers=2)


def test_a_killed_worker_is_noticed(hire):
    team = hire(Walk, lanes=2, workers=2)
    team.reset()
    team._crew.processes[0].kill()
    team._crew.processes[0].join()
    with pytest.raises(WorkerFailed, match="worker 0"):
        team.step(actions(0, 2))


def test_close_may_be_called_twice_and_frees_everything(hire):
    team = hire(Walk, lanes=2, workers=2)
    team.reset()
    name = team._crew.blocks[0].name
    team.close()
    team.close()
    assert all(not process.is_alive() for process in team._crew.processes)
    with pytest.raises(FileNotFoundError):
        SharedMemory(name)


def test_a_step_before_the_first_reset_is_refused(hire):
    with pytest.raises(BadInput, match="reset"):
        hire(Walk, lanes=1, workers=1).step(actions(0, 1))


def test_a_missing_group_is_named(hire):
    team = hire(Walk, lanes=1, workers=1)
    team.reset()
    with pytest.raises(BadInput, match="walker"):
        team.step({"guard": actions(0, 1)["guard"]})


@pytest.mark.parametrize("workers", [0, 3])
def test_impossible_numbers_of_workers_are_refused(workers):
    with pytest.raises(BadInput, match="between 1 and 2"):
        Workers(Walk, lanes=2, workers=workers)
