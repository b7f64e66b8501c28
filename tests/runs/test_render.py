from __future__ import annotations

import base64
import io
import itertools
import json
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image, ImageSequence
from tiny import HostToy

from covey import algorithms, environments
from covey.core.errors import BadInput
from covey.runs import attention, render
from covey.runs import episode as episodes
from covey.runs.episode import record
from covey.runs.evaluate import FINAL, evaluate, evaluation_keys
from covey.runs.figures import blank, pixels
from covey.runs.policy import load
from covey.runs.train import train

KEY = jax.random.key(3)


@pytest.fixture(scope="module")
def navigation():
    return environments.make("navigation", agents=2, landmarks=2, time_limit=4)


@pytest.fixture(scope="module")
def played(navigation):
    """A random episode."""
    return record(navigation, algorithms.make("random", navigation), (), KEY)


@pytest.fixture(scope="module")
def attentive(navigation, tmp_path_factory):
    """The folder of a run of att-maddpg, with two seeds."""
    options = {"steps": 16, "seeds": 2, "episodes": 2, "chunk": 8, "quiet": True}
    return train("att-maddpg", navigation, out=tmp_path_factory.mktemp("attentive") / "run", **options).folder


@pytest.fixture(scope="module")
def pictures():
    """Three frames that differ."""
    return [np.full((40, 60, 3), shade, np.uint8) for shade in (240, 120, 10)]


def shown(page: str) -> dict:
    """What a page of `to_html` carries."""
    found = re.search(r'<script type="application/json" id="show">(.*?)</script>', page, re.DOTALL)
    assert found
    return json.loads(found[1])


def unpacked(source: str) -> Image.Image:
    head, _, content = source.partition(",")
    assert head == "data:image/webp;base64"
    return Image.open(io.BytesIO(base64.b64decode(content)))


# ---------------------------------------------------------------------------------------------------------------------
# Episodes


def test_a_recorded_episode_is_the_one_that_was_evaluated(navigation):
    rule = algorithms.make("random", navigation)
    evaluated = evaluate(navigation, rule, (), KEY, episodes=3)
    key = jax.random.fold_in(KEY, 0)
    for lane in range(3):
        played = record(navigation, rule, (), key, lane=lane)
        name = "return/agent/mean_agent"
        np.testing.assert_allclose(played.returns()[name], evaluated.values[name][0, lane], rtol=1e-5)
        measured = played.measures["distance"][1:].mean()
        np.testing.assert_allclose(measured, evaluated.values["world/distance"][0, lane], rtol=1e-5)


def test_an_episode_is_cut_at_its_first_boundary():
    world = environments.make("pursuit", radius=4.0, end_on_capture=True)
    played = record(world, algorithms.make("greedy-pursuit", world), (), KEY)
    assert 0 < played.length < world.spec.time_limit
    assert played.steps.last.tolist() == [False] * played.length + [True]
    assert played.actions["predator"].shape == (played.length, 3, 2)
    assert played.states.prey.shape == (played.length + 1, 2)
    assert all(isinstance(leaf, np.ndarray) for leaf in jax.tree.leaves(played))


def test_episodes_are_written_and_read(navigation, played, tmp_path):
    path = tmp_path / "episodes" / "one.npz"
    episodes.save(played, path)
    back = episodes.load(path, navigation, algorithms.make("random", navigation))
    assert jax.tree.structure(back) == jax.tree.structure(played)
    jax.tree.map(np.testing.assert_array_equal, back, played)


def test_a_file_that_is_no_episode(navigation, tmp_path):
    rule = algorithms.make("random", navigation)
    for content in (b"", b"not an archive"):
        (tmp_path / "bad.npz").write_bytes(content)
        with pytest.raises(BadInput, match="no recorded episode of 'navigation'"):
            episodes.load(tmp_path / "bad.npz", navigation, rule)
    with pytest.raises(BadInput, match="no recorded episode"):
        episodes.load(tmp_path / "missing.npz", navigation, rule)


def test_worlds_whose_states_nobody_sees_cannot_be_recorded():
    world = HostToy(1)
    with pytest.raises(BadInput, match="its state lives outside JAX"):
        record(world, algorithms.make("random", world), (), KEY)


# ---------------------------------------------------------------------------------------------------------------------
# Films


