"""Whether two things that users wrote hold the same."""

from __future__ import annotations

import dataclasses
import functools
import threading
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from covey import environments
from covey.core.equality import same


class Plain:
    """As the docs write an environment: no dataclass, no `==`."""

    def __init__(self, speed: float = 1.0, walls: Any = ()):
        self.speed, self.walls = speed, walls
        self.moves = jax.jit(lambda x: x * speed)
        self.rule = self.step
        self.lock = threading.Lock()

    def step(self, x):
        return self.moves(x)

    @functools.cached_property
    def costly(self):
        return object()


class Slotted:
    __slots__ = ("speed",)

    def __init__(self, speed):
        self.speed = speed


class Record(eqx.Module):
    bank: Any
    inner: Any = None


class Pair(NamedTuple):
    one: Any
    other: Any = None


@dataclasses.dataclass
class Data:
    array: Any


def used(plain: Plain) -> Plain:
    assert plain.costly is plain.costly
    return plain


def knot(value):
    """A plain object that holds itself."""
    plain = Plain(value)
    plain.walls = [plain]
    return plain


def shift(x, by):
    return x + by


ALIKE = {
    "plain": lambda: Plain(),
    "plain with options": lambda: Plain(0.5, walls=[np.arange(3), {"a": jnp.ones(2)}]),
    "plain in plain": lambda: Plain(0.5, walls=Plain(2.0)),
    "one that holds itself": lambda: knot(1.0),
    "slots": lambda: Slotted(2.0),
    "record": lambda: Record(jnp.arange(3), Plain()),
    "dataclass": lambda: Data(np.arange(3)),
    "named tuple": lambda: Pair(Plain(), (1, "x")),
    "key": lambda: Record(jax.random.key(3)),
    "nan": lambda: Plain(float("nan"), walls=np.array([np.nan, 1.0])),
    "partial": lambda: Record(functools.partial(shift, by=np.float32(2))),
    "closure": lambda: Record(Plain(3.0).moves),
    "generator": lambda: Plain(walls=np.random.default_rng(3)),
    "objects in an array": lambda: np.array([Plain(), None], object),
    "toy": lambda: environments.make("toy/discrete", time_limit=3),
    "routing": lambda: environments.make("routing/small", steps=64),
}


@pytest.mark.parametrize("make", ALIKE.values(), ids=ALIKE)
def test_made_twice_is_the_same(make):
    assert same(make(), make())


def test_what_was_used_is_the_same():
    assert same(used(Plain()), Plain())
    assert same(used(Plain()), used(Plain()))
    assert same(Plain(speed=1), Plain(speed=1.0))


DIFFERENT = {
    "option": (lambda: Plain(0.5), lambda: Plain(0.6)),
    "class": (lambda: Plain(), lambda: type("Plain", (Plain,), {})()),
    "array": (lambda: Plain(walls=np.arange(3)), lambda: Plain(walls=np.arange(3) + 1)),
    "dtype": (lambda: Plain(walls=np.zeros(3)), lambda: Plain(walls=np.zeros(3, np.float32))),
    "names": (lambda: Plain(walls={"a": 1}), lambda: Plain(walls={"b": 1})),
    "length": (lambda: Plain(walls=(1, 2)), lambda: Plain(walls=(1, 2, 3))),
    "deep": (lambda: Plain(walls=[Plain(1.0)]), lambda: Plain(walls=[Plain(2.0)])),
    "slots": (lambda: Slotted(1), lambda: Slotted(2)),
    "closure": (lambda: Record(Plain(3.0).moves), lambda: Record(Plain(4.0).moves)),
    "partial": (lambda: functools.partial(shift, by=1), lambda: functools.partial(shift, by=2)),
    "key": (lambda: Record(jax.random.key(3)), lambda: Record(jax.random.key(4))),
    "truth": (lambda: Plain(walls=True), lambda: Plain(walls=1)),
    "seed of a generator": (
        lambda: Plain(walls=np.random.default_rng(3)),
        lambda: Plain(walls=np.random.default_rng(4)),
    ),
    "toy": (lambda: environments.make("toy/discrete"), lambda: environments.make("toy/discrete", time_limit=3)),
}


@pytest.mark.parametrize(("one", "other"), DIFFERENT.values(), ids=DIFFERENT)
def test_what_differs(one, other):
    assert not same(one(), other())
