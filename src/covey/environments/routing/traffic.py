"""Synthetic demand: seeded, vectorized, [T, D].

`moments` draws the four series of the paper's later public demo (its arrays are not copied, only their statistics);
`gravity` draws daily and weekly traffic for any network, scaled to a stated utilization.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.signal import lfilter

from covey.core.errors import BadInput, unknown
from covey.environments.routing.hops import equal_cost
from covey.environments.routing.network import Network, Pairs, check_pairs
from covey.environments.routing.programs import edge_optimum
from covey.environments.routing.splits import equal_ratios, link_fractions, max_utilization

# ------------------------------------------------------------------------------------------------------ demo moments
SERIES = ("AC", "AD", "BC", "BD")
MEAN = np.array([42.7, 55.0, 39.0, 52.3])
DEVIATION = np.array([17.8, 10.8, 18.7, 10.6])
LOW, HIGH = np.array([8.0, 31.0, 7.0, 30.0]), np.array([110.0, 92.0, 98.0, 90.0])
CORRELATION = np.array(  # AD-BC and BC-BD are not known and taken as 0
    [[1.00, -0.38, -0.26, -0.37], [-0.38, 1.00, 0.00, 0.44], [-0.26, 0.00, 1.00, 0.00], [-0.37, 0.44, 0.00, 1.00]]
)
WAVES, SHORTEST, LONGEST = 8, 70.0, 300.0  # slow waves a series, and the range of their periods in ticks
SLOW, PHI = 0.76, 0.55  # share of the slow waves in the variance, and the AR(1) coefficient of the rest


def moments(
    ticks: int, *, seed: int, series: Sequence[str] = SERIES, scale: float = 1.0, lanes: int | None = None
) -> np.ndarray:
    """[ticks, D] (or [lanes, ticks, D]) demand with the moments of the demo's traces; D = len(series).

    Each series is lognormal, clipped to its range: exp of slow waves with random periods and phases plus an AR(1). (An
    AR(1) alone cannot be that smooth over 7 ticks and that rough over 1: lag-1 autocorrelation .86 to .90, lag-7 .63 to
    .75.) Mean, deviation and cross correlation hold over many traces; single ones vary. The `small` environments use AC
    and BD as they are; `large` uses all four with `scale=4`.
    """
    for name in series:
        if name not in SERIES:
            raise unknown("demand series", name, SERIES)
    rng = np.random.default_rng(seed)
    normal = _slow_and_fast(rng, lanes or 1, ticks, len(SERIES))
    sigma = np.sqrt(np.log1p((DEVIATION / MEAN) ** 2))  # of the logarithm
    correlation = np.log1p(CORRELATION * np.outer(DEVIATION / MEAN, DEVIATION / MEAN)) / np.outer(sigma, sigma)
    normal = normal @ np.linalg.cholesky(correlation).T
    demand = np.clip(MEAN * np.exp(sigma * normal - sigma**2 / 2), LOW, HIGH)
    demand = scale * demand[..., [SERIES.index(name) for name in series]]
    return demand[0] if lanes is None else demand


def _slow_and_fast(rng: np.random.Generator, lanes: int, ticks: int, count: int) -> np.ndarray:
    """[lanes, ticks, count] independent series of mean 0 and variance 1: slow waves plus AR(1)."""
    phase = rng.uniform(0, 2 * np.pi, (WAVES, lanes, 1, count))
    period = np.exp(rng.uniform(np.log(SHORTEST), np.log(LONGEST), phase.shape))  # all different, lest series correlate
    time = np.arange(ticks)[:, None]
    waves = sum(np.sin(2 * np.pi * time / p + start) for p, start in zip(period, phase, strict=True))
    waves = waves * np.sqrt(2 / WAVES)
    return np.sqrt(SLOW) * waves + np.sqrt(1 - SLOW) * autoregressive(rng.normal(size=(lanes, ticks, count)), PHI)


def autoregressive(noise: np.ndarray, phi: float) -> np.ndarray:
    """AR(1) of variance 1 along axis -2, from unit normal noise [..., T, D]; stationary from the first step."""
    noise = noise * np.where(np.arange(noise.shape[-2])[:, None] == 0, 1.0, np.sqrt(1 - phi**2))
    return np.asarray(lfilter([1.0], [1.0, -phi], noise, axis=-2))


# ----------------------------------------------------------------------------------------------------------- gravity
def gravity(
    network: Network,
    steps: int,
    *,
    seed: int,
    pairs: Pairs | None = None,
    target: float = 0.5,
    reference: str = "ecmp",
    steps_per_day: int = 288,
    spread: float = 0.8,
    daily: float = 0.5,
    weekly: float = 0.2,
    noise: float = 0.25,
    phi: float = 0.9,
) -> np.ndarray:
    """[steps, D] demand of a gravity model with daily and weekly waves, in the network's unit.

    A pair's mean is the product of the masses of its ends (lognormal, `spread` the deviation of the logarithm). On it
    ride a daily wave of amplitude `daily` whose phase is the source's (up to 3 hours apart), a common weekly wave of
    amplitude `weekly`, and lognormal AR(1) noise (deviation `noise` of the logarithm, coefficient `phi`).
    All is scaled so that the mean MLU of ECMP, or of the unrestricted optimum (`reference="optimum"`, measured on up to
    96 steps spread over the trace), is `target`.
    """
    if steps < 1 or not 0 < target < np.inf or daily + weekly >= 1:
        raise BadInput("gravity needs at least one step, a positive target, and daily + weekly below 1.")
    pairs = check_pairs(network, network.all_pairs() if pairs is None else pairs)
    rng = np.random.default_rng(seed)
    mass = rng.lognormal(0.0, spread, len(network.nodes))
    late = rng.uniform(0, 2 * np.pi * 3 / 24, len(network.nodes))
    day = 2 * np.pi * np.arange(steps)[:, None] / steps_per_day
    wave = 1 + daily * np.sin(day - late[pairs[:, 0]]) + weekly * np.sin(day / 7)
    rough = np.exp(noise * autoregressive(rng.normal(size=(steps, len(pairs))), phi) - noise**2 / 2)
    demand = mass[pairs].prod(-1) * wave * rough
    return demand * (target / _mean_utilization(network, pairs, demand, reference))


def _mean_utilization(network: Network, pairs: np.ndarray, demand: np.ndarray, reference: str) -> float:
    if reference == "ecmp":
        hops = equal_cost(network, pairs[:, 1])
        return max_utilization(network, demand @ link_fractions(hops, equal_ratios(hops), pairs)).mean()
    if reference == "optimum":
        sample = demand[np.unique(np.linspace(0, len(demand) - 1, 96).astype(int))]
        return edge_optimum(network, sample, pairs=pairs).optimum.mean()
    raise unknown("reference", reference, ("ecmp", "optimum"))
