"""What an agent's world model imagines from a step of an episode on, drawn beside what happened.

Solid lines are what happened. Dashed lines are means over the samples of a dream, and the band around them holds four
fifths of the samples. Pictures are of one sample. A cross marks what somebody did.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from covey.core.algorithm import Algorithm
from covey.core.errors import BadInput
from covey.core.optional import offered
from covey.core.types import Field, Spec
from covey.environments.plane import FAINT, INK
from covey.learning.dreams import Dream
from covey.nn.joint import brightest
from covey.runs.attention import Place, find, name_of
from covey.runs.episode import Episode
from covey.runs.figures import blank, colors, plain

COLUMNS, PANEL = 3, (3.9, 2.5)
"""Panels in a row, and inches of each."""

MOST_LINES, MOST_PICTURES, MOST_MATES = 6, 8, 6
"""A panel shows the numbers that vary most, a row of pictures so many of them, and a figure so many team mates."""


def draw_dream(
    algorithm: Algorithm, agent_state: Any, episode: Episode, agent: str | None, start: int
) -> tuple[Figure, str]:
    """The figure of what `agent` (by default the first) imagines from step `start` on, and its name.

    BadInput for algorithms that imagine nothing, and where the episode is over by then.
    """
    dream = offered(algorithm, "dream")
    if dream is None:
        raise BadInput(
            f"there is no dream to draw: {type(algorithm).__name__} has no world model; render a run of 'matwm'."
        )
    if not 0 <= start < episode.length:
        raise BadInput(
            f"a dream cannot begin at step {start} of an episode of {episode.length} steps: choose one from 0 to "
            f"{episode.length - 1}."
        )
    place = find(algorithm.spec, algorithm.groups, agent)
    name = name_of(algorithm.spec, place)
    steps, actions = jax.tree.map(jnp.asarray, (episode.steps, episode.actions))
    dreamt = jax.jit(partial(dream, agent=name, start=start))(agent_state, steps, actions, key=jax.random.key(start))
    return _figure(algorithm.spec, episode, jax.device_get(dreamt), place, start), name


def _figure(spec: Spec, episode: Episode, dream: Dream, place: Place, start: int) -> Figure:
    group, horizon = spec.groups[place.group], dream.reward.shape[1]
    steps = np.arange(start, start + horizon + 1)
    seen = group.fields_of(jax.tree.map(lambda x: x[steps, place.index], episode.steps.obs[place.group]))
    views = [field for field in group.obs if field.picture]
    rest = [field for field in group.obs if not field.picture]
    panels = [
        partial(_draw_numbers, field=x, who=place.index, steps=steps, real=seen[x.name], said=dream.obs[x.name])
        for x in rest
    ]
    if _is_on_a_plane(rest):
        panels.insert(0, partial(_draw_paths, fields=rest, real=seen, said=dream.obs))
    earned, future = (x[place.group][steps[1:], place.index] for x in (episode.steps.reward, episode.steps.discount))
    panels.append(partial(_draw_line, title="reward", steps=steps[1:], real=earned, said=dream.reward))
    panels.append(
        partial(_draw_line, title="chance of a future", steps=steps[1:], real=future, said=dream.discount, ends=(0, 1))
    )
    for mate, chances in list(dream.others.items())[:MOST_MATES]:
        done = _done(spec, episode, mate)[steps[:-1]]
        panels.append(partial(_draw_mate, mate=mate, steps=steps[:-1], done=done, chances=chances.mean(0)))
    rows = -(-len(panels) // COLUMNS)
    tall = [2.4 * len(views)] * bool(views) + [PANEL[1] * rows]
    figure = blank(COLUMNS * PANEL[0], sum(tall) + 0.5)
    parts = figure.subfigures(len(tall), 1, height_ratios=tall, squeeze=False)[:, 0]
    if views:
        _draw_pictures(parts[0], views, steps, seen, dream.obs)
    grid = parts[-1].subplots(rows, COLUMNS, squeeze=False).ravel()
    for axes, panel in zip(grid, panels, strict=False):
        panel(axes)
    for axes in grid[len(panels) :]:
        axes.set_axis_off()
    title = f"{group.names[place.index]}: what happened (solid), and what it imagines from step {start} on (dashed)"
    figure.suptitle(title, fontsize=11, weight="bold", color=INK, x=0.01, ha="left")
    return figure


# ---------------------------------------------------------------------------------------------------------------------
# Numbers


def _draw_line(
    axes: Any,
    title: str,
    steps: np.ndarray,
    real: np.ndarray,
    said: np.ndarray,
    ends: tuple[float, float] | None = None,
) -> None:
    """One number, [T] as it was and [R, T] as it was imagined, which lies between `ends`."""
    _draw_lines(axes, steps, real[:, None], said[..., None], [""])
    if ends is not None:
        axes.set_ylim(ends[0] - 0.03, ends[1] + 0.03)
    plain(axes, title, x="step")


def _draw_numbers(axes: Any, field: Field, who: int, steps: np.ndarray, real: np.ndarray, said: np.ndarray) -> None:
    """The numbers of a field that are the agent `who`'s own; of many, those that vary most."""
    count = field.valid[who] if field.valid else field.size
    real, said = real.reshape(len(steps), -1)[:, :count], said.reshape(*said.shape[:2], -1)[..., :count]
    shown = np.sort(np.argsort(-np.ptp(real, 0), kind="stable")[:MOST_LINES])
    names = [str(list(map(int, np.unravel_index(k, field.shape)))) for k in shown] if field.size > 1 else [""]
    _draw_lines(axes, steps, real[:, shown], said[..., shown], names)
    more = "" if len(shown) == count else f" ({len(shown)} of {count} numbers)"
    plain(axes, f"{field.name}{more}", x="step", y=field.unit)
    if field.size > 1:
        axes.legend(frameon=False, fontsize=7.5, ncols=3, loc="best")


