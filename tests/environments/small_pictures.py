"""Raw pictures of 100 x 100 x 3, reduced."""

import habits

from covey.environments.pettingzoo.pictures import reduced


def parallel_env(**settings):
    return reduced(habits.parallel_env("raw-picture", **settings), factor=8)
