"""A module in PettingZoo's sense: `parallel_env(fault=...)` makes the environment with that fault."""

from games import Broken as parallel_env

__all__ = ["parallel_env"]