def test_frames(navigation, played):
    pictures = render.frames(navigation, played)
    assert len(pictures) == played.length + 1
    assert {(picture.shape, picture.dtype.name) for picture in pictures} == {(pictures[0].shape, "uint8")}
    assert pictures[0].shape[2] == 3
    assert all((a != b).any() for a, b in itertools.pairwise(pictures))
    np.testing.assert_array_equal(render.frames(navigation, played, [2])[0], pictures[2])


@pytest.mark.parametrize(
    ("id", "options"),
    [
        ("navigation", {"agents": 2, "landmarks": 2}),
        ("pursuit", {}),
        ("particle/spread", {}),
        ("routing/small", {}),
        ("squeeze", {"agents": 5, "rounds": 3}),
        ("ising", {"size": 4, "time_limit": 3}),
        ("battle", {"size": 12, "time_limit": 3}),
    ],
)
def test_nothing_of_a_frame_is_left_in_the_next(id, options):
    world = environments.make(id, **options)
    happened = record(world, algorithms.make("random", world), (), KEY)
    np.testing.assert_array_equal(render.frames(world, happened, [0, 1])[1], render.frames(world, happened, [1])[0])


class Sketch:
    """Draws like a newcomer: never clears, and lets matplotlib choose what is shown."""

    def __init__(self, environment):
        self.spec = environment.spec

    def draw(self, axes, state, now, action=None, history=None):
        axes.plot([0, 1 + state.clock], [0, 1], color="red", linewidth=8)
        axes.set(ylim=(1, 0))


def test_every_frame_is_drawn_afresh_and_shows_the_same_part_of_the_plane(navigation, played):
    first, second = render.frames(Sketch(navigation), played, [0, 1])
    red = [(picture[..., 0] > 200) & (picture[..., 1] < 50) for picture in (first, second)]
    assert red[0].any()
    width = red[0].shape[1]
    right = [np.flatnonzero(seen.any(0)).max() for seen in red]  # the first line is half as long as the second
    assert right[0] < 0.6 * width
    assert right[1] > 0.85 * width
    assert red[1].sum() < 1.7 * red[0].sum()  # one line, not two


def test_frames_share_limits_and_keep_their_direction():
    canvases = blank(4.0, 2.0).subplots(1, 2)
    canvases[0].set(xlim=(0, 1), ylim=(3, 1))
    canvases[1].set(xlim=(-1, 0.5), ylim=(2, 0))
    render.same_limits(canvases)
    assert [axes.get_xlim() for axes in canvases] == [(-1, 1)] * 2
    assert [axes.get_ylim() for axes in canvases] == [(3, 0)] * 2


def test_worlds_without_a_picture_say_so(played):
    world = environments.make("toy/discrete")
    with pytest.raises(BadInput, match="'toy/discrete' cannot be drawn: give it a method `draw"):
        render.frames(world, played)


def test_facts_are_what_happened(played):
    facts = render.facts(played, range(played.length + 1))
    assert facts["step"] == [0, 1, 2, 3, 4]
    np.testing.assert_allclose(facts["reward"], [0, *played.steps.reward["agent"][1:].mean(-1)], rtol=1e-4)
    np.testing.assert_allclose(facts["return"][-1], played.returns()["return/agent/mean_agent"], rtol=1e-4)
    assert "final distance" in facts


def test_long_episodes_are_thinned(played):
    many = render.MOST_FRAMES * 3
    long = played._replace(steps=played.steps._replace(last=np.zeros(many + 1, bool)))
    times = render.moments(long)
    assert len(times) == render.MOST_FRAMES
    assert (times[0], times[-1]) == (0, many)
    assert render.moments(played) == [0, 1, 2, 3, 4]


def test_gif(pictures, tmp_path):
    path = render.to_gif(pictures, tmp_path / "film.gif", fps=10)
    with Image.open(path) as film:
        assert film.size == (60, 40)
        assert film.info["loop"] == 0
        read = [
            (frame.info["duration"], np.asarray(frame.convert("RGB"))[5, 5, 0])
            for frame in ImageSequence.Iterator(film)
        ]
    assert [duration for duration, _ in read] == [100, 100, 1500]
    np.testing.assert_allclose([shade for _, shade in read], [240.0, 120.0, 10.0], atol=3)


def test_page_needs_nothing_else(pictures, tmp_path):
    path = render.to_html(pictures, tmp_path / "film.html", 5, "a title", {"step": [0, 1, 2]}, {"seed": "0"})
    page = path.read_text()
    assert not re.search(r"https?:|\bsrc\s*=\s*[\"']|\bhref\b|@import|\burl\(", page)
    assert "<title>a title</title>" in page
    show = shown(page)
    assert (show["fps"], show["size"], show["facts"]) == (5, [60, 40], {"step": [0, 1, 2]})
    for source, picture in zip(show["frames"], pictures, strict=True):
        np.testing.assert_array_equal(np.asarray(unpacked(source).convert("RGB")), picture)


