"""The papers that are aliases of the PPO rule."""

from __future__ import annotations

from typing import Any

from covey.algorithms.credit import Baseline
from covey.algorithms.ppo.rule import PPO
from covey.core.errors import BadInput
from covey.core.types import Spec
from covey.nn.encoders import encoder_for


def _settings(spec: Spec, preset: str) -> dict[str, Any]:
    """Hyperparameters shared by IPPO and MAPPO.

    paper: Yu et al. 2022 and the authors' scripts for the particle environments: ten epochs over 25 steps of 128 lanes,
    a recurrent layer differentiated over ten steps (here five, which divide 25). tuned: without memory.
    """
    encoder = {"encoder": encoder_for(spec)}
    if preset == "paper":
        return encoder | {"units": 64, "horizon": 25, "sequence": 5, "epochs": 10}
    if preset != "tuned":
        raise BadInput(f"preset {preset!r} is unknown; the PPO family has 'tuned' and 'paper'.")
    return encoder


def ippo(spec: Spec, *, preset: str = "tuned", groups: tuple[str, ...] | None = None) -> PPO:
    """Independent PPO: every agent's critic sees that agent alone (de Witt et al. 2020)."""
    return PPO(spec, groups or tuple(spec.groups), sees="own", **_settings(spec, preset))


def mappo(spec: Spec, *, preset: str = "tuned", groups: tuple[str, ...] | None = None) -> PPO:
    """MAPPO: PPO with a centralized critic (Yu et al. 2022)."""
    return PPO(spec, groups or tuple(spec.groups), sees="agent", **_settings(spec, preset))


def credit_mappo(spec: Spec, *, preset: str = "tuned", groups: tuple[str, ...] | None = None) -> PPO:
    """MAPPO whose agents learn from the team's advantage without what their mates' choices account for."""
    settings = _settings(spec, preset) | {"credit": Baseline(), "team_reward": True}
    return PPO(spec, groups or tuple(spec.groups), sees="agent", **settings)
