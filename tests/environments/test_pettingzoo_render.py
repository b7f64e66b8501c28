"""Films of runs in PettingZoo: the environment draws itself, in the very episode that was evaluated."""

from __future__ import annotations

import base64
import csv
import io
import json
import re

import jax
import numpy as np
import pytest
from PIL import Image

import covey
from covey import algorithms, environments
from covey.cli import main
from covey.core.errors import BadInput
from covey.runs.hosted_episode import LARGEST, Reel, film_hosted
from covey.runs.policy import Policy
from covey.runs.render import render


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The folder of a run of `random`, two seeds and two lanes of each, whose episodes differ by their seeds."""

    def run(kind, episodes=5):
        out = tmp_path_factory.mktemp(kind) / "run"
        options = {"arguments": f"kind: {kind}", "lanes": 4}
        settings = {"steps": 8, "seeds": 2, "envs": 2, "episodes": episodes, "quiet": True, "out": out}
        return covey.train("random", "pettingzoo:habits", options=options, **settings).folder

    return run


def shown(page):
    """What a page of `covey render` carries, its frames as arrays."""
    found = re.search(r'<script type="application/json" id="show">(.*?)</script>', page.read_text(), re.DOTALL)
    assert found
    film = json.loads(found[1])
    frames = [base64.b64decode(frame.partition(",")[2]) for frame in film["frames"]]
    return film | {"frames": [np.asarray(Image.open(io.BytesIO(frame)).convert("RGB")) for frame in frames]}


def test_the_film_is_of_the_evaluated_episode(run):
    folder = run("seeded")
    rows = list(csv.DictReader((folder / "evaluation.csv").read_text().splitlines()))
    assert len(rows) == 10
    for row in rows:
        seed, episode = int(row["seed"]), int(row["episode"])
        (page,) = render(folder, folder / f"{seed}-{episode}.html", seed=seed, episode=episode)
        film = shown(page)
        assert film["about"]["return"] == f"{float(row['return/a/mean_agent']):.4g}"
        assert film["facts"]["step"] == [0, 1, 2, 3, 4, 5]
        assert [round(picture.mean()) for picture in film["frames"]] == [0, 40, 80, 120, 160, 200]  # the last one, too


def test_the_command_writes_a_film_a_page_and_the_arrays(run, capsys):
    folder = run("game", episodes=1)
    assert main(["render", str(folder)]) == 0
    written = capsys.readouterr().out.split()
    assert [path.rpartition(".")[2] for path in written] == ["gif", "html"]
    with np.load(next((folder / "episodes").glob("*.npz"))) as arrays:
        assert arrays["steps.reward.a"].shape == (6, 2)


def test_what_cannot_be_drawn_is_one_sentence(run):
    with pytest.raises(BadInput, match="cannot be drawn: with `render_mode='rgb_array'`"):
        render(run("undrawn", episodes=1))
    folder = run("no-render-mode", episodes=1)
    with pytest.raises(BadInput, match="unexpected keyword argument 'render_mode'"):
        render(folder)
    with pytest.raises(BadInput, match="draws itself, without credit"):
        render(folder, credit=True)


def test_an_episode_without_an_end_is_not_drawn_for_ever(monkeypatch):
    monkeypatch.setattr("covey.runs.evaluate.PATIENCE", 30)
    environment = environments.make("pettingzoo:habits", lanes=1, arguments="kind: forever")
    policy = Policy(environment, algorithms.make("random", environment), (), 0)
    with pytest.raises(BadInput, match="has not ended after 30 steps"):
        film_hosted(policy, jax.random.key(0), lanes=1, number=0, most=8)
    environment.close()


def test_a_real_environment_draws_itself(tmp_path):
    options = {"arguments": "max_cycles: 3", "lanes": 1}
    settings = {"steps": 2, "episodes": 1, "quiet": True, "out": tmp_path / "run"}
    folder = covey.train("random", "pettingzoo:mpe2.simple_spread_v3", options=options, **settings).folder
    (page,) = render(folder, tmp_path / "film.html")
    frames = shown(page)["frames"]
    assert [frame.shape for frame in frames] == [(LARGEST, LARGEST, 3)] * 4
    assert not np.array_equal(frames[0], frames[-1])


@pytest.mark.parametrize("length", [1, 3, 8, 9, 30, 100])
def test_a_reel_spreads_its_pictures(length):
    reel = Reel(8)
    for t in range(length):
        reel.append(np.full((2, 2, 3), t, np.uint8))
    frames = reel.frames()
    assert list(frames) == sorted(frames)
    assert {0, length - 1} <= set(frames)
    assert min(length, 5) <= len(frames) <= 9
    assert all(frame[0, 0, 0] == t for t, frame in frames.items())
    gaps = set(np.diff(list(frames))[:-1].tolist())
    assert len(gaps) <= 1
