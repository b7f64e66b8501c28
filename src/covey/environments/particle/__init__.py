"""The particle worlds: `particle/spread`, `particle/tag` and their kin (Lowe et al. 2017), equal to `mpe2` 1.1."""

from covey.environments.particle.apart import adversary, crypto, push, tag, world_comm
from covey.environments.particle.together import formation, line, reference, simple, speaker_listener, spread
from covey.environments.particle.treasure import collect_treasure

__all__ = [
    "adversary",
    "collect_treasure",
    "crypto",
    "formation",
    "line",
    "push",
    "reference",
    "simple",
    "speaker_listener",
    "spread",
    "tag",
    "world_comm",
]
