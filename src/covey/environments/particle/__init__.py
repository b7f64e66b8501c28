"""The particle environments: `particle/spread`, `particle/tag` and their kin (Lowe et al. 2017), equal to `mpe2`
1.1."""

from covey.environments.particle.apart import adversary, crypto, push
from covey.environments.particle.places import formation, line
from covey.environments.particle.spread import spread
from covey.environments.particle.tag import tag, world_comm
from covey.environments.particle.together import reference, simple, speaker_listener
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
