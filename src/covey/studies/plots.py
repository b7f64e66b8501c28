"""Figures of studies: learning curves against references and published curves, and bars of a sweep.

Plain arrays in, a matplotlib figure out; `runs.figures.save` writes it. The band around a mean and the whiskers of a
bar are 95 % t confidence intervals over seeds.
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
from covey.runs.figures import blank, colors, plain

APART = 0.052  # least distance of two labels, as a share of the height


class Curve(NamedTuple):
    """What was measured: `y` [S, T] of every seed, at `x` [T]."""

    x: Any
    y: Any


class Label(NamedTuple):
    """Words at the right end of a line."""

    text: str
    height: float
    color: Any


def learning_curves(
    curves: Mapping[str, Curve],
    *,
    references: Mapping[str, float] | None = None,
    published: Mapping[str, tuple[Any, Any]] | None = None,
    title: str = "",
    x: str = "environment steps",
    y: str = "return per episode",
) -> Figure:
    """Means over seeds with their intervals, every line named at its end.

    references: horizontal lines by name. published: curves (x, y) of a paper by name; one with the name of a measured
    curve has its color, and all are dashed.
    """
    if not curves:
        raise BadInput("there are no learning curves to draw: give at least one.")
    figure = blank(7.6, 4.4)
    axes = figure.subplots()
    labels, tones = [], dict(zip(curves, colors(len(curves)), strict=True))
    for name, curve in curves.items():
        xs, middle, low, high = band(name, curve)
        axes.fill_between(xs, low, high, color=tones[name], alpha=0.18, linewidth=0)
        axes.plot(xs, middle, color=tones[name], linewidth=2.0)
        labels.append(Label(name, _last(middle), tones[name]))
    for name, (xs, ys) in (published or {}).items():
        xs, ys = np.asarray(xs, float), np.asarray(ys, float)
        axes.plot(xs, ys, color=tones.get(name, FAINT), linewidth=1.4, linestyle=(0, (4, 2)))
        labels.append(Label(f"{name}, published", _last(ys), tones.get(name, FAINT)))
    for name, value in (references or {}).items():
        axes.axhline(value, color=INK, linewidth=1.0, linestyle=(0, (1, 2)))
        labels.append(Label(name, float(value), INK))
    plain(axes, title, x, y)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: short(value)))
    axes.margins(x=0)
    write_labels(axes, labels)
    return figure


def band(name: str, curve: Curve) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """x [T], the mean over seeds, and the ends of its interval, which fall on the mean where there is one seed."""
    xs, ys = np.asarray(curve.x, float), np.atleast_2d(np.asarray(curve.y, float))
    if xs.ndim != 1 or ys.ndim != 2 or ys.shape[1] != len(xs) or not len(xs):
        raise BadInput(f"the curve {name!r} has x of shape {xs.shape} and y of shape {ys.shape}: give [T] and [S, T].")
    middle, low, high = np.array([interval(column) for column in ys.T]).T
    return xs, middle, np.where(np.isnan(low), middle, low), np.where(np.isnan(high), middle, high)


def bars(
    results: Mapping[str, Sequence[float]],
    *,
    references: Mapping[str, float] | None = None,
    published: Mapping[str, float] | None = None,
    title: str = "",
    x: str = "",
    y: str = "return per episode",
) -> Figure:
    """A bar per setting (K of a sweep, say): the mean over seeds, its interval, the seeds as dots.

    published: what the paper reports, by setting, drawn as open diamonds. references: horizontal lines by name.
    """
    if not results or not all(np.size(values) for values in results.values()):
        raise BadInput("there are no bars to draw: give every setting the value of at least one seed.")
    figure = blank(max(4.6, 1.6 + 0.9 * len(results)), 4.2)
    axes = figure.subplots()
    (color,) = colors(1)
    for i, values in enumerate(results.values()):
        middle, low, high = interval(np.asarray(values, float))
        axes.bar(i, middle, width=0.62, color=color, alpha=0.85)
        if not np.isnan(low):
            axes.plot([i, i], [low, high], color=INK, linewidth=1.4)
        spread = np.linspace(-0.16, 0.16, len(values)) if len(values) > 1 else [0.0]
        axes.scatter(i + np.asarray(spread), values, s=12, color="white", edgecolors=INK, linewidths=0.8, zorder=4)
    for name, value in (published or {}).items():
        label = "published" if name == next(iter(published or {})) else None
        style = {"marker": "D", "s": 46, "facecolors": "none", "edgecolors": INK, "linewidths": 1.4, "zorder": 5}
        axes.scatter([_position(name, results)], [value], label=label, **style)
    for value in (references or {}).values():
        axes.axhline(value, color=INK, linewidth=1.0, linestyle=(0, (1, 2)))
    plain(axes, title, x, y)
    axes.set_xticks(range(len(results)), list(results))
    axes.set_xlim(-0.6, len(results) - 0.4)
    write_labels(axes, [Label(name, float(value), INK) for name, value in (references or {}).items()])
    if published:
        axes.legend(frameon=False, fontsize=9, loc="upper left", bbox_to_anchor=(0, 1.0))
        axes.set_ylim(top=axes.get_ylim()[0] + 1.12 * np.ptp(axes.get_ylim()))
    return figure


def _position(name: str, results: Mapping[str, Any]) -> int:
    if name not in results:
        raise BadInput(f"the published value of {name!r} belongs to no bar; the bars are {', '.join(results)}.")
    return list(results).index(name)


# ---------------------------------------------------------------------------------------------------------------------
# Words


def write_labels(axes: Any, labels: Sequence[Label]) -> None:
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
            top = clusters.pop()
            clusters[-1] += top
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
