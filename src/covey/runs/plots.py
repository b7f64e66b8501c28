"""Figures of studies: learning curves between rules and bounds, beside published ones, and bars of a sweep.

Plain arrays in, a matplotlib figure out. The band around a mean and the whisker of a bar are 95 % t confidence
intervals over seeds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from covey.core.errors import BadInput
from covey.environments.plane import FAINT, INK
from covey.runs.evaluate import interval
from covey.runs.figures import blank, colors, plain, save

__all__ = ["bars", "beside", "curves", "save"]

Curve = tuple[Any, Any]
"""x [T] and y [T, S], of every seed; or y [T], of one."""

APART = 0.052  # least distance of two labels, as a share of the height
DOTTED, DASHED = (0, (1, 2)), (0, (4, 2))


class Label(NamedTuple):
    """Words at the right end of a line."""

    text: str
    height: float
    color: Any


def curves(
    title: str,
    measured: Mapping[str, Curve],
    levels: Mapping[str, float] | None = None,
    x: str = "environment steps",
    y: str = "return per episode",
    *,
    published: Mapping[str, tuple[Any, Any]] | None = None,
) -> Figure:
    """Means over seeds with their intervals, every line named at its end.

    levels: horizontal lines (rules, bounds, optima). published: a paper's curves (x [T], y [T]) on the same scales,
    dashed; one with the name of a measured curve has its color.
    """
    figure = blank(7.6, 4.4)
    axes = figure.subplots()
    tones = dict(zip(measured, colors(len(measured)), strict=True))
    labels = _draw_curves(axes, measured, tones)
    for name, (xs, ys) in (published or {}).items():
        axes.plot(xs, ys, color=tones.get(name, FAINT), linewidth=1.4, linestyle=DASHED)
        labels.append(Label(f"{name}, published", _last(np.asarray(ys, float)), tones.get(name, FAINT)))
    labels += _draw_levels(axes, levels or {})
    _finish(axes, title, x, y, labels)
    return figure


def beside(
    title: str, ours: Mapping[str, Curve], theirs: Mapping[str, np.ndarray], steps_per_episode: float | None = None
) -> Figure:
    """A published figure on the left and ours on the right, in the same colors, each on its own scale.

    theirs: the column `episode` [T] and one column [T] per curve. ours: curves over environment steps, shown over
    episodes where `steps_per_episode` is known.
    """
    lines = [name for name in theirs if name != "episode"]
    names = list(dict.fromkeys([*lines, *ours]))
    tones = dict(zip(names, colors(len(names)), strict=True))
    figure = blank(11.6, 4.2)
    left, right = figure.subplots(1, 2)
    published = {name: (theirs["episode"], theirs[name]) for name in lines}
    _finish(left, f"{title}: published", "episode", "return per episode", _draw_curves(left, published, tones))
    per = steps_per_episode or 1.0
    rescaled = {name: (np.asarray(xs, float) / per, ys) for name, (xs, ys) in ours.items()}
    unit = "episode" if steps_per_episode else "environment steps"
    _finish(right, f"{title}: ours", unit, "return per episode", _draw_curves(right, rescaled, tones))
    return figure


def bars(
    title: str,
    results: Mapping[str, Sequence[float] | np.ndarray],
    levels: Mapping[str, float] | None = None,
    x: str = "",
    y: str = "return per episode",
    *,
    published: Mapping[str, float] | None = None,
) -> Figure:
    """A bar per setting (K of a sweep, say): the mean over seeds, its interval, and the seeds as dots.

    published: what the paper reports, by setting, as open diamonds. levels: horizontal lines by name.
    """
    if not results or not all(np.size(values) for values in results.values()):
        raise BadInput("there are no bars to draw: give every setting the value of at least one seed.")
    figure = blank(max(4.6, 1.6 + 0.95 * len(results)), 4.2)
    axes = figure.subplots()
    for i, values in enumerate(results.values()):
        _draw_bar(axes, i, np.asarray(values, float))
    labels = _draw_levels(axes, levels or {})
    if published:
        places = [_position(name, results) + 0.4 for name in published]
        style = {"marker": "D", "s": 34, "facecolors": "white", "edgecolors": INK, "linewidths": 1.3, "zorder": 5}
        axes.scatter(places, list(published.values()), label="published", **style)
        axes.set_ylim(top=axes.get_ylim()[0] + 1.12 * np.ptp(axes.get_ylim()))
        axes.legend(frameon=False, fontsize=9.5, labelcolor=INK, loc="upper left", handletextpad=0.2)
    plain(axes, title, x, y)
    axes.set_xticks(range(len(results)), list(results))
    axes.set_xlim(-0.6, len(results) - 0.4)
    _write_labels(axes, labels)
    return figure


# ---------------------------------------------------------------------------------------------------------------------
# Lines and bars


def band(name: str, curve: Curve) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """x [T], the mean over seeds, and the ends of its interval, which fall on the mean where there is one seed."""
    xs, ys = np.asarray(curve[0], float), np.asarray(curve[1], float)
    ys = ys[:, None] if ys.ndim == 1 else ys
    if xs.ndim != 1 or ys.ndim != 2 or len(ys) != len(xs) or not len(xs):
        raise BadInput(f"the curve {name!r} has x of shape {xs.shape} and y of shape {ys.shape}: give [T] and [T, S].")
    middle, low, high = np.array([interval(row) for row in ys]).T
    return xs, middle, np.where(np.isnan(low), middle, low), np.where(np.isnan(high), middle, high)


def _draw_curves(axes: Any, measured: Mapping[str, Curve], tones: Mapping[str, Any]) -> list[Label]:
    if not measured:
        raise BadInput("there are no curves to draw: give at least one.")
    labels = []
    for name, curve in measured.items():
        xs, middle, low, high = band(name, curve)
        axes.fill_between(xs, low, high, color=tones[name], alpha=0.18, linewidth=0)
        axes.plot(xs, middle, color=tones[name], linewidth=2.0)
        labels.append(Label(name, _last(middle), tones[name]))
    return labels


def _draw_levels(axes: Any, levels: Mapping[str, float]) -> list[Label]:
    for value in levels.values():
        axes.axhline(value, color=INK, linewidth=1.0, linestyle=DOTTED)
    return [Label(name, float(value), INK) for name, value in levels.items()]


def _draw_bar(axes: Any, i: int, values: np.ndarray) -> None:
    middle, low, high = interval(values)
    (color,) = colors(1)
    axes.bar(i, middle, width=0.58, color=color, alpha=0.85)
    if not np.isnan(low):
        axes.plot([i, i], [low, high], color=INK, linewidth=1.6, solid_capstyle="butt", zorder=5)
    places = i + (np.linspace(-0.2, 0.2, len(values)) if len(values) > 1 else np.zeros(1))
    axes.scatter(places, values, s=13, color="white", edgecolors=INK, linewidths=0.8, zorder=4)


def _position(name: str, results: Mapping[str, Any]) -> int:
    if name not in results:
        raise BadInput(f"the published value of {name!r} belongs to no bar; the bars are {', '.join(results)}.")
    return list(results).index(name)


# ---------------------------------------------------------------------------------------------------------------------
# Words


def _finish(axes: Any, title: str, x: str, y: str, labels: Sequence[Label]) -> None:
    plain(axes, title, x, y)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: short(value)))
    axes.margins(x=0)
    _write_labels(axes, labels)


def _write_labels(axes: Any, labels: Sequence[Label]) -> None:
    """The labels to the right of the axes, each as near to its line as the others allow."""
    bottom, top = axes.get_ylim()
    axes.set_ylim(bottom, top)
    ordered = sorted((label for label in labels if np.isfinite(label.height)), key=lambda label: label.height)
    heights = spread([(label.height - bottom) / (top - bottom) for label in ordered], APART)
    for label, height in zip(ordered, heights, strict=True):
        style = {"textcoords": "offset points", "va": "center", "fontsize": 9.5, "color": label.color}
        axes.annotate(label.text, (1.0, height), (7, 0), xycoords="axes fraction", annotation_clip=False, **style)


def spread(heights: Sequence[float], apart: float) -> list[float]:
    """Sorted heights, moved as little as it takes to be `apart`: clusters that would overlap are spaced out evenly."""
    clusters: list[list[float]] = []
    for height in heights:
        clusters.append([height])
        while len(clusters) > 1 and _reach(clusters[-1], apart)[0] < _reach(clusters[-2], apart)[1] + apart:
            upper = clusters.pop()
            clusters[-1] += upper
    return [_reach(cluster, apart)[0] + i * apart for cluster in clusters for i in range(len(cluster))]


def _reach(cluster: list[float], apart: float) -> tuple[float, float]:
    """The lowest and the highest place of a cluster of labels around their mean."""
    middle, half = sum(cluster) / len(cluster), apart * (len(cluster) - 1) / 2
    return middle - half, middle + half


def _last(values: np.ndarray) -> float:
    """The last number that is there."""
    there = values[np.isfinite(values)]
    return float(there[-1]) if there.size else np.nan


def short(value: float) -> str:
    """A number of steps in few characters: 1500000 is 1.5M."""
    for size, suffix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:g}{suffix}"
    return f"{value:g}"
