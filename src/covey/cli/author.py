"""`covey author`: from a sentence to a prior and a reward that passed the gates."""

from __future__ import annotations

import dataclasses
import datetime
import os
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from tyro.conf import FlagCreatePairsOff, Positional, arg

from covey.cli.environment import parse_with_environment
from covey.cli.parse import JsonFile, scan, switches
from covey.core.errors import BadInput

if TYPE_CHECKING:
    from covey.authored.author import Written
    from covey.authored.exchange import Provider
    from covey.authored.report import Report


DECIDED = ("candidates", "repairs", "stages", "form", "no_chain_of_thought", "no_apis", "source", "give_up_isolation")
"""What an ablation decides itself."""


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Write a prior policy and a reward for an environment: by a language model, or, without --endpoint, by hand.

    What a model writes never runs here: it is traced in a cage, and comes back as data (docs/authored.md).

    Examples:
      covey author assembly --out authored/by-hand
      covey author navigation --task "Cover all landmarks." --endpoint http://localhost:11434/v1 --model NAME
      covey author assembly --task "Fill the shape." --endpoint URL --model NAME --api-key-env VARIABLE
    """

    environment: Annotated[Positional[str | None], arg(metavar="ENVIRONMENT", help_behavior_hint="")] = None
    """Of `covey list environments`, or your own."""
    task: Annotated[str, arg(metavar="TEXT", help_behavior_hint="(default: to earn)")] = ""
    """What the agents should do."""
    group: Annotated[str | None, arg(metavar="NAME", help_behavior_hint="(default: all)")] = None
    """Which agents they are for."""
    endpoint: Annotated[str | None, arg(metavar="URL", help_behavior_hint="")] = None
    """A server with OpenAI's protocol, up to `/v1`."""
    model: Annotated[str | None, arg(metavar="NAME", help_behavior_hint="")] = None
    """The model there."""
    api_key_env: Annotated[str | None, arg(metavar="VARIABLE", help_behavior_hint="(default: no key)")] = None
    """The name of the environment variable that holds the key."""
    replay: Annotated[Path | None, arg(metavar="FILE", help_behavior_hint="")] = None
    """A recorded exchange that answers instead."""
    source: Annotated[Path | None, arg(metavar="FILE", help_behavior_hint="")] = None
    """A text to examine instead: code, or terms."""
    candidates: int = 1
    """Dialogues; the best is taken."""
    repairs: int = 4
    """Repairs in each of them, at most."""
    stages: Literal["single", "staged"] = "staged"
    """All in one call, or constraints, plan, code, review."""
    form: Literal["code", "terms"] = "code"
    """Write code, or name terms."""
    no_chain_of_thought: FlagCreatePairsOff[bool] = False
    """Do not ask for the reasoning."""
    no_apis: FlagCreatePairsOff[bool] = False
    """Do not offer functions to copy."""
    calls: int = 50
    """Requests that may be sent at all."""
    tokens: int = 500_000
    """Tokens that may be used."""
    deadline: float = 1_800.0
    """Seconds for all requests together."""
    timeout: float = 120.0
    """Seconds for one request."""
    temperature: Annotated[float | None, arg(help_behavior_hint="(default: the endpoint's)")] = None
    """Of the model."""
    max_tokens: Annotated[int | None, arg(help_behavior_hint="(default: the endpoint's)")] = None
    """Of one answer."""
    stream: FlagCreatePairsOff[bool] = False
    """Ask for answers in pieces."""
    ablation: Annotated[int | None, arg(metavar="N", help_behavior_hint="")] = None
    """Count which of N answers to each prompt pass."""
    seed: int = 0
    """Of the episodes on which functions are tried."""
    out: Annotated[Path | None, arg(metavar="DIR", help_behavior_hint="(default: authored/...)")] = None
    """A new folder for all of it."""
    give_up_isolation: FlagCreatePairsOff[bool] = False
    """Run the text without a cage: it can do whatever you can."""
    json: JsonFile = None
    """Write the report there too; `-`: print it alone."""


