"""Priors and rewards that covey brings along, as source texts: what `covey author` takes where it asks no model.

They pass the same gates as everybody's texts, and are equal to the rules that the environments have in JAX
(`tests/authored/test_handwritten.py`). Beside them stand the functions that a prompt may offer for an environment.
"""

from __future__ import annotations

LENGTHS = '''
def length(x):
    """Of vectors [..., 2]; exactly 0 where they are 0, and never NaN."""
    square = jnp.sum(x * x, axis=-1)
    return jnp.where(square > 0, jnp.sqrt(jnp.where(square > 0, square, 1.0)), 0.0)


def direction(x):
    """Vectors [..., 2] made 1 long; those that are zero stay zero."""
    far = length(x)
    return x / jnp.where(far > 0, far, 1.0)[..., None]
'''
"""Functions that are useful wherever vectors are seen."""

_ASSEMBLY = '''
def neighbors(view):
    """Positions and velocities of listed neighbors relative to the own, [M, 2] each, and who is there [M]."""
    listed = view["neighbors"]
    return listed[:, :2], listed[:, 2:], view["neighbors_mask"] > 0


def in_region(view):
    """Is the robot in the region, []? There the way to the nearest cell is exactly 0."""
    return jnp.all(view["target_position"] == 0)


def free_cells(view):
    """Positions of listed cells relative to the own [K, 2], and which entries are cells [K]."""
    return view["cells"], view["cells_mask"] > 0


def mean_of(rows, there):
    """The mean of the rows [M, 2] that are there, [2]; 0 where none is."""
    return jnp.sum(jnp.where(there[:, None], rows, 0.0), axis=0) / jnp.maximum(jnp.sum(there), 1)
'''

_NAVIGATION = '''
def gaps(view, p):
    """The way to each landmark, [L, 2], in plane units."""
    return view["landmarks"] * p["unit"]


def mate_gaps(view, p):
    """The way to each other agent, [n - 1, 2], in plane units."""
    return view["mates"] * p["unit"]
'''

APIS = {"assembly": LENGTHS + "\n" + _ASSEMBLY, "navigation": LENGTHS + "\n" + _NAVIGATION}
"""By environment, functions that an author may copy."""

ASSEMBLY = f'''"""Enter the region, keep apart, move as the neighbors do; earn in the middle of free cells."""
import jax.numpy as jnp

{LENGTHS}
{_ASSEMBLY}

def prior_policy(view, p):
    gap, motion, there = neighbors(view)
    far = length(gap)
    near = there & (far > 0) & (far < p["avoid"])
    strength = jnp.where(near, p["avoid"] / jnp.where(near, far, 1.0) - 1.0, 0.0)
    apart = jnp.sum(3.0 * strength[:, None] * -direction(gap), axis=0)
    enter = 2.0 * direction(view["target_position"])
    together = 2.0 * mean_of(motion, there)
    return jnp.clip(enter + apart + together, -1.0, 1.0)


def reward(view, p):
    gap, motion, there = neighbors(view)
    cell, free = free_cells(view)
    entered = in_region(view)
    apart = ~jnp.any(there & (length(gap) < p["avoid"]))
    middle = length(mean_of(cell, free)) < p["tolerance"]
    centered = jnp.any(free) & middle
    goals = {{
        "apart": apart.astype(jnp.float32),
        "centered": centered.astype(jnp.float32),
        "entered": entered.astype(jnp.float32),
    }}
    return (entered & apart & centered).astype(jnp.float32), goals
'''

NAVIGATION = f'''"""Every agent heads for its nearest landmark and stops on it; an agent earns alone on a landmark."""
import jax.numpy as jnp

{LENGTHS}
{_NAVIGATION}

def prior_policy(view, p):
    gap = gaps(view, p)
    distance = length(gap)
    nearest = jnp.argmin(distance)
    return gap[nearest] * jnp.minimum(1.0, p["speed"] / jnp.maximum(distance[nearest], 1e-12))


def reward(view, p):
    covered = jnp.min(length(gaps(view, p))) <= p["speed"]
    alone = jnp.all(length(mate_gaps(view, p)) > p["speed"]) if "mates" in view else jnp.array(True)
    goals = {{"alone": alone.astype(jnp.float32), "covered": covered.astype(jnp.float32)}}
    return (covered & alone).astype(jnp.float32), goals
'''

TERMS_OF_ASSEMBLY = """{
 "speed": 1.0,
 "forces": [
  {"force": "toward-nearest", "field": "target_position", "weight": 2.0},
  {"force": "away-within", "field": "neighbors.0", "weight": 6.0, "radius": 0.2},
  {"force": "along", "field": "neighbors.1", "weight": 2.0}
 ],
 "goals": [
  {"goal": "apart", "predicate": "none-within", "field": "neighbors.0", "radius": 0.2},
  {"goal": "centered", "predicate": "mean-within", "field": "cells", "radius": 0.05},
  {"goal": "entered", "predicate": "any-within", "field": "target_position", "radius": 0.0001}
 ]
}
"""

TERMS_OF_NAVIGATION = """{
 "speed": 0.25,
 "forces": [
  {"force": "toward-nearest", "field": "landmarks", "weight": 1.0},
  {"force": "away-within", "field": "mates", "weight": 0.5, "radius": 0.1}
 ],
 "goals": [
  {"goal": "alone", "predicate": "none-within", "field": "mates", "radius": 0.025},
  {"goal": "covered", "predicate": "any-within", "field": "landmarks", "radius": 0.05}
 ]
}
"""

TERMS = {"assembly": TERMS_OF_ASSEMBLY, "navigation": TERMS_OF_NAVIGATION}
"""By environment, a document of terms (`covey.authored.terms`)."""

SOURCES = {"assembly": ASSEMBLY, "navigation": NAVIGATION}
"""By environment, a source text with both functions."""
