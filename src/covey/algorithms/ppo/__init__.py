"""Proximal policy optimization for teams.

rule       the update rule: read this first
records    what it learns, remembers and learns from
papers     IPPO, MAPPO and credit-MAPPO, which are aliases of it
"""

from covey.algorithms.ppo.papers import credit_mappo, ippo, mappo
from covey.algorithms.ppo.records import Actor, Data, Extra, Judged, Memory, Nets, State
from covey.algorithms.ppo.rule import PPO

__all__ = ["PPO", "Actor", "Data", "Extra", "Judged", "Memory", "Nets", "State", "credit_mappo", "ippo", "mappo"]
