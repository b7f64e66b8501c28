"""Pictures of the routing environment: pipes as wide as their capacity, filled as far as they are used.

A frame is laid out in points on whatever axes it is given: a line of numbers, the network, and a chart of the MLU so
far against what the linear program reaches. NumPy and matplotlib only; never compiled.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import equinox as eqx
import numpy as np
from matplotlib.collections import PolyCollection
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.patheffects import withStroke
from matplotlib.ticker import MaxNLocator

from covey.environments.plane import FAINT, INK, PAPER
from covey.environments.routing.flow import settled

if TYPE_CHECKING:
    from covey.environments.routing.environment import Routing
    from covey.environments.routing.records import Sketch, State

SHADES = ("#97DECE", "#6FC2C1", "#4DA5B5", "#3486A7", "#296796", "#284882", "#282869")
USE = LinearSegmentedColormap.from_list("use", SHADES)
"""Utilization from 0 to 1, in equal steps of lightness (Oklab)."""
OVER, PIPE, SHARE = "#D7263D", "#DFE4E8", "#B4530A"
HEADER, CHART = 40.0, 78.0  # points at the top and at the bottom
WIDEST, THINNEST = 15.0, 3.0  # points of pipes
MOST_STRETCH = 1.8  # between the two axes of the network's coordinates
LEGIBLE = 46.0  # points that a pipe needs to carry its number


class Pipe(NamedTuple):
    """Where a link is drawn: from `tail` to `head`, `width` points wide; `along` and `across` are unit vectors.

    `aside`: it lies to the right of its nodes' line, because the opposite link lies to the left.
    """

    tail: np.ndarray
    head: np.ndarray
    along: np.ndarray
    across: np.ndarray
    width: float
    aside: bool

    @property
    def length(self) -> float:
        return float((self.head - self.tail) @ self.along)

    def at(self, along: float, across: float = 0.0) -> np.ndarray:
        """The point so many points from the tail and to the left."""
        return self.tail + along * self.along + across * self.across

    def band(self, width: float, end: float) -> np.ndarray:
        """The four corners of the pipe's first `end` points, `width` wide."""
        half = width / 2
        return np.stack([self.at(0, half), self.at(end, half), self.at(end, -half), self.at(0, -half)])


def draw(axes: Any, environment: Routing, state: State, now: Any, action: Any = None, history: Any = None) -> None:
    """One frame: see `Routing.draw`."""
    width, height = canvas(axes)
    split = np.asarray(state.action if action is None else action["router"])
    utilization = np.asarray(state.utilization, float)
    up = np.asarray(environment.failures.up)[int(state.failure)]
    short = max(map(len, environment.sketch.nodes)) <= 2
    places = laid_out(environment.sketch, (44.0, CHART + 26.0, width - 44.0, height - HEADER - 26.0))
    pipes = laid_pipes(environment.sketch, places, np.asarray(environment.wiring.capacity), 12.0 if short else 6.0)
    draw_header(axes, environment, state, width, height)
    draw_pipes(axes, pipes, utilization, up)
    draw_nodes(axes, environment, places, short)
    draw_utilization(axes, pipes, utilization, up)
    draw_shares(axes, environment.sketch, pipes, shares(environment, state, split))
    draw_chart(axes, environment, state, history or [], width)


def canvas(axes: Any) -> tuple[float, float]:
    """Clear `axes` and make one unit one point: (width, height)."""
    axes.clear()
    axes.set_axis_off()
    box = axes.get_window_extent()
    width, height = (72.0 * side / axes.figure.dpi for side in (box.width, box.height))
    axes.set(xlim=(0, width), ylim=(0, height))
    return width, height


# ---------------------------------------------------------------------------------------------------------------------
# Layout


def laid_out(sketch: Sketch, box: tuple[float, float, float, float]) -> np.ndarray:
    """The nodes in the box (left, bottom, right, top): [V, 2], stretched to fill it, but not beyond recognition."""
    places = np.asarray(sketch.places, float)
    extent = np.maximum(np.ptp(places, axis=0), 1e-9)
    corner, side = np.array(box[:2]), np.array([box[2] - box[0], box[3] - box[1]])
    scale = np.where(np.ptp(places, axis=0) > 1e-9, side / extent, np.inf)
    scale = np.minimum(scale, MOST_STRETCH * scale.min())
    middle = (places.max(0) + places.min(0)) / 2
    return corner + side / 2 + (places - middle) * np.where(np.isfinite(scale), scale, 0.0)


