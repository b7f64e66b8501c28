"""Connect four as a parallel environment: everybody but one waits."""

from pettingzoo.classic.connect_four import connect_four
from pettingzoo.utils.conversions import turn_based_aec_to_parallel


def parallel_env(**settings):
    return turn_based_aec_to_parallel(connect_four.env(**settings))
