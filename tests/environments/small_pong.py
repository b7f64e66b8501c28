"""Cooperative Pong with gray pictures of 18 x 30, in episodes of 20 steps."""

from pettingzoo.butterfly.cooperative_pong import cooperative_pong

from covey.environments.pettingzoo.pictures import reduced


def parallel_env(**settings):
    return reduced(cooperative_pong.parallel_env(max_cycles=20, **settings), factor=16)
