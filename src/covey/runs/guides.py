"""What the names in a configuration stand for: priors (rules, trained runs, authored functions), authored rewards."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax

from covey import algorithms
from covey.algorithms.prior import RULE
from covey.authored import folder
from covey.authored.reward import OWN, Rewarded, demand_compiled, without_authored_reward
from covey.authored.rule import as_rule
from covey.core.algorithm import Algorithm, Frozen
from covey.core.errors import BadInput, unknown
from covey.core.types import Spec
from covey.runs.provenance import HERE, Places

CALLED = "prior"
"""The rule of an environment that is meant to be learned from."""


def guide(environment: Any, name: str, places: Places = HERE) -> Algorithm:
    """The policy that is called `name`: a rule of `environment`, the first seed of a run folder (`RUN`, `RUN@STEP`),
    which learns no more, or a folder of authored functions, which are read as data; `places` says where folders are.
    BadInput where there is none, or where it is a policy for other agents."""
    rules = algorithms.rules(environment)
    if name == RULE:
        if not rules:
            raise BadInput(f"{environment.spec.name!r} has no rule to begin from: name a run folder as the prior.")
        name = CALLED if CALLED in rules else next(iter(rules))
    if name in rules:
        rule = rules[name]()
        return Frozen(inner=rule, state=rule.init(jax.random.key(0), 1))  # type: ignore[call-arg]
    found = str(places.find(name))
    if (Path(found.partition("@")[0]) / "config.yaml").exists():
        return _trained(environment.spec, found)
    if folder.is_authored(Path(found)):
        return as_rule(places.load(name, environment), environment.spec)
    raise unknown("among the rules and folders the prior", name, rules)


def rewarded(environment: Any, name: str, places: Places = HERE) -> Any:
    """`environment` with the reward of the authored folder that is called `name`; with its own where that is `none`.
    BadInput where there is no such folder, or where it is for another environment."""
    own = without_authored_reward(environment)
    if name == OWN:
        return own
    demand_compiled(own)
    if not places.find(name).exists():
        raise BadInput(f"there is no folder {name} with an authored reward: `covey author` writes such folders.")
    return Rewarded(own, places.load(name, own))


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
