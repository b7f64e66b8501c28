"""The documentation holds what it says: names resolve, commands parse, Python runs, links and file grammars work."""

from __future__ import annotations

import ast
import re
import shlex
from functools import partial
from pathlib import Path
from typing import NamedTuple

import jax
import pytest

import covey
from covey import algorithms, cli
from covey.core.errors import BadInput
from covey.core.registry import locate
from covey.environments.routing.readers import GRAMMARS, read
from covey.runs.guides import guide

ROOT = Path(covey.__file__).parents[2]
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")])

NAME = re.compile(r"(?<![\w/.-])(covey(?:\.\w+)+)(?::(\w+(?:\.\w+)*))?(?![\w(=/])")
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
BLOCK = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SLOW = ("covey.train(", "covey.load(", "covey.evaluate(")
"""Blocks that train are compiled and not run; `tests/runs` runs these functions."""


class Block(NamedTuple):
    """A fenced block of a page."""

    page: Path
    number: int
    text: str


def blocks(language: str) -> list[Block]:
    return [
        Block(page, number, text)
        for page in PAGES
        for number, (kind, text) in enumerate(BLOCK.findall(page.read_text()))
        if kind == language
    ]


def title(value: Path | Block) -> str:
    page, number = (value.page, f"#{value.number}") if isinstance(value, Block) else (value, "")
    return f"{page.relative_to(ROOT)}{number}"


# ---------------------------------------------------------------------------------------------------------------------
# Names


def names(text: str) -> list[tuple[str, str]]:
    """Every `module:qualified.name` in inline code, and every `covey.module` that is all of one."""
    inline = re.findall(r"`([^`\n]+)`", BLOCK.sub("", text))
    return sorted({match for code in inline for match in NAME.findall(code) if NAME.fullmatch(code) or match[1]})


def resolve(module: str, qualified: str) -> None:
    """Import a name; a field of a class counts as an attribute of it."""
    path, _, last = qualified.rpartition(".")
    owner = locate(f"{module}:{path}", "name") if path else __import__(module, fromlist=["_"])
    hinted = {field for kind in getattr(owner, "__mro__", ()) for field in vars(kind).get("__annotations__", {})}
    assert hasattr(owner, last) or last in hinted, f"there is no {last!r} in {module}:{path}"


@pytest.mark.parametrize("page", PAGES, ids=title)
def test_names_resolve(page):
    for module, qualified in names(page.read_text()):
        if qualified:
            resolve(module, qualified)
        else:
            parent, _, last = module.rpartition(".")
            owner = __import__(parent, fromlist=[last])
            assert hasattr(owner, last), f"there is no {module}"


def test_names_are_seen_and_wrong_ones_are_refused():
    text = "`covey.nn.joint:views` and `covey.algorithms.ddpg:DDPG.act`, not `covey train x`\n```python\n`a.b:c`\n```"
    assert names(text) == [("covey.algorithms.ddpg", "DDPG.act"), ("covey.nn.joint", "views")]
    with pytest.raises(AssertionError):
        resolve("covey.algorithms.ddpg", "DDPG.acts")


# ---------------------------------------------------------------------------------------------------------------------
# Commands


def commands(text: str) -> list[str]:
    """The `covey` commands of a shell block, continued lines joined."""
    lines = text.replace("\\\n", " ").splitlines()
    return [line.strip().removeprefix("$ ") for line in lines if line.strip().removeprefix("$ ").startswith("covey ")]


@pytest.mark.parametrize(
    "command",
    [
        "covey train att-maddpg routing/smal",
        "covey train maddpg navigation --no-such-flag 1",
        "covey reproduce att-maddpg/demo --quik",
        "covey list agents --what",
    ],
)
def test_wrong_commands_are_refused(command):
    """Right ones are carried out: `tests/test_commands.py`."""
    _, name, *args = shlex.split(command)
    with pytest.raises(BadInput):
        locate(cli.COMMANDS[name].path, "command")(args)


# ---------------------------------------------------------------------------------------------------------------------
# Python


@pytest.mark.parametrize("block", blocks("python"), ids=title)
def test_python_compiles_and_the_quick_runs(block, tmp_path, monkeypatch, capsys):
    program = compile(block.text, title(block), "exec", dont_inherit=True)  # not this file's future imports
    imported = [node for node in ast.walk(ast.parse(block.text)) if isinstance(node, (ast.Import, ast.ImportFrom))]
    if not imported or any(call in block.text for call in SLOW):
        return
    monkeypatch.chdir(tmp_path)
    exec(program, {"__name__": "page"})


# ---------------------------------------------------------------------------------------------------------------------
# Links and paths


