"""`assembly` once more, in NumPy and with loops, as its specification says: what the compiled one is compared with."""

from __future__ import annotations

import numpy as np

WALL, BODY, DT = 2.4, 0.035, 0.1


def step(p: np.ndarray, v: np.ndarray, a: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Positions and velocities [N, 2] after one step with the accelerations `a`."""
    force = np.array(a, float)
    for i in range(len(p)):
        for j in range(len(p)):
            d = np.linalg.norm(p[i] - p[j])
            if i != j and 0 < d < 2 * BODY:
                force[i] += 30.0 * (2 * BODY - d) * (p[i] - p[j]) / d
        for axis in range(2):
            low, high = -WALL + BODY - p[i, axis], p[i, axis] + BODY - WALL
            for depth, sign in ((low, 1.0), (high, -1.0)):
                if depth > 0:
                    force[i, axis] += 100.0 * sign * depth - 5.0 * v[i, axis]
    v = np.clip(v + force * DT, -0.8, 0.8)
    return p + v * DT, v


def near(p: np.ndarray, i: int, reach: float) -> list[int]:
    """The others within reach of robot i, the nearest first."""
    far = np.linalg.norm(p - p[i], axis=1)
    return [j for j in np.argsort(far, kind="stable") if j != i and far[j] < reach]


def target(p: np.ndarray, i: int, cell: np.ndarray, side: float) -> tuple[int, bool]:
    far = np.linalg.norm(cell - p[i], axis=1)
    return int(far.argmin()), bool(far.min() < side * np.sqrt(2) / 2)


def free(p: np.ndarray, i: int, cell: np.ndarray, side: float, radius: float, reach: float) -> list[int]:
    """S_i: the cells within reach; from inside without those that are occupied by a robot within reach + radius."""
    sensed = [k for k in range(len(cell)) if np.linalg.norm(cell[k] - p[i]) < reach]
    if not target(p, i, cell, side)[1]:
        return sensed
    around = [j for j in range(len(p)) if np.linalg.norm(p[j] - p[i]) < reach + radius]
    return [k for k in sensed if all(np.linalg.norm(cell[k] - p[j]) > radius for j in around)]


def listed(cells: list[int], most: int) -> list[int]:
    if len(cells) <= most:
        return cells
    return [cells[round(q * (len(cells) - 1) / (most - 1))] for q in range(most)]


def observation(p, v, i, cell, side, radius, reach, nearest, most) -> np.ndarray:
    """What robot i sees, in the order of the paper's code."""
    seen = np.zeros(8 + 4 * nearest + 2 * most)
    seen[:4] = *p[i], *v[i]
    for slot, j in enumerate(near(p, i, reach)[:nearest]):
        seen[4 + 4 * slot : 8 + 4 * slot] = *(p[j] - p[i]), *(v[j] - v[i])
    k, inside = target(p, i, cell, side)
    if not inside:
        seen[4 + 4 * nearest : 8 + 4 * nearest] = *(cell[k] - p[i]), *-v[i]
    for slot, k in enumerate(listed(free(p, i, cell, side, radius, reach), most)):
        seen[8 + 4 * nearest + 2 * slot : 10 + 4 * nearest + 2 * slot] = cell[k] - p[i]
    return seen


def reward(p, i, cell, side, radius, reach, nearest, most, tolerance, weighted) -> float:
    if not target(p, i, cell, side)[1]:
        return 0.0
    if any(np.linalg.norm(p[j] - p[i]) < 2 * radius for j in near(p, i, reach)[:nearest]):
        return 0.0
    cells = listed(free(p, i, cell, side, radius, reach), most)
    if not cells:
        return 0.0
    offset = cell[cells] - p[i]
    far = np.linalg.norm(offset, axis=1)
    weight = (1 + np.cos(np.pi * far / reach)) / 2 if weighted else np.ones(len(cells))
    return float(np.linalg.norm((weight[:, None] * offset).sum(0) / weight.sum()) < tolerance)


def prior(p, v, i, cell, side, reach, nearest, avoid) -> np.ndarray:
    k, inside = target(p, i, cell, side)
    force = np.zeros(2) if inside else 2.0 * unit(cell[k] - p[i])
    around = near(p, i, reach)[:nearest]
    for j in around:
        d = np.linalg.norm(p[j] - p[i])
        if 0 < d < avoid:
            force = force + 3.0 * (avoid / d - 1.0) * unit(p[i] - p[j])
    if around:
        force = force + 2.0 * (np.mean([v[j] for j in around], axis=0) - v[i])
    return np.clip(force, -1, 1)


def mean_shift(p, v, i, cell, side, radius, reach, most) -> np.ndarray:
    k, inside = target(p, i, cell, side)
    force = np.zeros(2) if inside else unit(cell[k] - p[i]) - v[i]
    cells = listed(free(p, i, cell, side, radius, reach), most)
    if cells:
        offset = cell[cells] - p[i]
        weight = (1 + np.cos(np.pi * np.linalg.norm(offset, axis=1) / reach)) / 2
        force = force + 15.0 * (weight[:, None] * offset).sum(0) / weight.sum()
    around = near(p, i, reach)
    for j in around:
        d = np.linalg.norm(p[j] - p[i])
        if 0 < d < 2 * radius:
            force = force + 17.0 * (2 * radius / d - 1.0) * (p[i] - p[j])
    if around:
        force = force + 5.0 * (np.mean([v[j] for j in around], axis=0) - v[i])
    return np.clip(force, -1, 1)


def unit(x: np.ndarray) -> np.ndarray:
    return x / np.linalg.norm(x)
