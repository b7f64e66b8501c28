"""Algorithms by name: `make("att-maddpg", environment)`, `make("optimal", environment)`, `make("my_module:mine", ...)`.

An id is an alias (a paper: an update rule plus the parts that paper chose), a rule of the given environment, or
`package.module:factory`. Aliases and factories are functions `(spec, *, preset="tuned", groups=None) -> Algorithm`.
`self-play/ID` is one policy for both sides of an environment, which the algorithm called ID learns.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from covey.algorithms import presets
from covey.core.errors import BadInput, unknown
from covey.core.optional import offered
from covey.core.registry import locate, signature_of

if TYPE_CHECKING:  # `covey list` needs no more than the names
    from covey.core.algorithm import Algorithm

TUNED = "tuned"
PRESETS = (TUNED, "paper")
FIELD_PRESETS = (*PRESETS, "legacy", "table")


SELF_PLAY = "self-play/"
"""What ids begin with that stand for one policy on both sides."""


class Alias(NamedTuple):
    """An entry of `ALIASES`: where the alias is, one line on what it is, and the presets it comes with."""

    path: str
    summary: str
    presets: tuple[str, ...] = PRESETS

    def factory(self) -> Callable[..., Algorithm]:
        return locate(self.path, "algorithm")


ALIASES: dict[str, Alias] = {
    "iddpg": Alias("covey.algorithms.ddpg:iddpg", "Independent DDPG: every agent's critic sees that agent alone."),
    "maddpg": Alias("covey.algorithms.ddpg:maddpg", "MADDPG: one centralized critic per agent."),
    "ps-maddpg": Alias(
        "covey.algorithms.ddpg:ps_maddpg", "MADDPG with one actor per group and critics that share a layer."
    ),
    "khead-maddpg": Alias(
        "covey.algorithms.ddpg:khead_maddpg", "MADDPG whose critic merges K heads without attention."
    ),
    "att-maddpg": Alias(
        "covey.algorithms.ddpg:att_maddpg", "MADDPG whose critic weighs K heads by the teammates' actions."
    ),
    "matd3": Alias("covey.algorithms.ddpg:matd3", "MADDPG with twin critics, delayed actors and smoothed targets."),
    "lamarl": Alias(
        "covey.algorithms.ddpg:lamarl",
        "DDPG with one actor and one critic for all agents, guided by a prior.",
        (TUNED, "seed", "code"),
    ),
    "ippo": Alias("covey.algorithms.ppo:ippo", "Independent PPO: every agent's critic sees that agent alone."),
    "mappo": Alias("covey.algorithms.ppo:mappo", "PPO for teams: centralized critics."),
    "credit-mappo": Alias(
        "covey.algorithms.ppo:credit_mappo", "MAPPO that tells agents apart by what each did for the team."
    ),
    "vdn": Alias("covey.algorithms.value:vdn", "Q-learning in which the team's value is its members' sum.", ("tuned",)),
    "qmix": Alias(
        "covey.algorithms.value:qmix", "Q-learning in which the team's value grows with its members'.", ("tuned",)
    ),
    "iql": Alias(
        "covey.algorithms.mean_field.q:iql", "Independent Q-learning: everybody shares one network.", FIELD_PRESETS
    ),
    "mfq": Alias(
        "covey.algorithms.mean_field.q:mfq", "Q-learning that answers the mean action of neighbors.", FIELD_PRESETS
    ),
    "ac": Alias(
        "covey.algorithms.mean_field.ac:ac", "Advantage actor-critic: everybody shares one network.", FIELD_PRESETS[:3]
    ),
    "mfac": Alias(
        "covey.algorithms.mean_field.ac:mfac", "Actor-critic that sees the mean action of neighbors.", FIELD_PRESETS[:3]
    ),
    "mf-ppo": Alias(
        "covey.algorithms.mean_field.ac:mf_ppo", "MF-AC with several steps on a rollout.", FIELD_PRESETS[:3]
    ),
    "matwm": Alias(
        "covey.algorithms.matwm:matwm",
        "A transformer world model for all agents, in which each learns to act by imagining.",
        (TUNED, "paper", "gpu-lite", "cpu", "tiny"),
    ),
    "random": Alias("covey.algorithms.random:random", "Uniform over what is legal; learns nothing.", ("tuned",)),
}

RULES: dict[str, tuple[str, ...]] = {
    "toy/": ("optimal",),
    "matrix/": ("best-joint-action",),
    "squeeze": ("best-sum",),
    "ising": ("heat-bath", "metropolis", "aligned"),
    "battle": ("charge",),
    "particle/spread": ("assigned-landmarks",),
    "particle/tag": ("chase-and-flee", "chase", "flee"),
    "navigation": ("greedy-pursuit", "assignment", "best-assignment"),
    "pursuit": ("greedy-pursuit", "surround"),
    "assembly": ("prior", "mean-shift"),
    "routing": (
        "equal",
        "ecmp",
        "wcmp-link",
        "wcmp-path",
        "wcmp-residual",
        "static-optimal",
        "stale-optimal",
        "optimal-routing",
        "direct-splitter",
        "decentralized-bound",
    ),
}
"""Which rules belong to which environments (beginnings of their ids): what errors and `covey list` say."""


def preset_for(id: str, environment: str | None) -> str:
    """The preset that an algorithm begins with in the environment with this id, where nobody asks for one."""
    return TUNED if presets.found(id, environment, None) is None else str(environment)


def make(id: str, environment: Any, *, preset: str = "tuned", groups: tuple[str, ...] | None = None) -> Algorithm:
    """The algorithm called `id` for `environment`, controlling `groups` (None: all of them).

    preset: one of the algorithm's own, or the id of an environment that settings were found for (`presets.FOUND`).
    Ids may be spelled with `-` or `_`. An unknown id, preset or group, or a rule of another environment, is a
    `BadInput`.
    """
    spec = environment.spec
    for name in groups or ():
        if name not in spec.groups:
            raise unknown(f"in the environment {spec.name!r} the group", name, spec.groups)
    if id.replace("_", "-").startswith(SELF_PLAY):
        return _self_play(id[len(SELF_PLAY) :], environment, preset, groups)
    if ":" in id:
        return _built(locate(id, "algorithm"), id, spec, preset, groups)
    name = id.replace("_", "-")
    special = presets.found(name, preset, preset)
    if special is not None:
        from covey.core.settings import with_settings

        return with_settings(_built(_alias(name, TUNED), name, spec, TUNED, groups), special.settings, name)
    if name in ALIASES:
        return _built(_alias(name, preset), name, spec, preset, groups)
    return _rule(name, environment, preset, groups)


def demand_algorithm(made: Any, what: str) -> Algorithm:
    """`made`, if it is an algorithm; else a BadInput that calls it `what`."""
    from covey.core.algorithm import Algorithm

    if not isinstance(made, Algorithm):
        raise BadInput(f"{what} is not an algorithm but a {type(made).__name__}.")
    return made


def rules(environment: Any) -> dict[str, Callable[[], Algorithm]]:
    """The rules that come with an environment: builders by name."""
    found = offered(environment, "rules")
    return {} if found is None else found()


def _built(
    factory: Callable[..., Algorithm], id: str, spec: Any, preset: str, groups: tuple[str, ...] | None
) -> Algorithm:
    """`factory(spec, ...)` with whichever of `preset` and `groups` it takes."""
    signature = signature_of(factory, f"the algorithm {id!r}")
    given = {"preset": preset, "groups": groups}
    options = {name: value for name, value in given.items() if name in signature.parameters}
    try:
        signature.bind(spec, **options)
    except TypeError as error:
        raise BadInput(f"the algorithm {id!r} cannot be made of a spec: {error}.") from error
    return demand_algorithm(factory(spec, **options), f"what {id!r} makes")


def _alias(name: str, preset: str) -> Callable[..., Algorithm]:
    if preset not in ALIASES[name].presets:
        raise unknown(f"of the algorithm {name!r} the preset", preset, [*ALIASES[name].presets, *presets.names(name)])
    return ALIASES[name].factory()


def _self_play(id: str, environment: Any, preset: str, groups: tuple[str, ...] | None) -> Algorithm:
    from covey.algorithms.self_play import self_play

    if groups is not None:
        raise BadInput(f"self-play is about all sides, and was asked to control {list(groups)} only.")
    name = id.replace("_", "-")
    if ":" not in id and name not in ALIASES:
        raise unknown("for self-play the algorithm", name, ALIASES)
    factory = locate(id, "algorithm") if ":" in id else _alias(name, preset)

    def alias(spec: Any, groups: tuple[str, ...]) -> Algorithm:
        return _built(factory, id, spec, preset, groups)

    return self_play(alias, environment.spec)


def _rule(name: str, environment: Any, preset: str, groups: tuple[str, ...] | None) -> Algorithm:
    own = rules(environment)
    if name not in own:
        raise _unknown(name, environment.spec.name, own)
    if preset != "tuned":
        raise BadInput(f"{name!r} is a rule and has no presets: leave out the preset {preset!r}.")
    rule = own[name]()
    if groups is None or set(groups) == set(rule.groups):
        return rule
    from covey.algorithms.part import Part

    return Part(environment.spec, tuple(groups), rule)


def _unknown(name: str, world: str, own: dict) -> BadInput:
    homes = [home for home, names in RULES.items() if name in names]
    if homes:
        plays = " and ".join(f"{home}*" if home.endswith("/") else home for home in homes)
        return BadInput(f"the algorithm {name!r} is a rule of {plays}, and this environment is {world!r}.")
    return unknown("the algorithm", name, [*ALIASES, *own])
