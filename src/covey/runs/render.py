"""Films of what a trained team does: a run folder in, a GIF and a page that plays in any browser out.

An environment that can be drawn has `draw(axes, state, now, action=None, history=None)`, which paints one frame on new
matplotlib axes, and may say in `picture` how many inches a frame measures. One outside JAX has `camera`
(`covey.core.environment:HostEnvironment`) and draws itself.
"""

from __future__ import annotations

import base64
import html
import io
import json
import re
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from covey.core.environment import HostEnvironment, evaluation_world
from covey.core.errors import BadInput
from covey.core.optional import offered
from covey.runs import episode as episodes
from covey.runs.attention import draw_attention
from covey.runs.crediting import Curves, credits, draw_credits
from covey.runs.dreaming import draw_dream
from covey.runs.episode import Episode, record
from covey.runs.evaluate import FINAL, evaluation_keys
from covey.runs.figures import SUFFIXES, blank, check_suffix, pixels, put, save
from covey.runs.hosted_episode import Filmed, film_hosted
from covey.runs.policy import Policy, open_run, place_of, policy_of

FILMS = (".gif", ".html")
STRIP = 2.4
"""Inches of a strip of curves below a frame."""

NO_CURVES: Mapping[str, Curves] = {}

MOST_FRAMES = 96
"""Longer episodes are shown at this many steps, evenly spread."""

PAGE_BYTES = 4_000_000
"""A page is made no larger than this."""

QUALITIES = ((256, 80, 1.0), (64, 80, 1.0), (None, 60, 0.7), (None, 40, 0.5))
"""Ways to pack frames, the first that fits is taken: colors (packed without loss, or None), quality, scale."""

FEW = {"method": Image.Quantize.MAXCOVERAGE, "dither": Image.Dither.NONE}
"""How colors are chosen: all that occur count alike, so that a little red on much white stays red."""


def render(
    run_folder: str | Path,
    out: str | Path | None = None,
    *,
    seed: int = 0,
    episode: int = 0,
    attention: bool = False,
    credit: bool = False,
    dream: bool = False,
    agent: str | None = None,
    start: int | None = None,
    fps: float | None = None,
    environment: Any = None,
    step: int | None = None,
    trust: bool = False,
) -> list[Path]:
    """Pictures of an episode of a run's final evaluation: the files that were written.

    out: a `.gif` or `.html` file, or a folder for both (by default `episodes/` in the run folder, where the recorded
    arrays are kept too); with `attention` or `dream` a `.png`, `.svg` or `.pdf` file, or a folder. seed, episode: which
    of the run's seeds and which of its evaluation episodes, from 0. attention: draw what the attention critic of
    `agent` (by default the first) makes of the episode, instead of the environment. credit: under every frame, what
    agents have done for their team so far, by the run's model of credit. dream: draw what the world model of `agent`
    imagines from step `start` of the episode on (by default from a third of it), beside what happened. fps: frames per
    second; by default the film takes about eight seconds. environment, step, trust: as of `load`.
    """
    folder, out = place_of(run_folder).folder, None if out is None else Path(out)
    _check(out, episode, attention, dream, agent, start, fps)
    if attention + credit + dream > 1:
        raise BadInput(
            "`attention` and `dream` are figures, and `credit` is part of a film: ask for one of them at a time."
        )
    trained = open_run(run_folder, environment, step, trust)
    policy = policy_of(trained, folder, seed)
    key = evaluation_keys(FINAL, seed + 1)[seed]
    if isinstance(policy.environment, HostEnvironment):
        if credit:
            raise BadInput(f"{policy.environment.spec.name!r} draws itself, without credit: leave out `credit`.")
        shot = film_hosted(policy, key, lanes=trained.config.envs, number=episode, most=MOST_FRAMES)
    else:
        shot = _film_compiled(policy, key, episode, pictures=not (attention or dream), credit=credit)
    name = f"step-{int(policy.step)}-seed-{seed}-episode-{episode}"
    place = folder / "episodes" if out is None else out
    if attention:
        figure, who = draw_attention(policy.algorithm, policy.state, shot.episode, agent)
        return [save(figure, place if place.suffix else place / f"attention-{who}-{name}.png")]
    if dream:
        start = shot.episode.length // 3 if start is None else start
        figure, who = draw_dream(policy.algorithm, policy.state, shot.episode, agent, start)
        return [save(figure, place if place.suffix else place / f"dream-{who}-{name}-from-{start}.png")]
    if out is None:
        episodes.save(shot.episode, place / f"{name}.npz")
    paths = [place] if place.suffix else [place / f"{name}{suffix}" for suffix in FILMS]
    return film(shot, paths, fps, folder.name, about(policy, seed, episode, shot.episode))


def _film_compiled(policy: Policy, key: Any, lane: int, *, pictures: bool, credit: bool) -> Filmed:
    """The episode that an evaluation with `key` plays in `lane`; with `credit`, its curves are below every frame."""
    stage = evaluation_world(policy.environment)
    if pictures:
        check_drawable(stage)
    played = record(stage, policy.algorithm, policy.state, key, lane=lane, step=policy.step)
    if not pictures:
        return Filmed(played, {})
    curves, times = credits(policy.algorithm, policy.state, played) if credit else {}, moments(played)
    return Filmed(played, dict(zip(times, frames(stage, played, times, curves), strict=True)))


