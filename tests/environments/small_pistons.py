"""Pistonball with three pistons and discrete actions, gray pictures of 29 x 8, in episodes of 15 steps."""

from pettingzoo.butterfly.pistonball.pistonball import parallel_env as pistonball

from covey.environments.pettingzoo.pictures import reduced


def parallel_env(**settings):
    return reduced(pistonball(n_pistons=3, continuous=False, max_cycles=15, **settings), factor=16)
