"""Imports only ever point up the list of DESIGN's section 4, at the top of a module and inside functions alike."""

from __future__ import annotations

import ast
from collections.abc import Collection
from pathlib import Path

import networkx as nx
import pytest

import covey

PACKAGE = Path(covey.__file__).parent

LAYERS = ("core", "nn", "learning", "algorithms", "environments", "authored", "runs", "studies", "testing", "cli")
"""From the top down: a module may import from its own layer and from those before it."""

ALLOWED_TO_WORLDS = {"core", "environments"}
"""What a world may import: it never knows networks, losses or runs. (Scripted is in core.)"""

REFERENCES_WITH_NETWORKS = ("environments/routing/direct.py",)
"""Rules beside a world that train a network to know what is possible: they may import `nn` too."""


def modules() -> list[Path]:
    return sorted(path for path in PACKAGE.rglob("*.py") if path.parent != PACKAGE or path.stem in LAYERS)


def layer(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported_layers(source: str) -> set[str]:
    """The parts of covey that `source` imports, wherever it does."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports inside covey are absolute"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {name.split(".")[1] for name in names if name.startswith("covey.")}


def test_every_module_belongs_to_a_layer():
    assert {layer(path) for path in modules()} <= set(LAYERS)
    assert all((PACKAGE / path).exists() for path in REFERENCES_WITH_NETWORKS)
    assert len(modules()) > 30


@pytest.mark.parametrize("path", modules(), ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_imports_point_up(path):
    own = layer(path)
    allowed = set(LAYERS[: LAYERS.index(own) + 1])
    below = imported_layers(path.read_text()) & set(LAYERS) - allowed
    assert not below, f"{own} imports from {sorted(below)}, which lie below it"


@pytest.mark.parametrize("path", [p for p in modules() if layer(p) == "environments"], ids=lambda p: p.stem)
def test_worlds_import_core_only(path):
    networks = {"nn"} if path.relative_to(PACKAGE).as_posix() in REFERENCES_WITH_NETWORKS else set()
    assert imported_layers(path.read_text()) <= ALLOWED_TO_WORLDS | networks


def imported_modules(source: str, every: Collection[str], inside: bool) -> set[str]:
    """The modules among `every` that `source` imports: at its top, or `inside` functions too. Imports that only type
    checkers see do not count."""
    tree = ast.parse(source)
    nodes, unseen = list(ast.walk(tree)), set[ast.AST]()
    for node in nodes:
        if isinstance(node, ast.If):
            skipped = ast.unparse(node.test) == "TYPE_CHECKING"
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            skipped = not inside
        else:
            continue
        if skipped:
            unseen |= {child for statement in node.body for child in ast.walk(statement)}
    names = set()
    for node in set(nodes) - unseen:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            paths = [f"{node.module}.{alias.name}" for alias in node.names]
            names |= {path if path in every else str(node.module) for path in paths}
    return names & set(every)


def circles(inside: bool) -> list[set[str]]:
    """Modules each of which imports the next one, and the last one the first one."""
    found = {}
    for path in PACKAGE.rglob("*.py"):
        name = ".".join(("covey", *path.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(".__init__")
        found[name] = path
    graph = nx.DiGraph()
    for name, path in found.items():
        graph.add_edges_from((name, other) for other in imported_modules(path.read_text(), found, inside))
    return [part for part in nx.strongly_connected_components(graph) if len(part) > 1]


def test_no_module_imports_itself_in_a_circle():
    assert not circles(inside=False)


def test_functions_close_one_circle_only():
    """A run may be guided by a run, so reading a configuration may load a policy, which reads a configuration."""
    (circle,) = circles(inside=True)
    assert circle <= {f"covey.runs.{name}" for name in ("begin", "config", "guides", "memory", "policy")}


def test_the_check_for_circles_sees_what_it_has_to():
    every = ("a", "a.b", "c")
    source = "import c\nif TYPE_CHECKING:\n    import a\ndef f():\n    from a import b"
    assert imported_modules(source, every, inside=False) == {"c"}
    assert imported_modules(source, every, inside=True) == {"c", "a.b"}


def test_the_check_sees_imports_inside_functions():
    inside = "from covey.runs import train; import covey.nn.nets; from covey import studies"
    source = f"import numpy\ndef f():\n    {inside}"
    assert imported_layers(source) == {"runs", "nn", "studies"}


def test_types_are_announced():
    """A marker that type checkers look for (PEP 561), and that the wheel takes with the package."""
    assert (PACKAGE / "py.typed").is_file()
