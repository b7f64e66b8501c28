"""Environments by name: `make("routing/large")`, `make("routing:my_network.json")`,
`make("my_package.my_module:make_env")`.

Every id stands for a maker, a plain function whose keyword arguments are the environment's options. Makers are imported
when they are asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from covey.core.errors import BadInput, unknown
from covey.core.registry import call, locate


class World(NamedTuple):
    """An entry of `WORLDS`: where the maker is (`package.module:function`) and one line on what the environment is."""

    path: str
    summary: str

    def maker(self) -> Callable[..., Any]:
        return locate(self.path, "environment")


WORLDS: dict[str, World] = {
    "toy/discrete": World("covey.environments.toy:discrete", "Two kinds of agents follow signals; a wrong turn kills."),
    "toy/continuous": World("covey.environments.toy:continuous", "Three agents move their centroid onto a target."),
    "toy/graph": World("covey.environments.toy:graph", "Four agents on a line split traffic as they are told."),
    "toy/duel": World("covey.environments.toy:duel", "Two sides that are alike strike as they are told."),
    "toy/pictures": World("covey.environments.toy:pictures", "Two agents see how a line in a picture runs."),
    "navigation": World("covey.environments.navigation:navigation", "A few agents cover a few landmarks."),
    "pursuit": World("covey.environments.pursuit:pursuit", "Predators chase a prey that runs at random."),
    "assembly": World("covey.environments.assembly:assembly", "Many robots spread evenly over a region of some shape."),
    "matrix/climbing": World("covey.environments.matrix:climbing", "Two players climb past a deep valley."),
    "matrix/penalty": World("covey.environments.matrix:penalty", "Two players agree, or pay."),
    "matrix/qtran": World("covey.environments.matrix:qtran", "Two players find the one joint action that pays."),
    "matrix/parity": World("covey.environments.matrix:parity", "Nobody's choice matters without the others'."),
    "matrix/two-step": World("covey.environments.matrix:two_step", "A choice of which game is played next."),
    "matrix/anova": World("covey.environments.matrix:anova", "A random game with a given share of interaction."),
    "matrix/decisions": World("covey.environments.matrix:decisions", "A random decision problem of several steps."),
    "matrix/additive": World("covey.environments.matrix:additive", "Players who do not matter to each other."),
    "squeeze": World("covey.environments.squeeze:squeeze", "Many name numbers whose sum should be just right."),
    "ising": World("covey.environments.ising:ising", "Spins on a torus agree with their neighbors."),
    "battle": World("covey.environments.battle:battle", "Two armies of soldiers who see little, strike and flee."),
    "particle/simple": World("covey.environments.particle:simple", "One agent goes to one landmark."),
    "particle/spread": World("covey.environments.particle:spread", "Agents cover landmarks without touching."),
    "particle/reference": World("covey.environments.particle:reference", "Two agents tell each other where to go."),
    "particle/speaker-listener": World(
        "covey.environments.particle:speaker_listener", "One agent tells another where to go."
    ),
    "particle/formation": World("covey.environments.particle:formation", "Agents stand evenly on a circle."),
    "particle/line": World("covey.environments.particle:line", "Agents stand evenly on a line."),
    "particle/adversary": World("covey.environments.particle:adversary", "Good agents hide which goal is theirs."),
    "particle/push": World("covey.environments.particle:push", "An adversary keeps an agent away from its goal."),
    "particle/crypto": World("covey.environments.particle:crypto", "Two share a secret that a third must not read."),
    "particle/tag": World("covey.environments.particle:tag", "Slow adversaries chase fast agents."),
    "particle/world-comm": World(
        "covey.environments.particle:world_comm", "Tag with food, forests and a leader who speaks."
    ),
    "particle/collect-treasure": World(
        "covey.environments.particle:collect_treasure", "Collectors bring treasures to deposits."
    ),
    "routing/small": World("covey.environments.routing:small", "Routers split traffic over paths of a small network."),
    "routing/small-contended": World(
        "covey.environments.routing:small_contended", "The small network with a shared link that everybody wants."
    ),
    "routing/large": World("covey.environments.routing:large", "Routers split traffic over paths of a large network."),
    "routing/abilene": World("covey.environments.routing:abilene", "The Abilene backbone, with synthetic traffic."),
}

SCHEMES = {
    "routing": "covey.environments.routing:from_file",
    "pettingzoo": "covey.environments.pettingzoo:pettingzoo",
}
"""Makers of ids such as `routing:FILE`, which get what stands after the colon."""

PACKAGES = {"jaxmarl": "covey.environments.jaxmarl:maker"}
"""Functions from what stands after the colon of ids such as `jaxmarl:NAME` to a maker, which has options of its own."""

FILES = {"routing": ("matrices", "tunnels")}
"""Schemes whose ids name a file, and their options that may name others."""

FILE_OPTIONS = {"assembly": ("shapes",)}
"""Of ids in `WORLDS`, options that may name files beside other things; what has a suffix is a file."""


def make(id: str, /, **options: Any) -> Any:
    """The environment called `id`, with its maker's keyword `options`.

    `id` is a name of `WORLDS`, `routing:FILE` for a network of your own, `pettingzoo:MODULE` for an environment of
    PettingZoo, `jaxmarl:NAME` for one of JaxMARL, or `package.module:function` for an environment of your own. An
    unknown name, an unknown option, an option of the wrong type or a function that makes something else is a
    `BadInput`.
    """
    from covey.core.environment import demand_environment

    return demand_environment(build(id, **options), f"what {id!r} makes")


def build(id: str, /, **options: Any) -> Any:
    """As `make`, whatever comes of it: for those who want to say more about what is missing."""
    make_it, positional = maker(id)
    return call(make_it, f"the environment {id!r}", options, *positional)


def maker(id: str) -> tuple[Callable[..., Any], tuple[Any, ...]]:
    """The function that makes the environment called `id`, and what to give it beside options. Unknown ids:
    `BadInput`."""
    if id in WORLDS:
        return WORLDS[id].maker(), ()
    scheme, colon, rest = id.partition(":")
    if scheme in SCHEMES and rest:
        return locate(SCHEMES[scheme], "environment"), (rest,)
    if scheme in PACKAGES and rest:
        return locate(PACKAGES[scheme], "environment")(rest), ()
    if colon:
        return locate(id, "environment"), ()
    file = Path(f"{id.removesuffix('.py')}.py")
    if file.exists():
        raise BadInput(
            f"the environment {id!r} is unknown; for one of {file}, name the function there that makes it: "
            f"`{file.stem}:make_env`."
        )
    raise unknown("the environment", id, WORLDS)


def in_folder(id: str, options: Mapping[str, Any], folder: Path) -> tuple[str, dict[str, Any]]:
    """The id and the options with full paths of the files that they name, where these lie in (or below) `folder`."""

    def full(name: Any) -> Any:
        return str(folder / name) if isinstance(name, str) and name and (folder / name).exists() else name

    def full_if_file(name: Any) -> Any:
        if isinstance(name, (tuple, list)):
            return tuple(map(full_if_file, name))
        return full(name) if isinstance(name, str) and Path(name).suffix else name

    scheme, _, rest = id.partition(":")
    if id in FILE_OPTIONS:
        return id, {name: full_if_file(x) if name in FILE_OPTIONS[id] else x for name, x in options.items()}
    if id in WORLDS or scheme not in FILES:
        return id, dict(options)
    return f"{scheme}:{full(rest)}", {name: full(x) if name in FILES[scheme] else x for name, x in options.items()}
