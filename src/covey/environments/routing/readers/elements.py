"""XML as a tree whose elements know their line."""

from __future__ import annotations

from pathlib import Path
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from covey.environments.routing.readers.common import fail

LINE = "line"


def parse_xml(path: Path, text: str) -> Element:
    """The tree, without namespaces, with the line of every element as its attribute `line`; `BadInput` if broken."""
    parser, builder = expat.ParserCreate(namespace_separator="}"), TreeBuilder()

    def start(tag: str, attributes: dict[str, str]) -> None:
        builder.start(tag.rpartition("}")[2], {**attributes, LINE: str(parser.CurrentLineNumber)})

    parser.StartElementHandler = start
    parser.EndElementHandler = lambda tag: builder.end(tag.rpartition("}")[2])
    parser.CharacterDataHandler = builder.data
    try:
        parser.Parse(text, True)
    except expat.ExpatError as error:
        raise fail(path, error.lineno, f"this is not well-formed XML ({error}); the file may be cut off.") from None
    return builder.close()


def line_of(element: Element) -> int:
    """The line an element begins at."""
    return int(element.get(LINE, "0"))
