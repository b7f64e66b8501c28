"""`check_environment`: everything an environment promises, tried out. Problems come back as sentences."""

from __future__ import annotations

from typing import Any

import jax

from covey.core.structure import spec_problems
from covey.testing.host_worlds import host_problems
from covey.testing.jax_worlds import jax_problems

LONGEST = 1000  # steps, where the caller does not say


def check_environment(environment: Any, *, steps: int | None = None, key: Any = None) -> list[str]:
    """Problems of an environment, in plain sentences; none is good news.

    Works for a JAX `Environment` and for a `HostEnvironment` (what has `lanes`), with random legal actions. `steps` is
    how long episodes are followed: by default until the time limit (100 steps if there is none), and at most 1000
    steps. `key` decides the actions and, in a JAX environment, everything else.
    """
    key = jax.random.key(0) if key is None else key
    host = hasattr(environment, "lanes")
    problems = _missing(environment, ("reset", "step", "close") if host else ("reset", "step"))
    if not hasattr(environment, "spec"):
        problems.append("the environment has no `spec`: say what it is before it runs (covey.core.types.Spec).")
    problems = problems or spec_problems(environment)
    if problems:
        return problems
    followed = min(environment.spec.time_limit or 100, LONGEST) if steps is None else steps
    return (host_problems if host else jax_problems)(environment, followed, key)


def _missing(environment: Any, methods: tuple[str, ...]) -> list[str]:
    return [
        f"the environment has no method `{name}`: see covey.core.environment for what it takes and returns."
        for name in methods
        if not callable(getattr(environment, name, None))
    ]
