"""Who is meant by the name of a prior: a rule of the environment, a run that was trained, or authored functions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax

from covey import algorithms
from covey.algorithms.prior import RULE
from covey.authored import folder
from covey.authored.rule import as_rule
from covey.core.algorithm import Algorithm, Frozen
from covey.core.errors import BadInput, unknown
from covey.core.types import Spec

CALLED = "prior"
"""The rule of an environment that is meant to be learned from."""


def guide(environment: Any, name: str) -> Algorithm:
    """The policy that is called `name`: a rule of `environment`, the first seed of a run folder (`RUN`, `RUN@STEP`),
    which learns no more, or a folder of authored functions, which are read as data. BadInput where there is none, or
    where it is a policy for other agents."""
    rules = algorithms.rules(environment)
    if name == RULE:
        if not rules:
            raise BadInput(f"{environment.spec.name!r} has no rule to begin from: name a run folder as the prior.")
        name = CALLED if CALLED in rules else next(iter(rules))
    if name in rules:
        rule = rules[name]()
        return Frozen(inner=rule, state=rule.init(jax.random.key(0), 1))  # type: ignore[call-arg]
    if (Path(name.partition("@")[0]) / "config.yaml").exists():
        return _trained(environment.spec, name)
    if folder.is_authored(Path(name)):
        return as_rule(folder.load(Path(name), environment), environment.spec)
    raise unknown("among the rules and folders the prior", name, rules)


def _trained(spec: Spec, folder: str) -> Algorithm:
    from covey.runs.policy import load

    policy = load(folder)
    if _shape(policy.environment.spec) != _shape(spec):
        raise BadInput(
            f"the prior {folder} was trained in {policy.environment.spec.name!r}, whose agents see or do other things "
            f"than those of {spec.name!r}: give a run of the same agents."
        )
    return Frozen(inner=policy.algorithm, state=policy.state)  # type: ignore[call-arg]


def _shape(spec: Spec) -> dict[str, Any]:
    """What has to be the same for a policy to be of use: the agents, what they see and what they do."""
    return {name: (group.size, group.obs, group.action) for name, group in spec.groups.items()}
