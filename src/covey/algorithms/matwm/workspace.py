"""How much memory an update of MATWM takes besides what is learned and kept: an estimate, known before it runs.

It counts what grows with the batches: activations of the world model's sequences and of actors and critics, which their
gradients need; what was imagined; and the caches of its transformers.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from covey.algorithms.matwm.rule import MATWM

FLOAT = 4


def workspace(rule: MATWM) -> int:
    """Bytes, about: the larger of what the world model's step and what imagination with its learners takes."""
    return max(_sequences(rule), _imagination(rule))


def _sequences(rule: MATWM) -> int:
    model, length = rule.model, rule.replay.steps(rule.spec)
    rows = rule.replay.sequences * (length + 1)

    def transformer(layers: int, width: int, feedforward: int) -> int:
        kept = 1 if model.recompute else 9 * width + 2 * feedforward + 3 * model.heads * (length + 1) / width
        return layers * math.ceil(kept)

    coders = 4 * (2 * model.encoder_layers + 3 * model.head_layers) * model.width
    outputs = 8 * model.latent_size + 3 * model.bins
    numbers = coders + outputs + transformer(model.layers, model.width, model.feedforward)
    numbers += transformer(model.teammate_layers, model.teammate_width, 2 * model.teammate_width)
    return rows * (FLOAT * numbers + 2 * _observation(rule))


def _imagination(rule: MATWM) -> int:
    model, agents, imagination = rule.model, rule.agents, rule.imagination
    rows = agents.count * imagination.of_agent(agents.count)
    slots = imagination.context + imagination.horizon + 1
    caches = 4 * slots * (model.layers * model.width + model.teammate_layers * model.teammate_width)  # twice: a scan
    states = 2 * (imagination.horizon + 1) * model.state_size(agents)
    return rows * (FLOAT * (caches + states) + (imagination.context + 1) * _observation(rule))


def _observation(rule: MATWM) -> int:
    """Bytes of one agent's observation."""
    return sum(field.size * np.dtype(field.dtype).itemsize for field in rule.agents.layout.obs)
