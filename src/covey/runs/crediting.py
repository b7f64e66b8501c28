"""Who earned what in an episode, drawn under its frames: a curve per agent that adds up to what the team earned.

The entries of a ledger (`covey.learning.credit:Ledger`) accumulate from the value that was foretold at the start; where
the episode ends, they have become what was earned. What no agent's part explains is drawn too: what members did
together, and luck.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.ticker import MaxNLocator

from covey.core.algorithm import Algorithm, ledgers
from covey.core.errors import BadInput
from covey.core.types import Transition
from covey.environments.plane import FAINT, INK
from covey.runs.episode import Episode
from covey.runs.figures import colors, plain

Curves = dict[str, np.ndarray]
"""What has been credited after every step [T + 1], by name."""

EXTRA = {"together": INK, "luck": FAINT}
"""What is nobody's alone, and its colors."""


def credits(algorithm: Algorithm, agent_state: Any, episode: Episode) -> dict[str, Curves]:
    """The curves of every group. BadInput for algorithms that keep no ledger."""
    now, then = (
        jax.tree.map(lambda x, cut=cut: jnp.asarray(x[cut])[:, None], episode.steps)
        for cut in (slice(None, -1), slice(1, None))
    )
    action = jax.tree.map(lambda x: jnp.asarray(x)[:, None], episode.actions)
    books = jax.device_get(jax.jit(partial(ledgers, algorithm))(agent_state, Transition(now, action, then)))
    if not books:
        raise BadInput("there is no credit to draw: the algorithm keeps no ledger; render a run of 'credit-mappo'.")
    return {name: _curves(algorithm.spec.groups[name].names, book) for name, book in books.items()}


def _curves(names: tuple[str, ...], book: Any) -> Curves:
    entries = {agent: book.parts[0, :, i] for i, agent in enumerate(names)}
    entries |= {"together": book.together[0], "luck": book.luck[0]}
    if not np.any(book.together[0]):  # a sum leaves nothing
        del entries["together"]
    return {name: np.append(0.0, np.cumsum(entry)) for name, entry in entries.items()}


def draw_credits(axes: Any, curves: Curves, group: str, t: int) -> None:
    """The curves of one group up to step t, with the rest of the episode faint."""
    axes.clear()
    steps = np.arange(len(next(iter(curves.values()))))
    names = [name for name in curves if name not in EXTRA]
    tones = dict(zip(names, colors(len(names)), strict=True)) | EXTRA
    for name, curve in curves.items():
        style = {"color": tones[name], "linestyle": "-" if name in names else (0, (3, 2))}
        axes.plot(steps, curve, alpha=0.2, linewidth=1.2, **style)
        axes.plot(steps[: t + 1], curve[: t + 1], linewidth=2.0, label=name, **style)
    axes.axhline(0.0, color=FAINT, linewidth=0.8)
    axes.axvline(t, color=INK, linewidth=0.8, linestyle=(0, (2, 2)))
    axes.set_xlim(0, max(steps[-1], 1))
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    plain(axes, f"{group}: credit so far", x="step")
    axes.legend(loc="upper left", ncols=min(len(curves), 4), frameon=False, fontsize=8.5)
