"""Deterministic policy gradient for teams.

rule       the update rule: read this first
records    what it learns and remembers
papers     IDDPG, MADDPG, ATT-MADDPG and their kin, MATD3 and LAMARL, which are aliases of it
"""

from covey.algorithms.ddpg.papers import att_maddpg, iddpg, khead_maddpg, lamarl, maddpg, matd3, ps_maddpg
from covey.algorithms.ddpg.records import Memory, Nets, State
from covey.algorithms.ddpg.rule import DDPG

__all__ = [
    "DDPG",
    "Memory",
    "Nets",
    "State",
    "att_maddpg",
    "iddpg",
    "khead_maddpg",
    "lamarl",
    "maddpg",
    "matd3",
    "ps_maddpg",
]
