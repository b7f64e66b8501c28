"""Five tiny environments with known optima: they compile in a second and carry the tests of every algorithm.

    toy/discrete     two kinds of agents that differ, die, and may not do everything; a global state
    toy/continuous   three agents move their centroid onto a target; a shared reward; only a time limit ends it
    toy/graph        splits of traffic on a line of four agents with neighbors; a bad split ends the episode early
    toy/duel         two sides that are alike, for algorithms that play themselves; a dominant choice
    toy/pictures     two agents see how a line in a picture runs, and a vector beside it that says what it means

Each has the rule `optimal`, whose return is known exactly. With `fixed` every episode of an environment is the same:
chance is drawn from the clock instead of the key, so that two programs that step it can be compared bit by bit.
"""

from __future__ import annotations

from covey.environments.toy.duels import DuelToy, duel
from covey.environments.toy.line import GraphToy, graph
from covey.environments.toy.movers import ContinuousToy, continuous
from covey.environments.toy.pictures import PicturesToy, pictures
from covey.environments.toy.signals import DiscreteToy, discrete

__all__ = [
    "ContinuousToy",
    "DiscreteToy",
    "DuelToy",
    "GraphToy",
    "PicturesToy",
    "continuous",
    "discrete",
    "duel",
    "graph",
    "pictures",
]
