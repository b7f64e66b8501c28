"""Names into things, and values checked against annotations."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import pytest

from covey.core.errors import BadInput
from covey.core.registry import call, conform, locate


def maker(size: int, scale: float = 1.0, *, mode: Literal["a", "b"] = "a", names: tuple[str, ...] = ()) -> tuple:
    return size, scale, mode, names


@pytest.mark.parametrize(
    ("value", "hint", "expected"),
    [
        (3, int, 3),
        (3.0, int, 3),
        ("1e6", int, 1_000_000),
        (2, float, 2.0),
        ("1e-3", float, 1e-3),
        (None, int | None, None),
        ("x", int | str, "x"),
        ([1, 2], tuple[int, ...], (1, 2)),
        ((1, "x"), tuple[float, str], (1.0, "x")),
        ("b", Literal["a", "b"], "b"),
        ("anything", Any, "anything"),
        ({"a": 1}, dict[str, int], {"a": 1}),
    ],
)
def test_conforms(value, hint, expected):
    assert conform(value, hint, "it") == expected
    assert type(conform(value, hint, "it")) is type(expected)


def test_arrays_may_stand_for_floats():
    swept = np.array([0.1, 0.2])
    assert conform(swept, float, "it") is swept


@pytest.mark.parametrize(
    ("value", "hint", "words"),
    [
        (True, int, "it must be a whole number, got True"),
        (2.5, int, "it must be a whole number"),
        ("x", float, "it must be a number, got 'x'"),
        (False, float, "it must be a number"),
        (1, bool, "it must be true or false"),
        (1, str, "it must be text"),
        ("x", int | None, "it must be a whole number or nothing"),
        ((1, 2, 3), tuple[int, int], "it must be a tuple"),
        (("x",), tuple[int, ...], "an item of it must be a whole number"),
        ("c", Literal["a", "b"], "it must be one of 'a', 'b'"),
    ],
)
def test_does_not_conform(value, hint, words):
    with pytest.raises(BadInput, match=words):
        conform(value, hint, "it")


def test_call():
    assert call(maker, "it", {"size": 2, "names": ["x"]}) == (2, 1.0, "a", ("x",))
    assert call(maker, "it", {"scale": 3}, 2) == (2, 3.0, "a", ())
    with pytest.raises(BadInput, match="of it the option 'siz' is unknown; did you mean 'size'"):
        call(maker, "it", {"siz": 2})
    with pytest.raises(BadInput, match="of it the option 'size' is unknown"):
        call(maker, "it", {"size": 2}, 2)
    with pytest.raises(BadInput, match="missing a required argument: 'size'"):
        call(maker, "it", {})


def test_locate():
    assert locate("covey.core.registry:locate", "function") is locate
    for path, words in {
        "covey": "not of the form",
        ":x": "not of the form",
        "no_such_package.x:y": "there is no module 'no_such_package'",
        "covey.core.registry:locat": "did you mean 'locate'",
    }.items():
        with pytest.raises(BadInput, match=words):
            locate(path, "function")
