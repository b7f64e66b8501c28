"""How soon a curve falls below a threshold for good, and how many times as soon as another: with runs that never do.

Curves are of something that should be small, [P] or [P, S] over P evaluations and S seeds, at `episodes` [P].
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from covey.studies.statistics import Interval

WINDOW = 3
"""Evaluations of a moving mean."""

RESAMPLES = 2000


AT_LEAST, AT_MOST, UNKNOWN = "≥ ", "≤ ", "? "
"""What a ratio of which only bounds are known is."""


class Reach(NamedTuple):
    """When a curve is below a threshold for good; `censored`: not within `episodes`, which were all there were."""

    episodes: float
    censored: bool

    def text(self) -> str:
        return f"{AT_LEAST if self.censored else ''}{self.episodes:,.0f}"


class Gain(NamedTuple):
    """Episodes to a threshold with something and without it."""

    with_it: Reach
    without: Reach

    @property
    def ratio(self) -> float:
        """Without over with, of at least one episode: how many times as many episodes it takes without."""
        return max(self.without.episodes, 1.0) / max(self.with_it.episodes, 1.0)

    @property
    def sign(self) -> str:
        """What the ratio is: exact (empty), at least, at most, or unknown."""
        if self.with_it.censored:
            return UNKNOWN if self.without.censored else AT_MOST
        return AT_LEAST if self.without.censored else ""


def smoothed(curve: np.ndarray, window: int = WINDOW) -> np.ndarray:
    """Moving geometric mean over `window` evaluations around each [P, ...]; over fewer at the ends.

    Geometric, because a curve that falls by orders of magnitude would be moved to the right by the means of its values.
    """
    logs = np.log(np.maximum(curve, 1e-12))
    sums = np.concatenate([np.zeros_like(logs[:1]), logs.cumsum(0)])
    place = np.arange(len(curve))
    first, end = np.maximum(place - window // 2, 0), np.minimum(place + window // 2 + 1, len(curve))
    return np.exp(((sums[end] - sums[first]).T / (end - first)).T)


def plateau(curve: np.ndarray) -> np.ndarray:
    """The mean of the last fifth of the evaluations [P, ...], of one at least."""
    return curve[-max(len(curve) // 5, 1) :].mean(0)


def reach(episodes: np.ndarray, curve: np.ndarray, level: float) -> Reach:
    """When a curve [P] is below `level` for good: where the line between the last evaluation that is not and the one
    after it crosses the level."""
    above = np.flatnonzero(~(curve < level))
    if not above.size:
        return Reach(float(episodes[0]), False)
    last = int(above[-1])
    if last == len(curve) - 1:
        return Reach(float(episodes[-1]), True)
    share = (curve[last] - level) / (curve[last] - curve[last + 1])
    return Reach(float(episodes[last] + share * (episodes[last + 1] - episodes[last])), False)


def gain(episodes: np.ndarray, with_it: np.ndarray, without: np.ndarray, level: float | None = None) -> Gain:
    """Of the mean curves of seeds, curves [P, S]. level: the threshold; None: a tenth above the plateau with it."""
    ours, theirs = with_it.mean(1), without.mean(1)
    level = 1.1 * float(plateau(ours)) if level is None else level
    return Gain(reach(episodes, smoothed(ours), level), reach(episodes, smoothed(theirs), level))


def bootstrap(
    episodes: np.ndarray, curves: Sequence[tuple[np.ndarray, np.ndarray]], levels: Sequence[float | None], seed: int = 0
) -> tuple[list[Interval], Interval]:
    """95 % intervals of the ratio of each shape, and of the mean of those that are known, over seeds that are drawn
    anew with replacement, the same ones with and without and in all shapes. `curves`: with and without, [P, S] each."""
    whole = [gain(episodes, a, b, x) for (a, b), x in zip(curves, levels, strict=True)]
    known = [found.sign != UNKNOWN for found in whole]
    count, rng = curves[0][0].shape[1], np.random.default_rng(seed)

    def ratios(gains: Sequence[Gain]) -> list[float]:
        each = np.array([found.ratio for found in gains])
        return [*each, each[known].mean() if any(known) else np.nan]

    found = []
    for _ in range(RESAMPLES):
        drawn = rng.integers(count, size=count)
        found.append(
            ratios([gain(episodes, a[:, drawn], b[:, drawn], x) for (a, b), x in zip(curves, levels, strict=True)])
        )
    low, high = np.quantile(found, (0.025, 0.975), axis=0)
    bounds = zip(ratios(whole), low, high, strict=True)
    *each, overall = (Interval(float(middle), float(a), float(b)) for middle, a, b in bounds)
    return each, overall


def there(episodes: np.ndarray, curve: np.ndarray, level: float) -> int:
    """How many of the seeds of a curve [P, S] are below `level` for good in the end."""
    return sum(not reach(episodes, column, level).censored for column in smoothed(curve).T)