def author(args: list[str]) -> int:
    """`covey author`."""
    asked, environment = parse_with_environment(Arguments, args, "author", _environment_id)
    if environment is None:
        raise BadInput("for which environment? Say `covey author navigation`, or see `covey list environments`.")
    _demand_one_provider(asked)
    asked = asked if asked.replay is None else _as_recorded(asked, asked.replay)
    from covey.runs.tables import reports, write_json
    from covey.runs.train import use_compilation_cache

    use_compilation_cache()
    if asked.ablation is not None:
        return _ablate(asked, environment)
    with reports(asked.json):
        written, out = _written(asked, environment)
        _show(asked, written)
        print(f"\n{out}: {', '.join(sorted(path.name for path in out.iterdir()))}")
        print(_next(asked, args, environment, out))
    write_json(written.report, asked.json)
    return 0


def _ablate(asked: Arguments, environment: Any) -> int:
    """The table of the prompt's ablation."""
    from covey.authored.ablation import ablate, document, lines
    from covey.runs.tables import reports, write_json

    usual = Arguments()
    for name in DECIDED:
        if getattr(asked, name) != getattr(usual, name):
            raise BadInput(f"--ablation decides how is asked: leave out --{name.replace('_', '-')}.")
    if asked.endpoint is None and asked.replay is None:
        raise BadInput(
            "an ablation asks a model: name it (--endpoint URL --model NAME), or an exchange (--replay FILE)."
        )
    out = asked.out or _folder(asked)
    with reports(asked.json):
        rows = ablate(
            environment,
            _task(asked, environment),
            _provider(asked, environment),
            answers=asked.ablation or 0,
            group=asked.group,
            seed=asked.seed,
            out=out,
            tell=lambda line: print(line, flush=True),
        )
        print("", *lines(rows), "", f"{out}: {', '.join(sorted(path.name for path in out.iterdir()))}", sep="\n")
    write_json(document(rows), asked.json)
    return 0


def _folder(asked: Arguments) -> Path:
    """A new one, named for environment and time."""
    name = str(asked.environment).replace("/", "-").replace(":", "-")
    return Path("authored") / f"{name}-{datetime.datetime.now():%Y%m%d-%H%M%S}-{os.getpid()}"


def _task(asked: Arguments, environment: Any) -> str:
    return asked.task or f"Earn as much as possible of the reward of the environment {environment.spec.name!r}."


def _written(asked: Arguments, environment: Any) -> tuple[Written, Path]:
    """What was admitted, and where it is."""
    from covey.authored.author import author
    from covey.authored.prompts import Style

    provider = _provider(asked, environment)
    style = Style(asked.stages == "staged", not asked.no_chain_of_thought, not asked.no_apis, asked.form)
    out = asked.out or _folder(asked)
    written = author(
        environment,
        _task(asked, environment),
        provider,
        group=asked.group,
        candidates=asked.candidates,
        repairs=asked.repairs,
        style=style,
        seed=asked.seed,
        out=out,
        give_up_isolation=asked.give_up_isolation,
        tell=lambda line: print(line, flush=True),
    )
    return written, out


def _environment_id(words: list[str], given: Mapping[str, str]) -> str | None:
    return words[0] if words else None


def _demand_one_provider(asked: Arguments) -> None:
    given = [f"--{name}" for name in ("endpoint", "replay", "source") if getattr(asked, name) is not None]
    if len(given) > 1:
        raise BadInput(f"{' and '.join(given)} cannot be combined: the functions come from one place.")
    if asked.endpoint is None and (asked.model or asked.api_key_env):
        raise BadInput("--model and --api-key-env are about an endpoint: say which one, with --endpoint URL.")
    if asked.endpoint is not None and asked.model is None:
        raise BadInput("an endpoint needs the name of a model: --model NAME.")
    if asked.endpoint is not None and not asked.task:
        raise BadInput('what should the agents do? Say it in a sentence: --task "...".')


