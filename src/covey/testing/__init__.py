"""Tests that are shipped, so that users can hold their own environments and algorithms to covey's promises.

check_environment(environment)          what is wrong with an environment, in sentences
check_algorithm(make, environment)      what is wrong with an algorithm, in sentences
laws                                    the laws behind it, one function each
law_replay(replay, sampler)             what is drawn from a replay was played, and its successor is the true one
AsHost                                  a JAX environment behind the interface of environments outside JAX
"""

from covey.testing.algorithms import check_algorithm
from covey.testing.as_host import AsHost
from covey.testing.environments import check_environment
from covey.testing.replay import law_replay

__all__ = ["AsHost", "check_algorithm", "check_environment", "law_replay"]
