"""YAML as covey reads it: the schema of YAML 1.2, names given once, one sentence for everything else."""

from __future__ import annotations

import math

import pytest
import yaml

from covey.core.documents import read_mapping, read_yaml, write_yaml
from covey.core.errors import BadInput


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001),
        ("1E5", 100_000.0),
        ("+1.5e+2", 150.0),
        (".5", 0.5),
        ("7.", 7.0),
        ("-.inf", -math.inf),
        ("010", 10),
        ("0x10", 16),
        ("1_000", 1000),
        ("True", True),
        ("null", None),
        ("None", None),
        ("", None),
        ("on", "on"),
        ("no", "no"),
        ("1:30", "1:30"),
        ("2026-01-01", "2026-01-01"),
        ("1.5.2", "1.5.2"),
        ("'1e-3'", "1e-3"),
        ("size: 3\nlayout: {walls: 2, doors: [1e-1, null]}", {"size": 3, "layout": {"walls": 2, "doors": [0.1, None]}}),
        ("a: &usual {x: 1, y: 2}\nb: {<<: *usual, y: 3}", {"a": {"x": 1, "y": 2}, "b": {"x": 1, "y": 3}}),
    ],
)
def test_values(text, value):
    read = read_yaml(text, "the text")
    assert read == value
    assert type(read) is type(value)


@pytest.mark.parametrize(
    "value",
    [
        *("1e-3", "on", "null", "None", "~", "true", "5", "0x1", "1:30", "2026-01-01", ".inf", "", "<<", "a: b"),
        *(1e-5, 1e22, -math.inf, 3, True, None, ["1e-3", 1e-3], {"a": [1, {"b": 2.5}], "1": "one"}),
    ],
)
def test_what_is_written_is_read_back_here_and_by_yaml_1_1(value):
    text = write_yaml([value])
    assert read_yaml(text, "the text") == [value]
    assert yaml.safe_load(text) == [value]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("steps: 1\nseed: 2\nsteps: 3", "the name 'steps' is given twice (line 3)"),
        ("a: {b: 1, b: 2}", "the name 'b' is given twice"),
        ("[1, 2", "expected ',' or ']'"),
        ("9" * 5000, "digits"),
        ("[" * 5000, "nested too deeply"),
        ("[" * 102 + "]" * 102, "nested too deeply"),
        ("a0: &a0 [x]\n" + "".join(f"a{i}: &a{i} [*a{i - 1}]\n" for i in range(1, 200)), "nested too deeply"),
        ("a0: &a0 [x]\n" + "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 9)), "values"),
        ("&a [*a]", "nested too deeply"),
        ("&a {b: *a, c: [*a, *a]}", "nested too deeply"),
        ("{[1]: 2}", "unhashable key"),
        ("!!python/object/apply:os.getcwd []", "could not determine a constructor"),
        ("\x00", "special characters are not allowed"),
    ],
)
def test_what_is_no_yaml_is_one_sentence(text, words):
    with pytest.raises(BadInput) as error:
        read_yaml(text, "the text")
    assert str(error.value).startswith("the text is not valid YAML: ")
    assert words in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", {}),
        ("speed: 1e-3", {"speed": 0.001}),
        ("size: 3, layout: {walls: 2}", {"size": 3, "layout": {"walls": 2}}),
        ("path: null", {"path": None}),
        ("layout: {walls: 2}", {"layout": {"walls": 2}}),
        ("{size: 3, layout: {walls: {count: 2}}}", {"size": 3, "layout": {"walls": {"count": 2}}}),
        ("a: {x: 1}, b: {y: 2}", {"a": {"x": 1}, "b": {"y": 2}}),
        ("map: [[0, 1], [1, 0]], name: 'x, y', empty: ''", {"map": [[0, 1], [1, 0]], "name": "x, y", "empty": ""}),
        ("mode: on, version: '5', rate: 2E3", {"mode": "on", "version": "5", "rate": 2000.0}),
    ],
)
def test_a_mapping_in_a_line(text, value):
    assert read_mapping(text, "the line", "a: 1, b: 2") == value


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("5", "gives 5 no value"),
        ("a:", "gives a no value"),
        ("a:1", "gives a:1 no value"),
        ("5: 1", "has 5 where a name should be"),
        ("a: 1, a: 2", "the name 'a' is given twice"),
        ("{a: 1}, {b: 2}", "is not of the form `a: 1, b: 2`: it is not valid YAML"),
    ],
)
def test_a_line_that_is_no_mapping(text, words):
    with pytest.raises(BadInput) as error:
        read_mapping(text, "the line", "a: 1, b: 2")
    assert words in str(error.value)