def _as_recorded(asked: Arguments, replay: Path) -> Arguments:
    """With what the exchange was recorded with, where its folder says so; flags change it."""
    from covey.authored import folder

    said = folder.asked(replay if replay.is_dir() else replay.parent)
    if not said:
        return asked
    said["stages"] = "staged" if said.pop("staged") else "single"
    said |= {f"no_{name}": not said.pop(name) for name in ("chain_of_thought", "apis")}
    usual = Arguments()
    return dataclasses.replace(asked, **{n: x for n, x in said.items() if getattr(asked, n) == getattr(usual, n)})


def _provider(asked: Arguments, environment: Any) -> Provider:
    """Whoever answers."""
    from covey.authored import exchange
    from covey.authored.recording import Replayed

    if asked.replay is not None:
        return Replayed(asked.replay)
    if asked.source is not None:
        return exchange.from_file(asked.source)
    if asked.endpoint is None:
        return exchange.offline(environment, asked.form)
    from covey.authored.client import Client
    from covey.authored.endpoint import Endpoint

    endpoint = Endpoint(
        asked.endpoint,
        asked.model or "",
        asked.api_key_env,
        timeout_s=asked.timeout,
        deadline_s=asked.deadline,
        calls=asked.calls,
        tokens=asked.tokens,
        temperature=asked.temperature,
        max_tokens=asked.max_tokens,
        stream=asked.stream,
    )
    return Client(endpoint)


# ---------------------------------------------------------------------------------------------------------------------
# What is shown


def _outcome(report: Report, gate: str) -> str:
    """What became of a gate, of a text that was admitted."""
    if gate == "G7" and report.review is None:
        return "not asked"
    if gate == "G7":
        doubts = sum(not verdict["holds"] for verdict in report.review or ())
        return f"{doubts} doubts" if doubts else "passed"
    return "passed"


def _show(asked: Arguments, written: Written) -> None:
    """The gates and the score of what was admitted."""
    from covey.authored.report import GATES
    from covey.authored.terms_gates import ABOUT_TERMS
    from covey.runs.tables import Column, Table, show

    report, found = written.admission.report, written.trial
    seconds = {"G3": "trace", "G4": "check", "G5": "numbers"}
    rows = []
    for gate, about in (ABOUT_TERMS if asked.form == "terms" else GATES).items():
        took = report.seconds.get(seconds.get(gate, ""))
        rows.append((gate, _outcome(report, gate), "" if took is None else f"{took:.1f} s", about))
    columns = (Column("gate"), Column(""), Column("took", right=True), Column("what passes", prose=True))
    cost = " and ".join(f"{found['cost_ms']:.2g} ms ({name})" for name, found in report.statistics.items())
    notes = [f"warning: {warning}" for warning in report.warnings]
    print()
    show(Table(columns, rows, notes=(f"2,000 agents take {cost} on this processor.", *notes)))
    ours = [("environment's reward", found.prior_return, found.random_return)]
    ours += [("authored reward", found.prior_reward, found.random_reward)]
    ours += [(name, value, found.random_measures[name]) for name, value in found.prior_measures.items()]
    rows = [(name, f"{one:.4g}", f"{other:.4g}") for name, one, other in ours]
    columns = (Column("per step"), Column("prior", right=True), Column("random", right=True))
    preferred = f"the reward prefers an episode of the prior to a random one in {found.preferred:.0%} of the cases."
    print()
    show(Table(columns, rows, notes=(preferred,)))


def _next(asked: Arguments, args: list[str], environment: Any, out: Path) -> str:
    """The command that trains on both."""
    _, given = scan(args, switches(Arguments))
    options = [word for name, value in given.items() if name.startswith("env.") for word in (f"--{name}", value)]
    if len(environment.spec.groups) > 1:
        return "the prior is for one of several groups: give it to that group's algorithm (in Python)."
    both = ["--prior", str(out), "--reward", str(out)]
    return f"covey train {shlex.join(['lamarl', str(asked.environment), *both, *options])}"
