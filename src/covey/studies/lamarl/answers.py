"""Answers to the prompts of the ablation, made by hand: good and bad ones, as language models write them.

No model wrote them. They show that the study counts what it should, and say nothing about any model or prompt.
"""

from __future__ import annotations

from covey.authored.handwritten import NAVIGATION

GREEDY = """import jax.numpy as jnp


def prior_policy(view, p):
    gap = view["landmarks"] * p["unit"]
    distance = jnp.sqrt(jnp.sum(gap**2, axis=-1) + 1e-12)
    nearest = jnp.argmin(distance)
    return gap[nearest] * jnp.minimum(1.0, p["speed"] / distance[nearest])


def reward(view, p):
    distance = jnp.sqrt(jnp.sum((view["landmarks"] * p["unit"]) ** 2, axis=-1) + 1e-12)
    covered = jnp.min(distance) < 1.0
    return jnp.where(covered, 1.0, 0.0), {"covered": jnp.where(covered, 1.0, 0.0)}
"""


def _block(source: str) -> str:
    return f"Each agent heads for its nearest landmark.\n\n```python\n{source}```\n"


def _changed(old: str, new: str) -> str:
    assert GREEDY.count(old) == 1, old
    return _block(GREEDY.replace(old, new))


ANSWERS = {
    "whole": _block(NAVIGATION.lstrip()),
    "short": _block(GREEDY),
    "gentle": _changed("jnp.minimum(1.0, p", "0.9 * jnp.minimum(1.0, p"),
    "prose": "Head for the nearest landmark, and reward agents that stand on one. Shall I write the code?",
    "two blocks": _block(GREEDY) + "\nOr, if you prefer:\n\n" + _block(GREEDY),
    "cut off": f"```python\n{GREEDY[:400]}",
    "a slip": _changed("nearest = jnp.argmin(distance)", "nearest = jnp.argmin(distance"),
    "numpy": _changed("import jax.numpy as jnp", "import jax.numpy as jnp\nimport numpy as np"),
    "annotations": _changed("def prior_policy(view, p):", "def prior_policy(view: dict, p: dict) -> jnp.ndarray:"),
    "a branch": _changed(
        "    nearest = jnp", "    if distance.min() < p['speed']:\n        return gap[0] * 0.0\n    nearest = jnp"
    ),
    "another field": _changed('gap = view["landmarks"]', 'gap = view["targets"]'),
    "all landmarks": _changed('gap[nearest] * jnp.minimum(1.0, p["speed"] / distance[nearest])', "gap * 0.01"),
    "unguarded": _changed(
        'gap[nearest] * jnp.minimum(1.0, p["speed"] / distance[nearest])',
        'p["speed"] * gap[nearest] / jnp.linalg.norm(gap[nearest])',
    ),
    "too fast": _changed('gap[nearest] * jnp.minimum(1.0, p["speed"] / distance[nearest])', "gap[nearest]"),
    "a distance": _changed("return jnp.where(covered, 1.0, 0.0), {", "return -jnp.min(distance), {"),
    "the other way": _changed("return gap[nearest]", "return -gap[nearest]"),
    "generous": _changed("jnp.min(distance) < 1.0", "jnp.min(distance) < 20.0"),
}
"""By name."""

DECKS = {
    "task alone": (
        *("numpy", "a branch", "too fast", "unguarded", "short", "prose", "a distance", "annotations", "two blocks"),
        *("all landmarks", "another field", "short", "generous", "unguarded", "a slip", "too fast", "numpy", "gentle"),
        *("the other way", "cut off"),
    ),
    "functions": (
        *("short", "too fast", "whole", "annotations", "a branch", "short", "a distance", "whole", "numpy", "generous"),
        *("gentle", "another field", "whole", "two blocks", "too fast", "short", "a slip", "whole", "unguarded"),
        "the other way",
    ),
    "reasoning": (
        *("short", "unguarded", "gentle", "a branch", "whole", "too fast", "short", "numpy", "generous", "gentle"),
        *("short", "annotations", "whole", "a distance", "cut off", "short", "unguarded", "gentle", "whole", "a slip"),
    ),
    "both": (
        *("whole", "short", "whole", "gentle", "annotations", "whole", "short", "whole", "generous", "whole", "gentle"),
        *("short", "whole", "unguarded", "whole", "short", "whole", "a slip", "gentle", "whole"),
    ),
}
"""By condition of the prompt, what is answered in turn, again and again."""
