"""MATWM: a transformer world model that agents share, and actors that learn in what it imagines.

rule           the update rule: read this first
records        what it learns, remembers and learns from
agents         agents of different groups on one axis; action scaling
replay         sequences for the world model, contexts for imagination
pictures       its encoder and decoder where agents see pictures
model          the world model
losses         what it learns from
imagination    acting in a model
inner          who learns in imagination: a part
actor_critic   the paper's
ppo            covey's PPO
papers         presets
"""

from covey.algorithms.matwm.papers import matwm
from covey.algorithms.matwm.ppo import Ppo
from covey.algorithms.matwm.rule import MATWM

__all__ = ["MATWM", "Ppo", "matwm"]