def film(shot: Filmed, paths: Sequence[Path], fps: float | None, title: str, notes: Mapping[str, str]) -> list[Path]:
    """The pictures as films under `paths`, of the kinds that their suffixes say."""
    pictures = list(shot.frames.values())
    fps = float(np.clip(len(pictures) / 8.0, 3.0, 15.0)) if fps is None else fps
    for path in paths:
        if path.suffix == ".gif":
            to_gif(pictures, path, fps)
        else:
            to_html(pictures, path, fps, title, facts(shot.episode, list(shot.frames)), notes)
    return list(paths)


def _check(
    out: Path | None,
    episode: int,
    attention: bool,
    dream: bool,
    agent: str | None,
    start: int | None,
    fps: float | None,
) -> None:
    """Refuse what cannot be, before anything is computed."""
    if out is not None and out.suffix:
        check_suffix(out, SUFFIXES if attention or dream else FILMS)
    if episode < 0:
        raise BadInput(f"episodes are counted from 0, and episode {episode} was asked for.")
    if fps is not None and not 0 < fps <= 100:
        raise BadInput(f"`fps` must lie above 0 and not exceed 100 frames per second, got {fps}.")
    if agent is not None and not (attention or dream):
        raise BadInput(
            f"the agent {agent!r} is only of use with `attention` or `dream`: add one, or leave out the agent."
        )
    if start is not None and not dream:
        raise BadInput(f"`start` {start} is the step at which a dream begins: add `dream`, or leave it out.")


def check_drawable(environment: Any) -> None:
    """BadInput for an environment that has no `draw`."""
    if offered(environment, "draw") is None:
        raise BadInput(
            f"the environment {environment.spec.name!r} cannot be drawn: give it a method "
            "`draw(axes, state, now, action=None, history=None)`."
        )


# ---------------------------------------------------------------------------------------------------------------------
# Frames and numbers


def moments(episode: Episode) -> list[int]:
    """The steps that a film shows: all, or `MOST_FRAMES` of them with the first and the last."""
    count = min(episode.length + 1, MOST_FRAMES)
    return sorted({round(t) for t in np.linspace(0, episode.length, count)})


def frames(
    environment: Any,
    episode: Episode,
    times: Sequence[int] | None = None,
    curves: Mapping[str, Curves] = NO_CURVES,
) -> list[np.ndarray]:
    """The episode (or its steps `times`) as pictures, RGB uint8 [height, width, 3]."""
    check_drawable(environment)
    width, height = offered(environment, "picture") or (6.0, 6.3)
    whole = height + STRIP * len(curves)
    figure = blank(width, whole)
    figure.set_layout_engine("none")
    box = (0.02, 1.0 - 0.98 * height / whole, 0.96, 0.94 * height / whole)
    strips = [
        figure.add_axes((0.12, (i * STRIP + 0.55) / whole, 0.85, (STRIP - 0.95) / whole)) for i in range(len(curves))
    ]
    states = [episode.state(t) for t in range(episode.length + 1)]
    shown = range(episode.length + 1) if times is None else times
    canvases = [figure.add_axes(box, visible=False) for _ in shown]
    for axes, t in zip(canvases, shown, strict=True):
        environment.draw(axes, states[t], episode.step(t), action=None, history=states[:t])
    same_limits(canvases)
    box = roomy(canvases[0], box)
    pictures = []
    for axes, t in zip(canvases, shown, strict=True):
        for strip, (group, of_group) in zip(strips, curves.items(), strict=True):
            draw_credits(strip, of_group, group, t)
        axes.set_position(box)
        axes.set_visible(True)
        pictures.append(pixels(figure))
        axes.remove()
    return pictures