def laid_pipes(sketch: Sketch, places: np.ndarray, capacity: np.ndarray, radius: float) -> list[Pipe]:
    """Every link as a pipe whose width is its share of the largest capacity; opposite links lie side by side."""
    both = {(b, a) for a, b in sketch.links} & set(sketch.links)
    widest = WIDEST / 2 if both else WIDEST
    return [
        _pipe(places[a], places[b], max(THINNEST, widest * size), radius, aside=(a, b) in both)
        for (a, b), size in zip(sketch.links, capacity / capacity.max(), strict=True)
    ]


def _pipe(a: np.ndarray, b: np.ndarray, width: float, radius: float, aside: bool) -> Pipe:
    along = (b - a) / max(float(np.linalg.norm(b - a)), 1e-9)
    across = np.array([-along[1], along[0]])
    shift = -(width / 2 + 1.2) * across if aside else np.zeros(2)
    gap = radius + 3.0
    return Pipe(a + gap * along + shift, b - gap * along + shift, along, across, width, aside)


# ---------------------------------------------------------------------------------------------------------------------
# The network


def color_of(utilization: float) -> Any:
    return OVER if utilization > 1.0 else USE(float(utilization))


def draw_pipes(axes: Any, pipes: list[Pipe], utilization: np.ndarray, up: np.ndarray) -> None:
    """Pale pipes as wide as the capacity, in them the load; what is overloaded overflows, what is down is dashed."""
    live = [(pipe, use) for pipe, use, there in zip(pipes, utilization, up, strict=True) if there]
    ends = [max(pipe.length - _tip(pipe), 1.0) for pipe, _ in live]
    casing = [pipe.band(pipe.width, end) for (pipe, _), end in zip(live, ends, strict=True)]
    load = [pipe.band(pipe.width * min(use, 1.6), end) for (pipe, use), end in zip(live, ends, strict=True)]
    tips = [_arrow(pipe) for pipe, _ in live]
    colors = [color_of(use) for _, use in live]
    axes.add_collection(PolyCollection(casing, facecolors=PIPE, edgecolors="none", zorder=2))
    axes.add_collection(PolyCollection(load, facecolors=colors, edgecolors="none", zorder=3))
    axes.add_collection(PolyCollection(tips, facecolors=colors, edgecolors="none", zorder=3))
    for pipe, there in zip(pipes, up, strict=True):
        if not there:
            line = np.stack([pipe.tail, pipe.head]).T
            axes.plot(*line, color=FAINT, linewidth=1.4, linestyle=(0, (3, 3)), zorder=2)


def _tip(pipe: Pipe) -> float:
    """Length of the arrow's head in points."""
    return min(5.0 + 0.4 * pipe.width, pipe.length / 2)


def _arrow(pipe: Pipe) -> np.ndarray:
    half = 2.2 + 0.5 * pipe.width
    start = pipe.length - _tip(pipe)
    return np.stack([pipe.at(start, half), pipe.head, pipe.at(start, -half)])


def draw_nodes(axes: Any, environment: Routing, places: np.ndarray, short: bool) -> None:
    """Routers that decide are dark, the others light; long names stand beside their node, where there is most room."""
    sketch, deciding = environment.sketch, set(environment.wiring.agents)
    fill = [INK if node in deciding else "white" for node in range(len(places))]
    axes.scatter(*places.T, s=(24.0 if short else 10.0) ** 2, color=fill, edgecolors=INK, linewidths=1.5, zorder=6)
    for node, ((x, y), name) in enumerate(zip(places, sketch.nodes, strict=True)):
        if short:
            style = {"color": "white" if node in deciding else INK, "weight": "bold", "fontsize": 11}
            axes.text(x, y, name, ha="center", va="center_baseline", zorder=7, **style)
        else:
            dx, dy = _room(sketch, places, node)
            ha, va = _anchor(dx, "left", "right"), _anchor(dy, "bottom", "top")
            axes.text(x + 9 * dx, y + 9 * dy, name, color=INK, fontsize=7.5, ha=ha, va=va, zorder=10, **_halo())


def _room(sketch: Sketch, places: np.ndarray, node: int) -> tuple[float, float]:
    """The direction from a node in which there are no links: the middle of the widest gap between them."""
    ends = {b if a == node else a for a, b in sketch.links if node in (a, b)}
    angles = np.sort([np.arctan2(*(places[end] - places[node])[::-1]) for end in ends])
    gaps = np.diff(np.append(angles, angles[0] + 2 * np.pi))
    middle = angles[gaps.argmax()] + gaps.max() / 2
    return float(np.cos(middle)), float(np.sin(middle))


def _anchor(direction: float, positive: str, negative: str) -> str:
    """How text is aligned that stands in a direction from its point."""
    return "center" if abs(direction) < 0.5 else positive if direction > 0 else negative