def _draw_lines(axes: Any, steps: np.ndarray, real: np.ndarray, said: np.ndarray, names: Sequence[str]) -> None:
    low, high = np.quantile(said, (0.1, 0.9), axis=0)
    for k, (color, name) in enumerate(zip(colors(len(names)), names, strict=True)):
        axes.fill_between(steps, low[:, k], high[:, k], color=color, alpha=0.15, linewidth=0)
        axes.plot(steps, real[:, k], color=color, linewidth=1.8, label=name)
        axes.plot(steps, said[..., k].mean(0), color=color, linewidth=1.6, linestyle=(0, (3, 2)))
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))


# ---------------------------------------------------------------------------------------------------------------------
# Places in a plane


def _is_on_a_plane(fields: Sequence[Field]) -> bool:
    return any(field.name == "position" and field.shape == (2,) for field in fields)


def _draw_paths(axes: Any, fields: Sequence[Field], real: Mapping[str, Any], said: Mapping[str, Any]) -> None:
    """Where the agent goes, by its field `position`; and where others are, by fields of the same unit, seen from it."""
    own = next(field for field in fields if field.name == "position")
    near = [x for x in fields if x is not own and x.unit == own.unit and len(x.shape) == 2 and x.shape[1] == 2]
    means = {name: x.mean(0) for name, x in said.items()}
    for field, color in zip([own, *near], colors(1 + len(near)), strict=True):
        for source, style, mark in ((real, "-", "o"), (means, (0, (3, 2)), "x")):
            at = source["position"][:, None]
            paths = at if field is own else at + source[field.name].reshape(len(at), *field.shape)
            for path in np.moveaxis(paths, 1, 0):
                axes.plot(*path.T, color=color, linewidth=1.6, linestyle=style)
                axes.plot(*path[-1], color=color, marker=mark, markersize=4)
        axes.plot([], [], color=color, label=field.name)
    axes.set_aspect("equal", adjustable="datalim")
    plain(axes, "places", x=own.unit)
    axes.legend(frameon=False, fontsize=7.5, loc="best")


# ---------------------------------------------------------------------------------------------------------------------
# Team mates, and pictures


def _done(spec: Spec, episode: Episode, agent: str) -> np.ndarray:
    """What an agent chose [T, P]."""
    name, group = next((name, group) for name, group in spec.groups.items() if agent in group.names)
    return np.asarray(episode.actions[name])[:, group.names.index(agent)].reshape(episode.length, -1)


def _draw_mate(axes: Any, mate: str, steps: np.ndarray, done: np.ndarray, chances: np.ndarray) -> None:
    """Chances [T, P, C] of what a team mate does, parts one over the other, and what it did."""
    parts, choices = chances.shape[1:]
    edges = (steps[0] - 0.5, steps[-1] + 0.5, parts * choices - 0.5, -0.5)
    axes.imshow(chances.reshape(len(steps), -1).T, extent=edges, vmin=0, vmax=1, cmap="Greys", aspect="auto")
    for part in range(done.shape[1]):
        axes.plot(steps, part * choices + done[:, part], "x", color=colors(2)[1], markersize=6, linewidth=0)
    plain(axes, f"{mate}: chances of its actions", x="step", y="action")
    axes.grid(visible=False)
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(6, integer=True))


def _draw_pictures(
    part: Any, views: Sequence[Field], steps: np.ndarray, real: Mapping[str, Any], said: Mapping[str, Any]
) -> None:
    """Of every picture two rows: what was seen, and what was imagined."""
    shown = np.unique(np.linspace(0, len(steps) - 1, min(len(steps), MOST_PICTURES)).round().astype(int))
    grid = part.subplots(2 * len(views), len(shown), squeeze=False)
    for row, field in enumerate(views):
        for source, (label, pictures) in enumerate((("seen", real[field.name]), ("imagined", said[field.name][0]))):
            for axes, t in zip(grid[2 * row + source], shown, strict=True):
                _show(axes, np.asarray(pictures[t], float) / brightest(field), field)
                axes.set_title(f"step {steps[t]}" if source == 0 else "", fontsize=8, color=INK)
            grid[2 * row + source, 0].set_ylabel(f"{field.name}\n{label}", fontsize=8, color=INK)


def _show(axes: Any, picture: np.ndarray, field: Field) -> None:
    """A picture from 0 to 1: in color with three channels, else the mean of its channels in gray."""
    height, across, channels = field.picture
    picture = picture.reshape(height, across, channels).clip(0, 1)
    axes.imshow(picture if channels == 3 else picture.mean(-1), cmap="gray", vmin=0, vmax=1)
    axes.set(xticks=[], yticks=[])
    for spine in axes.spines.values():
        spine.set_color(FAINT)
