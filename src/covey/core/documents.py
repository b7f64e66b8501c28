"""YAML as covey reads it, in files and on the command line: the core schema of YAML 1.2 (https://yaml.org/spec/1.2.2).

PyYAML follows YAML 1.1, in which `1e-3` is text, `on` a truth value, `010` is eight, `1:30` ninety and `2026-01-01` a
date. Here numbers are what Python calls numbers, `true`, `false` and `null` are the only other words with a meaning,
and a name that a mapping gives twice is an error.
"""

from __future__ import annotations

import re
from collections.abc import Hashable
from typing import Any, ClassVar

import yaml

from covey.core.errors import BadInput

WHOLE = re.compile(r"[-+]?[0-9]+(_[0-9]+)*|0x[0-9a-fA-F]+|0o[0-7]+")
NUMBER = re.compile(
    r"[-+]?([0-9]+(_[0-9]+)*(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)"
)
TRUTH = re.compile(r"true|True|TRUE|false|False|FALSE")
NULL = re.compile(r"null|Null|NULL|None|~|")
"""Python's `None` counts too, so that values may be spelled as Python spells them."""

MERGE = re.compile("<<")
"""The key of a mapping whose entries stand for those that are missing (`<<: *defaults`)."""

SCHEMA = {
    "null": (NULL, [*"~nN", ""]),
    "bool": (TRUTH, [*"tTfF"]),
    "int": (WHOLE, [*"-+0123456789"]),
    "float": (NUMBER, [*"-+.0123456789"]),
    "merge": (MERGE, [*"<"]),
}
"""What plain words mean, the first pattern that fits, and the characters that such words begin with."""


TEXT = "tag:yaml.org,2002:str"


MOST_VALUES = 1_000_000
"""Values that a text may spell, those behind its aliases (`*name`) counted wherever they stand."""

MOST_DEEP = 100
"""Lists and mappings inside each other."""


def read_yaml(text: str, what: str) -> Any:
    """The value that `text` spells; BadInput, in which `what` names it, where that is no YAML."""
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        _demand_small(node)
        return None if node is None else loader.construct_document(node)
    except yaml.MarkedYAMLError as error:
        place = "" if error.problem_mark is None else f" (line {error.problem_mark.line + 1})"
        raise BadInput(f"{what} is not valid YAML: {error.problem}{place}.") from error
    except (yaml.YAMLError, ValueError) as error:
        raise BadInput(f"{what} is not valid YAML: {' '.join(str(error).split())}.") from error
    except RecursionError as error:
        raise BadInput(f"{what} is not valid YAML: it is nested too deeply.") from error


def read_mapping(text: str, what: str, example: str) -> dict[str, Any]:
    """The mapping of names to values that a line of text spells, in braces or without, such as `example`."""
    text = text.strip()
    line = text if text.startswith("{") and text.endswith("}") else f"{{{text}}}"
    value = read_yaml(line, f"{what} is not of the form `{example}`: it")
    for name, node in yaml.compose(line, _Loader).value:
        if isinstance(node, yaml.ScalarNode) and node.start_mark.index == node.end_mark.index:
            raise BadInput(f"{what} gives {name.value} no value: write `name: value`, as in `{example}`.")
        if name.tag != TEXT:
            raise BadInput(f"{what} has {name.value} where a name should be: write `name: value`, as in `{example}`.")
    return value


def write_yaml(value: Any) -> str:
    """`value` as YAML that `read_yaml` reads back: innermost lists and mappings on one line."""
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, default_flow_style=None, width=120, allow_unicode=True)


def _demand_small(node: yaml.Node | None) -> None:
    """YAMLError where the tree below a node is larger than anybody needs. (One that holds itself has no end.)"""
    count, ahead = 0, [] if node is None else [(node, 0)]
    while ahead:
        node, depth = ahead.pop()
        count += 1
        if depth > MOST_DEEP:
            raise yaml.YAMLError("it is nested too deeply")
        inner = node.value if isinstance(node.value, list) else ()
        ahead += [(part, depth + 1) for x in inner for part in (x if isinstance(x, tuple) else (x,))]
        if count + len(ahead) > MOST_VALUES:
            raise yaml.YAMLError(f"with its aliases it spells more than {MOST_VALUES:,} values")


class _Loader(yaml.SafeLoader):
    """`yaml.SafeLoader` with the schema above."""

    yaml_implicit_resolvers: ClassVar[dict] = {}

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen = set()
        for name, _ in node.value:
            if isinstance(name, yaml.ScalarNode):
                if (name.tag, name.value) in seen:
                    raise yaml.constructor.ConstructorError(
                        None, None, f"the name {name.value!r} is given twice", name.start_mark
                    )
                seen.add((name.tag, name.value))
        return super().construct_mapping(node, deep)


class _Dumper(yaml.SafeDumper):
    """`yaml.SafeDumper` that also quotes the text which the schema above would take for something else."""


def _int(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> int:
    text = loader.construct_scalar(node)
    return int(text, 0) if text[:2] in ("0x", "0o") else int(text)


def _float(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> float:
    return float(re.sub(r"\.(?=inf|nan)", "", loader.construct_scalar(node).lower()))


for _schema in (_Loader, _Dumper):
    for _kind, (_pattern, _first) in SCHEMA.items():
        _whole = re.compile(f"(?:{_pattern.pattern})\\Z")
        _schema.add_implicit_resolver(f"tag:yaml.org,2002:{_kind}", _whole, _first)
_Loader.add_constructor("tag:yaml.org,2002:int", _int)
_Loader.add_constructor("tag:yaml.org,2002:float", _float)