def draw_utilization(axes: Any, pipes: list[Pipe], utilization: np.ndarray, up: np.ndarray) -> None:
    """The utilization in percent on every pipe that is long enough; the busiest link always has it, in a frame."""
    busiest = int(np.argmax(utilization))
    for link, (pipe, use) in enumerate(zip(pipes, utilization, strict=True)):
        if not up[link] or (link != busiest and pipe.length < LEGIBLE):
            continue
        color = color_of(use)
        box = {"boxstyle": "round,pad=0.28", "facecolor": "white", "edgecolor": color, "linewidth": 0.7}
        if link == busiest:
            box |= {"facecolor": color, "linewidth": 1.6}
        ink = "white" if link == busiest and use > 0.3 else INK
        style = {"fontsize": 8.0 if link != busiest else 9.0, "weight": "bold" if link == busiest else "normal"}
        place = pipe.at((0.32 if pipe.aside else 0.5) * pipe.length)
        axes.text(*place, f"{100 * use:.0f}", color=ink, ha="center", va="center", bbox=box, zorder=8, **style)


def draw_shares(axes: Any, sketch: Sketch, pipes: list[Pipe], share: np.ndarray) -> None:
    """Beside the tail of every pipe the share of its router's own traffic that takes it."""
    for link, (pipe, part) in enumerate(zip(pipes, share, strict=True)):
        if np.isfinite(part) and pipe.length >= LEGIBLE:
            siblings = [
                other for other, ends in zip(pipes, sketch.links, strict=True) if ends[0] == sketch.links[link][0]
            ]
            place = pipe.at(24.0 if pipe.aside else 15.0, _free_side(pipe, siblings) * (pipe.width / 2 + 7.5))
            style = {"fontsize": 7.5 if not pipe.aside else 6.5, "ha": "center", "va": "center"}
            axes.text(*place, f"{100 * part:.0f}%", color=SHARE, zorder=9, **style, **_halo())


def _free_side(pipe: Pipe, siblings: list[Pipe]) -> float:
    """1 for the left of a pipe's tail, -1 for the right: the side on which the next pipe of that router is farther."""
    if pipe.aside:
        return -1.0
    turns = [np.arctan2(other.along @ pipe.across, other.along @ pipe.along) for other in siblings if other is not pipe]
    left = min([turn % (2 * np.pi) for turn in turns], default=np.pi)
    right = min([-turn % (2 * np.pi) for turn in turns], default=np.pi)
    return 1.0 if left >= right else -1.0


def shares(environment: Routing, state: State, split: Any) -> np.ndarray:
    """[L] share of what a deciding router sends that takes each of its links, NaN where it has one link or no say.

    Under path control a router splits what enters the network there, under hop control all that passes. What counts is
    the demand of the last step, as it flows under `split` without delays.
    """
    wiring, links = environment.wiring, np.asarray(environment.sketch.links)
    last = max(int(state.start) + int(state.clock) - 1, 0)
    flow = np.asarray(_settled(wiring, np.asarray(split), np.asarray(environment.bank.mean)[last]))  # [L, M]
    open_to = wiring.ratio != wiring.legal.size  # [L, M]  may the label take the link? (that index means: never)
    if wiring.by_path:
        open_to = open_to & (wiring.entry[0] == links[:, :1])
    sent, used = np.where(open_to, flow, 0.0).sum(1), open_to.any(1)
    siblings = links[:, :1] == links[:, 0]  # [L, L]  do two links leave the same node?
    chosen = np.isin(links[:, 0], wiring.agents) & used & (siblings @ used.astype(int) > 1)
    return np.where(chosen, sent / np.maximum(siblings @ sent, 1e-9), np.nan)


_settled = eqx.filter_jit(settled)


def _halo() -> dict[str, Any]:
    return {"path_effects": [withStroke(linewidth=2.4, foreground="white")]}


# ---------------------------------------------------------------------------------------------------------------------
# Numbers


def draw_header(axes: Any, environment: Routing, state: State, width: float, height: float) -> None:
    """The environment and the step on the left, the MLU and the least possible on the right, and what colors mean."""
    top = height - 12.0
    axes.text(10, top, environment.spec.name, fontsize=12, weight="bold", color=INK, va="center")
    clock = f"step {int(state.clock)} of {environment.spec.time_limit}"
    axes.text(10, top - 17, clock, fontsize=9.5, color=FAINT, va="center")
    mlu, optimum = float(state.mlu), float(state.optimum)
    color = OVER if mlu > 1.0 else INK
    known = f"{least(environment)} {optimum:.3f}" if optimum > 0 else ""
    axes.text(width - 10, top, f"MLU {mlu:.3f}", fontsize=12, weight="bold", color=color, ha="right", va="center")
    axes.text(width - 10, top - 17, known, fontsize=9.5, color=FAINT, ha="right", va="center")
    draw_legend(axes, width / 2, top - 8)


