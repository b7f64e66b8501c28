"""Options that pages name, and the kinds of parts that they list, go through the real parser of the command line."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

import covey
from covey import environments
from covey.algorithms import ALIASES
from covey.cli.author import Arguments as AuthorArguments
from covey.cli.check import Arguments as CheckArguments
from covey.cli.configure import configure, everything, from_names
from covey.cli.environment import ENV
from covey.cli.options import Entry, form, maker_form
from covey.cli.parse import flags, parse, scan
from covey.cli.settings import Settings
from covey.cli.studies import BenchArguments, ReproduceArguments
from covey.cli.train import SWITCHES
from covey.cli.trained import CompareArguments, EvaluateArguments, RenderArguments, TournamentArguments
from covey.core.errors import BadInput
from covey.core.settings import all_settings, with_settings
from covey.environments import WORLDS

ROOT = Path(covey.__file__).parents[2]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
OUTSIDE = type(form("Outside", [Entry(ENV, None, maker_form(environments.maker("pettingzoo:any")[0], 1, {}), ENV)]))
"""The options of environments of PettingZoo, none of which has to be there."""

FORMS = (
    *(Settings, AuthorArguments, CheckArguments, ReproduceArguments, BenchArguments),
    *(EvaluateArguments, RenderArguments, CompareArguments, TournamentArguments, OUTSIDE),
)
"""What commands take whatever the algorithm and the environment are."""

EXAMPLES = {
    "cli": ["att-maddpg routing/small", "credit-mappo particle/spread"],
    "credit": ["credit-mappo squeeze"],
    "observations": ["ippo toy/pictures", "mfq toy/pictures", "mfac toy/pictures", "matwm toy/pictures"],
}
"""What to train for the options of a page that is about no algorithm or environment of its own."""


class Option(NamedTuple):
    """An option in inline code, with what stands behind it there."""

    page: Path
    flag: str
    value: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}: {self.flag} {self.value}".strip()


def options(page: Path) -> Iterator[Option]:
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    for code in re.findall(r"`([^`\n]*--[^`\n]+)`", text):
        for flag, value in re.findall(r"(?<![\w-])(--[a-z][\w.-]*)(?: ([^-\s](?:[^-]|(?<=\w)-)*))?", code):
            yield Option(page, flag, value.strip())


def trained(page: Path) -> list[str]:
    """Algorithm and environment, as `covey train` takes them, for the options of a page."""
    named = re.findall(r"`([^`]+)`", page.read_text().partition("\n")[0])
    if page.parent.name == "algorithms":
        lines = [f"{name} toy/discrete" for name in named if name in ALIASES]
        return lines or (["self-play/mfq toy/duel"] if page.stem == "self-play" else ["maddpg toy/discrete"])
    if page.parent.name == "environments":
        ids = [id for id in WORLDS if id.split("/")[0] == page.stem] or ["toy/discrete"]
        return [f"random {id}" for id in ids]
    return EXAMPLES.get(page.stem, ["mappo toy/discrete"])


def form_of_training(line: str) -> type:
    start = from_names(line.split(), {})
    return type(everything(start, start.algorithm))


def is_known(form: type, option: Option) -> bool:
    """Does the parser of `form` know the option? Given no value, it misses one, or the option is a switch."""
    try:
        parse(form, [option.flag], "command")
    except BadInput as error:
        return "is unknown" not in str(error)
    except SystemExit:  # --help
        return True
    return True


def configured(line: str):
    """What `covey train LINE` would execute."""
    args = shlex.split(line)
    words, given = scan(args, SWITCHES)
    return configure(args, words, given, None)[0]


NAMED = [option for page in PAGES for option in options(page)]


def test_pages_name_options():
    assert len(NAMED) > 25
    assert {"--credit", "--preset", "--env.arguments"} <= {option.flag for option in NAMED}


@pytest.mark.parametrize("option", NAMED, ids=str)
def test_the_parser_knows_what_pages_name(option):
    forms = [*FORMS, *map(form_of_training, trained(option.page))]
    if option.flag.endswith("..") or option.flag.endswith("."):  # `--inner...`: all that follows a dot
        assert any(flag.startswith(option.flag.rstrip(".") + ".") for form in forms for flag in flags(form))
    elif option.flag == "--env.NAME":
        assert any(flag.startswith("--env.") for form in forms for flag in flags(form))
    else:
        assert any(is_known(form, option) for form in forms)


def test_what_no_page_should_name_is_seen():
    forms = [*FORMS, form_of_training("credit-mappo toy/discrete")]
    assert not any(is_known(form, Option(PAGES[0], "--crediting", "")) for form in forms)


@pytest.mark.parametrize(
    "option",
    [o for o in NAMED if o.value and o.value.upper() != o.value and o.page.parent.name == "algorithms"],
    ids=str,
)
def test_values_that_pages_name(option):
    for line in trained(option.page):
        configured(f"{line} {option.flag} {option.value}")


# ---------------------------------------------------------------------------------------------------------------------
# Kinds of parts


def listed_kinds() -> Iterator[tuple[str, str, str]]:
    """What to train, flag, kind: of tables below a heading with a flag, and of lists that follow one."""
    for page in PAGES:
        text = page.read_text()
        for flag, section in re.findall(
            r"^## .*\(`(--[\w.-]+)`\)$(.*?)^(?=\S*[^|\s])(?!\|)", text, re.MULTILINE | re.DOTALL
        ):
            for kind in re.findall(r"^\| `([\w-]+)`", section, re.MULTILINE):
                yield trained(page)[0], flag, kind
        for flag, kinds in re.findall(r"\(`(--[\w.-]+)`\): ((?:`[\w-]+`(?:, )?)+)", text):
            for kind in re.findall(r"`([\w-]+)`", kinds):
                yield trained(page)[0], flag, kind


LISTED = list(listed_kinds())


def test_nine_kinds_of_credit_and_six_mixers_are_listed():
    assert [flag for _, flag, _ in LISTED].count("--credit") == 9
    assert [flag for _, flag, _ in LISTED].count("--credit.mixer") == 6


@pytest.mark.parametrize(("line", "flag", "kind"), LISTED)
def test_listed_kinds_can_be_chosen(line, flag, kind):
    algorithm = configured(f"{line} {flag} {kind}").algorithm
    (part,) = (setting for setting in all_settings(algorithm) if f"--{setting.name}" == flag)
    assert part.kinds[kind] is type(part.value)


@pytest.mark.parametrize("flag", ["--credit", "--credit.mixer"])
def test_all_kinds_are_listed(flag):
    algorithm = configured("credit-mappo toy/discrete").algorithm
    (part,) = (setting for setting in all_settings(algorithm) if f"--{setting.name}" == flag)
    assert {kind for _, named, kind in LISTED if named == flag} == set(part.kinds)


REFUSED = {
    ("vdn", "pair"): "choose 'sum', 'monotone' or 'free'",
    ("vdn", "attention"): "choose 'sum', 'monotone' or 'free'",
    ("vdn", "weighted"): "choose 'sum', 'monotone' or 'free'",
    ("vdn", "current-episode"): "needs `horizon` 1",
}
REFUSED |= {("qmix", kind): words for (_, kind), words in REFUSED.items()}
REFUSED |= {(id, "current-episode"): "needs `horizon` 1" for id in ("iql", "mfq", "lamarl")}
SEVERAL = ("maddpg", "ps-maddpg", "khead-maddpg", "att-maddpg", "matd3", "vdn", "qmix", "iql", "mfq")
REFUSED |= {(id, "single-agent-transitions"): "looks at several agents of a step" for id in SEVERAL}
CRITICS = ("joint", "shared-trunk", "heads", "attention-heads", "neighbors")
REFUSED |= {("lamarl", kind): "set `replay.sampler` to `transitions`" for kind in CRITICS}
"""Kinds that do not go with the rest of what is tuned, and what their sentence says."""


def every_kind() -> Iterator[tuple[str, str, str]]:
    for id, alias in ALIASES.items():
        environment = "ising" if "mean_field" in alias.path else "toy/discrete"
        for setting in all_settings(configured(f"{id} {environment}").algorithm):
            for name, kind in setting.kinds.items():
                if kind.__module__.startswith("covey."):  # other tests have kinds of their own
                    yield f"{id} {environment}", setting.name, name


@pytest.mark.parametrize(("line", "name", "kind"), list(every_kind()))
def test_every_kind_of_every_part_can_be_chosen(line, name, kind):
    """On the command line as in Python, with the same result."""
    id, plain = line.split()[0], configured(line).algorithm
    if (id, kind) in REFUSED:
        with pytest.raises(BadInput, match=REFUSED[id, kind]):
            with_settings(plain, {name: kind}, id)
        return
    chosen = with_settings(plain, {name: kind}, id)
    assert configured(f"{line} --{name} {kind}").algorithm == chosen
    (part,) = (setting for setting in all_settings(chosen) if setting.name == name)
    assert part.kinds[kind] is type(part.value)
