"""Statistics of studies: means with confidence intervals over seeds, paired differences, orders.

Every number here is per seed, [S]: a seed's mean over its evaluation episodes. Two algorithms that were evaluated on
the same episodes are compared seed by seed.
"""

from __future__ import annotations

import itertools
from typing import NamedTuple

import numpy as np

from covey.core.errors import BadInput
from covey.runs.evaluate import interval


class Interval(NamedTuple):
    """A mean and its 95 % t confidence interval; NaN ends where there are fewer than two seeds."""

    mean: float
    low: float
    high: float

    def text(self, digits: int = 3) -> str:
        if np.isnan(self.low):
            return f"{self.mean:.{digits}f}"
        return f"{self.mean:.{digits}f} ± {(self.high - self.low) / 2:.{digits}f}"

    def above(self, level: float = 0.0) -> bool | None:
        """Is all of it above a level, or below it? None where it holds the level, or is unknown."""
        return True if self.low > level else False if self.high < level else None

    def below(self, level: float = 0.0) -> bool | None:
        """Is all of it below a level, or above it? None where it holds the level, or is unknown."""
        above = self.above(level)
        return None if above is None else not above

    def ends(self, digits: int = 2) -> str:
        """For intervals that are not symmetric."""
        return f"{self.mean:.{digits}f} ({self.low:.{digits}f} to {self.high:.{digits}f})"


def mean(values: np.ndarray) -> Interval:
    """Over seeds [S]."""
    return Interval(*interval(values))


def difference(ours: np.ndarray, theirs: np.ndarray) -> Interval:
    """Mean of ours - theirs, in pairs [S]."""
    if ours.shape != theirs.shape:
        raise BadInput(f"paired values need as many seeds on both sides, got {ours.shape} and {theirs.shape}.")
    return mean(ours - theirs)


def gap_closed(values: np.ndarray, rule: np.ndarray, bound: np.ndarray) -> Interval:
    """Share of the way from a rule to a bound, in pairs [S]: 0 is the rule, 1 the bound.

    The denominator is the mean gap: a ratio of means does not explode where one seed's gap is small.
    """
    return mean((values - rule) / (bound.mean() - rule.mean()))


def within(apart: Interval, margin: float) -> bool | None:
    """Is a difference smaller than a margin, in either direction, or larger? None where its interval holds the margin,
    or is unknown."""
    if max(-apart.low, apart.high) < margin:
        return True
    return False if apart.low > margin or apart.high < -margin else None


def order(names: list[str], values: dict[str, np.ndarray]) -> str:
    """Names from best to worst by mean, `>` where the paired 95 % interval of the difference excludes 0, else `≈`."""
    ranked = sorted(names, key=lambda name: -values[name].mean())
    text = ranked[0]
    for better, worse in itertools.pairwise(ranked):
        apart = difference(values[better], values[worse]).low > 0
        text += f" {'>' if apart else '≈'} {worse}"
    return text
