"""Spaces, specs and tables: shapes worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from covey.core.errors import BadInput
from covey.core.types import (
    Box,
    Discrete,
    Field,
    Group,
    MultiDiscrete,
    Spec,
    Splits,
    Table,
    action_shape,
    action_size,
    fields_shape,
)


def test_a_table_sorts_its_names_and_is_hashable():
    one, other = Table({"b": 1, "a": 2}), Table({"a": 2, "b": 1})
    assert list(one) == ["a", "b"]
    assert one == other
    assert hash(one) == hash(other)
    assert one != Table({"a": 2, "b": 3})
    assert (one["b"], len(one), dict(one)) == (1, 2, {"a": 2, "b": 1})


def test_a_table_is_not_a_dict():
    assert Table({"a": 1}) != {"a": 1}


@pytest.mark.parametrize(
    ("space", "size", "shape", "dtype"),
    [
        (Discrete(5), 5, (), "int32"),
        (MultiDiscrete((3, 2)), 5, (2,), "int32"),
        (Box((-1.0, 0.0, 0.0), (1.0, 1.0, 2.0)), 3, (3,), "float32"),
        (Splits((3, 2, 2)), 7, (7,), "float32"),
    ],
)
def test_sizes_and_shapes_of_actions(space, size, shape, dtype):
    assert action_size(space) == size
    assert action_shape(space) == (shape, dtype)


def test_fields_share_one_vector_and_an_image_stands_alone():
    assert fields_shape((Field("place", (2,)), Field("goal", (2, 3)))) == ((8,), "float32")
    assert fields_shape((Field("picture", (5, 5, 3), dtype="uint8"),)) == ((5, 5, 3), "uint8")


def test_fields_that_cannot_share_a_vector_are_refused():
    with pytest.raises(BadInput, match="one dtype"):
        fields_shape((Field("a"), Field("b", dtype="uint8")))
    with pytest.raises(BadInput, match="at least one field"):
        fields_shape(())


def test_valid_entries_of_agents_that_differ():
    group = Group(("x", "y"), (Field("own", (2,)), Field("links", (3,), valid=(1, 3))), Discrete(2))
    valid = group.obs_valid()
    assert valid is not None
    np.testing.assert_array_equal(valid, [[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]])
    assert Group(("x",), (Field("own", (2,)),), Discrete(2)).obs_valid() is None


def test_valid_entries_of_a_field_with_several_axes_count_in_its_own_order():
    group = Group(("x", "y"), (Field("grid", (2, 2), valid=(3, 0)),), Discrete(2))
    valid = group.obs_valid()
    assert valid is not None
    np.testing.assert_array_equal(valid, [[[1, 1], [1, 0]], [[0, 0], [0, 0]]])


def test_a_spec_counts_agents_over_its_groups():
    pair, one = (Group(names, (Field("x"),), Discrete(2)) for names in (("p0", "p1"), ("q0",)))
    spec = Spec("two kinds", Table({"p": pair, "q": one}))
    assert spec.agents == 3
    assert {spec: "usable as a key"}[spec._replace()] == "usable as a key"


@pytest.mark.parametrize("lead", [(), (3,), (4, 3)])
def test_fields_are_taken_from_an_observation_by_name(lead):
    group = Group(("a", "b", "c"), (Field("place", (2,)), Field("goal", (2, 3)), Field("load")), Discrete(2))
    obs = np.arange(np.prod((*lead, 9))).reshape(*lead, 9)
    fields = group.fields_of(obs)
    assert {name: field.shape[len(lead) :] for name, field in fields.items()} == {
        "place": (2,),
        "goal": (2, 3),
        "load": (1,),
    }
    np.testing.assert_array_equal(fields["goal"].reshape(*lead, 6), obs[..., 2:8])
    np.testing.assert_array_equal(fields["load"], obs[..., 8:])


def test_a_single_field_is_the_whole_observation():
    group = Group(("a",), (Field("picture", (5, 4, 3), dtype="uint8"),), Discrete(2))
    picture = np.zeros((1, 5, 4, 3), "uint8")
    assert group.fields_of(picture) == {"picture": picture}


@pytest.mark.parametrize("lead", [(), (3,), (4, 3)])
def test_fields_of_different_dtypes_are_a_dict_by_name(lead):
    group = Group(("a", "b"), (Field("picture", (5, 4, 3), dtype="uint8"), Field("load", (2,))), Discrete(2))
    blank = group.blank(*lead)
    assert {name: (x.shape, x.dtype.name) for name, x in blank.items()} == {
        "picture": ((*lead, 2, 5, 4, 3), "uint8"),
        "load": ((*lead, 2, 2), "float32"),
    }
    assert group.obs_size == 62
    assert group.fields_of(blank) == blank
    assert list(group.fields_of({"load": 1, "picture": 2})) == ["picture", "load"]  # in the order of the fields


def test_a_blank_observation_is_laid_out_as_observations_are():
    vector = Group(("a", "b"), (Field("place", (2,)), Field("goal", (2, 3))), Discrete(2))
    assert vector.blank(7).shape == (7, 2, 8)
    pictures = Group(
        ("a",), (Field("left", (5, 4, 3), dtype="uint8"), Field("right", (2, 2, 1), dtype="uint8")), Discrete(2)
    )
    assert (pictures.blank().shape, pictures.blank().dtype.name) == ((1, 64), "uint8")
    assert {name: x.shape for name, x in pictures.fields_of(pictures.blank()).items()} == {
        "left": (1, 5, 4, 3),
        "right": (1, 2, 2, 1),
    }


def test_valid_entries_of_fields_of_different_dtypes():
    group = Group(("x", "y"), (Field("own", (2,)), Field("codes", (3,), dtype="int32", valid=(1, 3))), Discrete(2))
    valid = group.obs_valid()
    np.testing.assert_array_equal(valid["own"], [[1, 1], [1, 1]])
    np.testing.assert_array_equal(valid["codes"], [[1, 0, 0], [1, 1, 1]])


def test_fields_of_one_name_are_refused():
    group = Group(("x",), (Field("a"), Field("a")), Discrete(2))
    with pytest.raises(BadInput, match="cannot be told apart"):
        group.fields_of(np.zeros((1, 2)))


def test_a_picture_has_three_axes_or_two_of_bytes():
    assert Field("view", (5, 4, 3)).picture == (5, 4, 3)
    assert Field("gray", (5, 4), dtype="uint8").picture == (5, 4, 1)
    assert not Field("matrix", (5, 4)).picture
    assert not Field("counts", (12,), dtype="uint8").picture