def roomy(axes: Axes, box: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
    """The place of `axes` in its figure, `box`, made smaller by what of its title and labels would be cut off."""
    figure = axes.get_figure()
    assert isinstance(figure, Figure)
    axes.set_visible(True)
    whole = axes.get_tightbbox(figure.canvas.get_renderer())  # type: ignore[attr-defined]
    axes.set_visible(False)
    if whole is None:
        return box
    shown = whole.transformed(figure.transFigure.inverted())
    left, low = max(0.0, MARGIN - shown.x0), max(0.0, MARGIN - shown.y0)
    right, high = max(0.0, shown.x1 - 1.0 + MARGIN), max(0.0, shown.y1 - 1.0 + MARGIN)
    return box[0] + left, box[1] + low, box[2] - left - right, box[3] - low - high


MARGIN = 0.01
"""Share of a frame that stays empty at its edges."""


def same_limits(canvases: Sequence[Axes]) -> None:
    """Show the same part of the plane in every frame: whatever any of them shows. Axes keep their direction."""
    for get, change in ((Axes.get_xlim, Axes.set_xlim), (Axes.get_ylim, Axes.set_ylim)):
        limits = np.array([get(axes) for axes in canvases])  # [frames, 2]
        ends = (limits.min(), limits.max())
        for axes, (first, last) in zip(canvases, limits, strict=True):
            change(axes, ends if first <= last else ends[::-1])


def facts(episode: Episode, times: Sequence[int]) -> dict[str, list[float]]:
    """Numbers for every frame: step, reward and return so far (mean over the agents of each group), measures."""
    steps, columns = episode.steps, {"step": np.arange(episode.length + 1)}
    for name, reward in steps.reward.items():
        earned = np.append(0.0, (reward[1:] * steps.alive[name][:-1]).mean(-1))
        label = f" {name}" if len(steps.reward) > 1 else ""
        columns |= {f"reward{label}": earned, f"return{label}": earned.cumsum()}
    columns |= {name.replace("_", " "): np.asarray(x) for name, x in episode.measures.items()}
    return {
        name: [float(f"{x:.5g}") for x in np.asarray(column, float)[list(times)]] for name, column in columns.items()
    }


def about(policy: Policy, seed: int, episode: int, played: Episode) -> dict[str, str]:
    """What a film shows, in a few words each."""
    returns = {name.split("/")[1]: f"{value:.4g}" for name, value in played.returns().items()}
    earned = ", ".join(returns.values() if len(returns) == 1 else (f"{name} {x}" for name, x in returns.items()))
    return {
        "world": policy.environment.spec.name,
        "trained for": f"{int(policy.step):,} steps",
        "seed": str(seed),
        "episode": str(episode),
        "return": earned,
    }


# ---------------------------------------------------------------------------------------------------------------------
# Files


def to_gif(frames: Sequence[np.ndarray], path: str | Path, fps: float) -> Path:
    """An endless GIF that rests on its last frame."""
    palette = _palette([frames[0], frames[len(frames) // 2], frames[-1]])
    first, *rest = (Image.fromarray(frame).quantize(palette=palette, dither=FEW["dither"]) for frame in frames)
    durations = [max(round(1000 / fps), 10)] * len(frames)
    durations[-1] = max(durations[-1], 1500)
    packed = io.BytesIO()
    first.save(packed, "GIF", save_all=True, append_images=rest, duration=durations, loop=0, optimize=False)
    return put(Path(path), packed.getvalue())


def _palette(frames: Sequence[np.ndarray]) -> Image.Image:
    """An image with 256 colors that suit these frames; what is nearly white is white."""
    palette = Image.fromarray(np.concatenate(frames)).quantize(256, **FEW)
    table = np.array(palette.getpalette()).reshape(-1, 3)
    table[table.min(1) > 248] = 255
    palette.putpalette(table.ravel().tolist())
    return palette


def to_html(
    frames: Sequence[np.ndarray],
    path: str | Path,
    fps: float,
    title: str,
    facts: Mapping[str, Sequence[float]],
    about: Mapping[str, str] | None = None,
) -> Path:
    """One page that plays, steps and scrubs through the frames and needs nothing else: no network, no other file.

    facts: numbers to show beside the picture, one per frame. about: what stands under the title.
    """
    for name, numbers in facts.items():
        if len(numbers) != len(frames):
            raise BadInput(f"the fact {name!r} has {len(numbers)} numbers, and there are {len(frames)} frames.")
    page = (files("covey.runs") / "player.html").read_text(encoding="utf-8")
    height, width = frames[0].shape[:2]
    show = {
        "title": title,
        "about": dict(about or {}),
        "fps": fps,
        "size": [width, height],
        "facts": {name: _finite(numbers) for name, numbers in facts.items()},
        "frames": _packed(frames, int(0.98 * (PAGE_BYTES - len(page)))),
    }
    data = json.dumps(show, ensure_ascii=False, allow_nan=False).replace("<", "\\u003c")  # no tag can end the script
    parts = {"{{title}}": html.escape(title), "{{show}}": data}
    page = re.sub("|".join(map(re.escape, parts)), lambda found: parts[found[0]], page)
    return put(Path(path), page.encode())


def _finite(numbers: Sequence[float]) -> list[float | None]:
    return [float(x) if np.isfinite(x) else None for x in numbers]


def _packed(frames: Sequence[np.ndarray], most: int) -> list[str]:
    """The frames as data URIs, in the best quality that fits into `most` bytes."""
    packed: list[str] = []
    for colors, quality, scale in QUALITIES:
        packed = [_webp(frame, colors, quality, scale) for frame in frames]
        if sum(map(len, packed)) <= most:
            break
    return packed


def _webp(frame: np.ndarray, colors: int | None, quality: int, scale: float) -> str:
    image = Image.fromarray(frame)
    if colors is not None:  # few colors pack twice as well, and drawings have few
        image = image.quantize(colors, **FEW).convert("RGB")
    if scale != 1.0:
        image = image.resize((round(scale * image.width), round(scale * image.height)), Image.Resampling.LANCZOS)
    packed = io.BytesIO()
    image.save(packed, "WEBP", lossless=colors is not None, quality=quality, method=4)
    return "data:image/webp;base64," + base64.b64encode(packed.getvalue()).decode()
