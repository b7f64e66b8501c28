"""The paper's settings, and smaller ones."""

from __future__ import annotations

from typing import Any

from covey.algorithms.matwm.actor_critic import ActorCritic
from covey.algorithms.matwm.model import WorldModel
from covey.algorithms.matwm.replay import SequenceReplay
from covey.algorithms.matwm.rule import MATWM, Imagination
from covey.core.errors import unknown
from covey.core.types import Spec
from covey.nn.decoders import Transposed
from covey.nn.encoders import Strided

PRESETS: dict[str, dict[str, Any]] = {
    "paper": {},
    "gpu-lite": {
        "model": WorldModel(width=256, feedforward=512, teammate_width=128, teammate_layers=1),
        "inner": ActorCritic(width=256),
        "imagination": Imagination(batch=256, horizon=12),
    },
    "cpu": {
        "model": WorldModel(
            latents=64,
            classes=8,
            width=128,
            heads=4,
            feedforward=256,
            dropout=0.0,
            encoder_layers=2,
            encoder=Strided(width=128, channels=(16, 32, 64)),
            decoder=Transposed(width=128, channels=(64, 32, 16)),
            head_layers=1,
            bins=63,
            bound=6.0,
            teammate_width=64,
            teammate_layers=1,
            beta_reconstruction=10.0,
            lr=1e-3,
        ),
        "inner": ActorCritic(width=128, bins=63, bound=6.0, gamma=0.95, entropy=1e-3, lr=3e-4),
        "replay": SequenceReplay(length=26),
        "imagination": Imagination(batch=32, horizon=10),
        "horizon": 2,
    },
    "tiny": {
        "model": WorldModel(
            latents=8,
            classes=8,
            width=64,
            layers=1,
            heads=2,
            feedforward=128,
            dropout=0.0,
            encoder_layers=2,
            encoder=Strided(width=64, channels=(8, 16)),
            decoder=Transposed(width=64, channels=(16, 8)),
            head_layers=1,
            bins=41,
            bound=6.0,
            teammate_width=32,
            teammate_layers=1,
            lr=1e-3,
        ),
        "inner": ActorCritic(width=64, bins=41, bound=6.0, gamma=0.95, entropy=1e-2, lr=1e-3),
        "replay": SequenceReplay(sequences=8, length=26),
        "imagination": Imagination(batch=16, horizon=5, context=4),
        "horizon": 8,
        "warmup": 100,
    },
}
"""`tuned` is `cpu`. What the paper's table C.6 leaves open is STORM's (Zhang et al. 2023) or DreamerV3's."""
PRESETS["tuned"] = PRESETS["cpu"]


def _paper_imagination(agents: int) -> Imagination:
    """Footnote 3 of the paper: fewer and longer imagined episodes where there are few agents."""
    if agents <= 3:
        return Imagination(batch=512, horizon=16)
    return Imagination(batch=768, horizon=12) if agents <= 6 else Imagination(batch=1024, horizon=8)


def matwm(spec: Spec, *, preset: str = "tuned", groups: tuple[str, ...] | None = None) -> MATWM:
    """MATWM: a transformer world model for teams (Deihim et al. 2025)."""
    if preset not in PRESETS:
        raise unknown("of the algorithm 'matwm' the preset", preset, PRESETS)
    settings: dict[str, Any] = {"imagination": _paper_imagination(spec.agents)} | PRESETS[preset]
    return MATWM(spec, groups or tuple(spec.groups), **settings)