def draw_legend(axes: Any, x: float, y: float) -> None:
    """A row of swatches from idle to full, the color of overload, and what the loose percentages are."""
    count, side, high = 5, 22.0, 7.0
    left = x - side * (count + 3.4) / 2
    corners = np.array([(0, 0), (1, 0), (1, 1), (0, 1)]) * (side, high)
    boxes = [corners + np.array([left + side * i, y]) for i in (*range(count), count + 0.4)]
    colors = [USE((i + 0.5) / count) for i in range(count)] + [OVER]
    axes.add_collection(PolyCollection(boxes, facecolors=colors, edgecolors="none", zorder=3))
    style = {"fontsize": 7.5, "color": FAINT, "va": "top"}
    axes.text(left, y - 3, "0", ha="left", **style)
    axes.text(left + side * count / 2, y - 3, "% of capacity", ha="center", **style)
    axes.text(left + side * count, y - 3, "100", ha="right", **style)
    axes.text(left + side * (count + 0.9), y - 3, "over", ha="center", **style)
    axes.text(left + side * (count + 2.7), y - 3, "split", ha="center", **style)
    axes.text(left + side * (count + 2.7), y + 3.5, "50%", ha="center", **style | {"color": SHARE, "va": "center"})


def least(environment: Routing) -> str:
    """What the linear program's number is: with delays a bound that ignores them, else the optimum."""
    return "static bound" if environment.delays else "optimum"


def draw_chart(axes: Any, environment: Routing, state: State, history: list[Any], width: float) -> None:
    """The MLU so far, and the linear program's over the whole episode."""
    limit, start = int(environment.spec.time_limit or 1), int(state.start)
    optimum = np.asarray(environment.bank.optimum)[int(state.failure), start : start + limit]
    so_far = [s for s in [*history, state] if int(s.clock) > 0]
    steps, mlu = [int(s.clock) for s in so_far], [float(s.mlu) for s in so_far]
    top = 1.15 * max([*optimum, *mlu, 1e-6])
    chart = axes.inset_axes((44, 22, width - 124, CHART - 30), transform=axes.transData)
    chart.set(xlim=(0, limit), ylim=(0, top), facecolor=PAPER)
    _plain(chart, top)
    chart.plot(np.arange(1, len(optimum) + 1), optimum, color=FAINT, linewidth=1.2, linestyle=(0, (3, 2)))
    if top > 1.0:
        chart.axhline(1.0, color=OVER, linewidth=0.8, alpha=0.6)
    if mlu:
        chart.plot(steps, mlu, color=INK, linewidth=1.8, solid_capstyle="round")
        chart.scatter(steps[-1:], mlu[-1:], s=22, color=OVER if mlu[-1] > 1.0 else INK, zorder=5, clip_on=False)
    _name_lines(chart, {least(environment): (optimum[-1], FAINT), "MLU": (mlu[-1] if mlu else optimum[0], INK)}, top)


def _plain(chart: Any, top: float) -> None:
    for side in ("top", "right", "left"):
        chart.spines[side].set_visible(False)
    chart.spines["bottom"].set_color(FAINT)
    tick = next(step for step in (0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, top) if top / step < 4)
    chart.set_yticks(np.arange(0, top, tick))
    chart.tick_params(labelsize=7.5, colors=FAINT, length=2, width=0.6, pad=2)
    chart.grid(axis="y", color="#E7E9EB", linewidth=0.6)
    chart.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    chart.set_xlabel("step", fontsize=7.5, color=FAINT, labelpad=1)


def _name_lines(chart: Any, lines: dict[str, tuple[float, str]], top: float) -> None:
    """Names at the right end of the lines, kept apart."""
    (low, (y_low, c_low)), (high, (y_high, c_high)) = sorted(lines.items(), key=lambda item: item[1][0])
    apart = 0.24 * top
    if y_high - y_low < apart:
        middle = min(max((y_low + y_high) / 2, apart / 2), top - apart / 2)
        y_low, y_high = middle - apart / 2, middle + apart / 2
    for name, y, color in ((low, y_low, c_low), (high, y_high, c_high)):
        style = {"fontsize": 8.5, "color": color, "va": "center", "annotation_clip": False}
        chart.annotate(name, (1.0, y), (6, 0), xycoords=("axes fraction", "data"), textcoords="offset points", **style)