def test_a_little_red_stays_red(tmp_path):
    shades = np.linspace(0, 255, 200, dtype=np.uint8)[:, None] * np.ones((200, 200), np.uint8)
    picture = np.stack([shades, shades.T, np.maximum(shades, shades.T)], -1)
    picture[50:55, 90:95] = (215, 38, 61)
    with Image.open(render.to_gif([picture] * 2, tmp_path / "film.gif", 5)) as film:
        first = np.asarray(film.convert("RGB"))
    page = render.to_html([picture], tmp_path / "film.html", 5, "", {}).read_text()
    alone = np.asarray(unpacked(shown(page)["frames"][0]).convert("RGB"))
    for kept in (first, alone):
        np.testing.assert_allclose(kept[52, 92].astype(int), [215, 38, 61], atol=16)


def test_page_survives_any_title_and_number(pictures, tmp_path):
    title = "</script><!--<script>alert(1)</script> {{show}} & 'ü'"
    path = render.to_html(pictures, tmp_path / "film.html", 5, title, {"x": [np.nan, np.inf, 1.0]})
    show = shown(path.read_text())
    assert show["title"] == title
    assert show["facts"]["x"] == [None, None, 1.0]
    assert "alert(1)</script>" not in path.read_text()


def test_page_is_kept_small(monkeypatch, tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (3, 200, 200, 3), np.uint8)
    whole = render.to_html(list(noise), tmp_path / "whole.html", 5, "", {}).stat().st_size
    monkeypatch.setattr(render, "PAGE_BYTES", whole // 2)
    path = render.to_html(list(noise), tmp_path / "small.html", 5, "", {})
    assert path.stat().st_size <= whole // 2
    assert all(unpacked(source).size[0] > 0 for source in shown(path.read_text())["frames"])


def test_facts_must_fit_the_frames(pictures, tmp_path):
    with pytest.raises(BadInput, match="the fact 'x' has 1 numbers, and there are 3 frames"):
        render.to_html(pictures, tmp_path / "film.html", 5, "", {"x": [1.0]})


# ---------------------------------------------------------------------------------------------------------------------
# Runs


def test_render_keeps_films_and_arrays_in_the_run_folder(attentive):
    paths = render.render(attentive, seed=1, episode=1)
    names = [f"step-16-seed-1-episode-1{suffix}" for suffix in (".gif", ".html")]
    assert paths == [attentive / "episodes" / name for name in names]
    policy = load(attentive, 1)
    back = episodes.load(paths[0].with_suffix(".npz"), policy.environment, policy.algorithm)
    with Image.open(paths[0]) as film:
        assert len(list(ImageSequence.Iterator(film))) == back.length + 1
    show = shown(paths[1].read_text())
    assert len(show["frames"]) == back.length + 1
    assert show["about"] | {"world": "navigation", "trained for": "16 steps", "seed": "1"} == show["about"]
    key = evaluation_keys(FINAL, 2)[1]
    again = record(policy.environment, policy.algorithm, policy.state, key, lane=1, step=policy.step)
    np.testing.assert_array_equal(again.actions["agent"], back.actions["agent"])


@pytest.mark.parametrize("name", ["one.gif", "deep/er/one.html"])
def test_render_writes_the_file_that_was_asked_for(attentive, tmp_path, name):
    assert render.render(attentive, tmp_path / name, fps=2) == [tmp_path / name]
    assert [path.name for path in tmp_path.rglob("*.*")] == [(tmp_path / name).name]


def test_render_attention(attentive, tmp_path):
    (path,) = render.render(attentive, tmp_path, attention=True, agent="agent_1")
    assert path.name == "attention-agent_1-step-16-seed-0-episode-0.png"
    with Image.open(path) as picture:
        assert picture.size[0] > 1000
    assert render.render(attentive, tmp_path / "a.svg", attention=True) == [tmp_path / "a.svg"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"out": "film.mp4"}, r"cannot be written as '\.mp4': use \.gif or \.html"),
        ({"out": "film.gif", "attention": True}, r"cannot be written as '\.gif': use \.png or \.svg or \.pdf"),
        ({"seed": 2}, "has the seeds 0 to 1, and seed 2 was asked for"),
        ({"episode": -1}, "episodes are counted from 0"),
        ({"fps": 0}, "`fps` must lie above 0"),
        ({"agent": "agent_0"}, "only of use with `attention`"),
        ({"attention": True, "agent": "agent_9"}, "the learning agent 'agent_9' is unknown; did you mean 'agent_"),
    ],
)
def test_impossible_wishes(attentive, options, said):
    with pytest.raises(BadInput, match=said):
        render.render(attentive, **options)


