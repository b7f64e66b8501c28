"""Papers that are aliases of the DDPG rule: its parts as each of them chose them, and settings that were found."""

from __future__ import annotations

from typing import Any

from covey.algorithms.critics import AttentionHeads, Heads, Independent, Joint, SharedIndependent, SharedTrunk
from covey.algorithms.ddpg.rule import DDPG
from covey.algorithms.prior import RULE, FusedPrior
from covey.core.errors import BadInput, unknown
from covey.core.types import Box, Spec, Splits
from covey.learning.exploration import Gaussian, UniformOrGaussian
from covey.learning.replay import Replay
from covey.learning.samplers import SingleAgentTransitions
from covey.learning.targets import Linear, constant
from covey.nn.encoders import encoder_for


def _settings(spec: Spec, preset: str) -> dict[str, Any]:
    """Hyperparameters shared by the family.

    paper: Mao et al. 2018, section 4; what it does not give (optimizer, clip, initial weights, exploration) is from
    the authors' later public code or the field's standard.
    tuned: for split actions, the routing studies (`covey reproduce att-maddpg/routing-large`): the task is close to a
    contextual bandit, so a small γ, a faster target, wide exploration that narrows, a penalty on the logits, and a
    critic that learns more slowly than the paper's. For other spaces the usual γ; and where nobody acts in a box
    a firm penalty on the logits, without which a choice that seems clear early is never questioned again.
    """
    encoder = {"encoder": encoder_for(spec)}
    if preset == "paper":
        return encoder | {"exploration": Gaussian(Linear(0.2, 0.02, 20_000.0))}
    if preset != "tuned":
        raise BadInput(f"preset {preset!r} is unknown; the DDPG family has 'tuned' and 'paper'.")
    if all(isinstance(group.action, Splits) for group in spec.groups.values()):
        return encoder | {
            "exploration": Gaussian(Linear(1.0, 0.1, 40_000.0)),
            "gamma": 0.5,
            "tau": 0.01,
            "critic_lr": 1e-3,
            "raw_l2": 1e-2,
            "last_scale": 0.01,
        }
    return encoder | {
        "exploration": Gaussian(Linear(0.3, 0.05, 20_000.0)),
        "tau": 0.01,
        "critic_lr": 3e-3,
        "raw_l2": 1e-3 if any(isinstance(group.action, Box) for group in spec.groups.values()) else 0.1,
        "last_scale": 0.1,
        "warmup": 500,
    }


def iddpg(spec: Spec, *, preset: str = "tuned", groups: tuple[str, ...] | None = None) -> DDPG:
    """Independent DDPG: every agent alone (Lillicrap et al. 2016, once per agent)."""
    return DDPG(spec, groups or tuple(spec.groups), critic=Independent(), **_settings(spec, preset))


def maddpg(spec: Spec, *, preset: str = "tuned", groups: tuple[str, ...] | None = None) -> DDPG:
    """MADDPG: centralized critics, decentralized actors (Lowe et al. 2017)."""
    return DDPG(spec, groups or tuple(spec.groups), critic=Joint(), **_settings(spec, preset))


def ps_maddpg(spec: Spec, *, preset: str = "tuned", groups: tuple[str, ...] | None = None) -> DDPG:
    """Parameter-sharing MADDPG: one actor with identity, critics that share their first layer (Chu & Ye 2017)."""
    settings = _settings(spec, preset)
    return DDPG(spec, groups or tuple(spec.groups), critic=SharedTrunk(), shared_actor=True, **settings)


def khead_maddpg(spec: Spec, *, preset: str = "tuned", groups: tuple[str, ...] | None = None) -> DDPG:
    """Khead-MADDPG: the K heads without attention, the paper's ablation (Mao et al. 2018, section 4.1)."""
    return DDPG(spec, groups or tuple(spec.groups), critic=Heads(), **_settings(spec, preset))


def att_maddpg(spec: Spec, *, preset: str = "tuned", groups: tuple[str, ...] | None = None) -> DDPG:
    """ATT-MADDPG: an attention critic that models the teammates' joint policy (Mao et al. 2018)."""
    if spec.agents < 2:
        raise BadInput(f"ATT-MADDPG attends to teammates, and {spec.name} has one agent: use 'iddpg'.")
    return DDPG(spec, groups or tuple(spec.groups), critic=AttentionHeads(), **_settings(spec, preset))


def matd3(spec: Spec, *, preset: str = "tuned", groups: tuple[str, ...] | None = None) -> DDPG:
    """MATD3: MADDPG with twin critics, delayed actors and smoothed targets (Ackermann et al. 2019)."""
    settings = _settings(spec, preset) | {"twin": True, "delay": 2, "smoothing": 0.2}
    return DDPG(spec, groups or tuple(spec.groups), critic=Joint(), **settings)


LAMARL: dict[str, dict[str, Any]] = {
    "seed": {
        "prior": FusedPrior(RULE, constant(0.1), episodes=0.1),
        "exploration": UniformOrGaussian(constant(0.6), constant(0.1)),
        "gamma": 0.99,
    },
    "code": {
        "prior": FusedPrior(RULE, Linear(0.3, 0.03, 200.0), 0.01, distance="mean"),
        "exploration": UniformOrGaussian(constant(0.1), Linear(0.9, 0.5, 266_600.0)),
        "gamma": 0.95,
    },
}
"""What the document's table says, and what the published code does. α falls after the first episode of 200 steps."""
LAMARL["tuned"] = LAMARL["code"] | {
    "exploration": UniformOrGaussian(constant(0.1), Linear(0.3, 0.1, 266_600.0)),
    "gamma": 0.99,
}
"""As the code, with less noise: what swarms do that never come to rest says little about those that do."""

ROWS = 512
"""Agents' steps in a batch of LAMARL."""


def lamarl(spec: Spec, *, preset: str = "tuned", groups: tuple[str, ...] | None = None) -> DDPG:
    """LAMARL: DDPG whose agents share an actor and a critic of what each sees, guided by a prior (Zhu et al. 2025).

    The prior is by default the environment's rule called `prior`, or the first rule that it has.
    """
    if preset not in LAMARL:
        raise unknown("of the algorithm 'lamarl' the preset", preset, LAMARL)
    batch = max(ROWS // max(group.size for group in spec.groups.values()), 1)
    return DDPG(
        spec,
        groups or tuple(spec.groups),
        critic=SharedIndependent(180, layers=3),
        shared_actor=True,
        alike=True,
        width=180,
        layers=3,
        replay=Replay(capacity=20_000, batch=batch, sampler=SingleAgentTransitions()),
        horizon=10,
        actor_lr=1e-4,
        critic_lr=1e-3,
        tau=0.01,
        clip=float("inf"),
        encoder=encoder_for(spec),
        **LAMARL[preset],
    )