def anchors(page: Path) -> set[str]:
    """What the headings of a page are called in links."""
    found = re.findall(r"^#+ (.+)$", BLOCK.sub("", page.read_text()), re.MULTILINE)
    return {re.sub(r"[\s-]+", "-", re.sub(r"[^\w\s-]", "", heading.lower()).strip()) for heading in found}


@pytest.mark.parametrize("page", PAGES, ids=title)
def test_links_lead_somewhere(page):
    for target in LINK.findall(BLOCK.sub("", page.read_text())):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        other = (page.parent / path).resolve() if path else page
        assert other.exists(), f"{target} does not exist"
        assert not anchor or other.suffix != ".md" or anchor in anchors(other), f"{target} has no such heading"


@pytest.mark.parametrize("page", PAGES, ids=title)
def test_no_page_names_a_place_on_one_machine(page):
    places = re.findall(r"(?<![\w.])/(?:home|work|tmp|root|usr|mnt|Users)/\S*", page.read_text())
    assert not places


# ---------------------------------------------------------------------------------------------------------------------
# File grammars


ROUTING = ROOT / "docs" / "environments" / "routing.md"


def grammar_sections() -> dict[str, list[tuple[str, str]]]:
    """(file name, content) of every example, by grammar."""
    sections = re.split(r"^### ", ROUTING.read_text().partition("## File grammars")[2], flags=re.MULTILINE)[1:]
    example = re.compile(r"^`([\w.]+)`[^\n]*:\n\n```text\n(.*?)^```$", re.MULTILINE | re.DOTALL)
    return {section.splitlines()[0].strip("`"): example.findall(section) for section in sections}


@pytest.mark.parametrize("grammar", GRAMMARS)
def test_the_examples_of_file_grammars_are_read(grammar, tmp_path):
    examples = grammar_sections()[grammar]
    for name, content in examples:
        (tmp_path / name).write_text(content)
    network, matrices, tunnels = read(tmp_path / examples[0][0])
    assert len(network.links) >= 2
    beside = [name for name, _ in examples[1:]]
    assert (matrices is not None) == ("sndlib" in grammar or any(name != "tunnels.txt" for name in beside))
    assert (tunnels is not None) == ("tunnels.txt" in beside)


# ---------------------------------------------------------------------------------------------------------------------
# Sentences and tables


def sentences() -> list[str]:
    """Every text in the source, what is filled in left out: "\0" stands in its place."""

    def text(node: ast.expr) -> str:
        match node:
            case ast.Constant(value=str(value)):
                return value
            case ast.JoinedStr(values=values):
                return "".join(text(value) for value in values)
            case ast.BinOp(left=left, op=ast.Add(), right=right):
                return text(left) + text(right)
        return "\0"

    modules = [ast.parse(path.read_text()) for path in (ROOT / "src").rglob("*.py")]
    kinds = (ast.Constant, ast.JoinedStr, ast.BinOp)
    return [text(node) for module in modules for node in ast.walk(module) if isinstance(node, kinds)]


def test_sentences_of_the_troubleshooting_page_are_covey_s():
    page = (ROOT / "docs/troubleshooting.md").read_text()
    quoted = re.findall(r"^\| `([^`]*\.\.\.[^`]*|the [^`]+)` \|", page, re.MULTILINE)
    assert len(quoted) >= 17
    source = sentences()
    for sentence in quoted:
        pattern = re.compile(".*".join(re.escape(piece.strip()) for piece in sentence.split("...")), re.DOTALL)
        assert any(pattern.search(text) for text in source), sentence


WORKS_IN = {"boxes": "navigation", "splits": "routing/small", "discrete": "toy/discrete", "pictures": "toy/pictures"}


def plays(algorithm: str, environment: str) -> bool:
    made = covey.make(environment)
    try:
        rule = algorithms.make(algorithm, made).with_guides(partial(guide, made))
        jax.eval_shape(partial(rule.init, lanes=2), jax.random.key(0))
    except BadInput:
        return False
    return True


@pytest.mark.slow
@pytest.mark.parametrize("kind", WORKS_IN)
def test_the_table_of_what_works_where(kind):
    page = (ROOT / "docs/which-algorithm.md").read_text()
    lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in page.splitlines() if line.startswith("|")]
    head = next(line for line in lines if line[0] == "algorithm")
    rows = [line for line in lines[lines.index(head) + 2 :] if len(line) == len(head)]
    said = {id: row[head.index(kind)] == "yes" for row in rows for id in re.findall(r"`([\w-]+)`", row[0])}
    assert set(said) == set(algorithms.ALIASES) - {"random"}
    assert said == {id: plays(id, WORKS_IN[kind]) for id in said}