def test_folders_that_cannot_be_written(attentive, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInput, match=r"the picture .* cannot be written: .*; choose a folder that can be written"):
        render.render(attentive, tmp_path / "file" / "film.gif")


def test_runs_that_have_no_picture(finished, tmp_path):
    with pytest.raises(BadInput, match="'toy/discrete' cannot be drawn"):
        render.render(finished.folder, tmp_path)
    with pytest.raises(BadInput, match="no attention to draw: Tiny attends to nothing; render a run of 'att-maddpg'"):
        render.render(finished.folder, tmp_path, attention=True)
    with pytest.raises(BadInput, match="is not a run folder"):
        render.render(tmp_path / "nowhere")


# ---------------------------------------------------------------------------------------------------------------------
# Attention


@pytest.fixture(scope="module", params=["navigation", "toy/discrete", "routing/small"])
def watched(request):
    """(algorithm, state, episode) of an untrained att-maddpg in a world of each kind of action."""
    world = environments.make(request.param)
    algorithm = algorithms.make("att-maddpg", world)
    state = jax.jit(lambda key: algorithm.init(key, 1))(KEY)
    return algorithm, state, record(world, algorithm, state, KEY)


def test_attention_is_the_critics(watched):
    algorithm, state, played = watched
    group = algorithm.groups[0]
    look, _ = attention.attend(algorithm, state, played, algorithm.spec.groups[group].names[-1])
    now = jax.tree.map(lambda x: jnp.asarray(x[:-1]), played.steps)
    critic, obs = algorithm.encoders.enter(state.nets.critic[0], algorithm._seen(now))
    q, seen = algorithm.value(critic, group, now, obs, algorithm._done(now, played.actions))
    np.testing.assert_allclose(look.q, q[:, -1], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(look.weights, seen.weights[:, -1], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(look.values, seen.values[:, -1], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose((look.weights * look.values).sum(-1), look.q, rtol=1e-3, atol=1e-4)


def test_a_teammate_moves_the_weights_and_not_the_heads(watched):
    algorithm, state, played = watched
    look, sweep = attention.attend(algorithm, state, played)
    assert sweep.teammate != algorithm.spec.groups[algorithm.groups[0]].names[0]
    assert 0 <= sweep.step < played.length
    np.testing.assert_allclose(
        sweep.look.values, np.tile(look.values[sweep.step], (len(sweep.x), 1)), rtol=1e-4, atol=1e-5
    )
    np.testing.assert_allclose(sweep.look.weights.sum(-1), 1.0, rtol=1e-5)
    assert np.ptp(sweep.look.weights, axis=0).max() > 1e-4
    assert -1e-5 <= sweep.taken <= 1 + 1e-5


def test_attention_figure(watched):
    algorithm, state, played = watched
    figure, name = attention.draw_attention(algorithm, state, played, None)
    assert name == algorithm.spec.groups[algorithm.groups[0]].names[0]
    top_left = figure.axes[0]
    labels = [line.get_label() for line in top_left.lines if not str(line.get_label()).startswith("_")]
    assert labels == ["head 1", "head 2", "head 3", "head 4", "real Q", "as it happened"]


def test_critics_without_attention(navigation):
    with pytest.raises(BadInput, match="no attention to draw: Joint attends to nothing"):
        attention.check_attends(algorithms.make("maddpg", navigation))


def test_titles_and_labels_fit_into_a_flat_frame():
    figure = blank(6.0, 1.2)
    figure.set_layout_engine("none")
    box = (0.02, 0.02, 0.96, 0.94)
    axes = figure.add_axes(box, visible=False)
    axes.set(title="a title", xlabel="places")
    axes.set_position(render.roomy(axes, box))
    axes.set_visible(True)
    shown = pixels(figure)
    edges = np.concatenate([shown[0], shown[-1], shown[:, 0], shown[:, -1]])
    assert (edges == 255).all()
    assert (shown < 255).any()
