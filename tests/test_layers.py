"""Imports only ever point up the list of DESIGN's section 4, at the top of a module and inside functions alike."""

from __future__ import annotations

import ast
from pathlib import Path

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


def test_the_check_sees_imports_inside_functions():
    inside = "from covey.runs import train; import covey.nn.nets; from covey import studies"
    source = f"import numpy\ndef f():\n    {inside}"
    assert imported_layers(source) == {"runs", "nn", "studies"}


def test_types_are_announced():
    """A marker that type checkers look for (PEP 561), and that the wheel takes with the package."""
    assert (PACKAGE / "py.typed").is_file()
