"""MATWM: a transformer world model that agents share, and actors that learn in what it imagines.

rule           the update rule: read this first
records        what it learns, remembers and learns from
agents         agents of different groups on one axis; action scaling
replay         sequences for the world model, contexts for imagination
model          the world model
losses         what it learns from
imagination    acting in a model
actor_critic   who learns in imagination
papers         presets
"""

from covey.algorithms.matwm.papers import matwm
from covey.algorithms.matwm.rule import MATWM

__all__ = ["MATWM", "matwm"]
