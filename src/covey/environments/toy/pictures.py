"""`toy/pictures`: two agents read a sign that stands anywhere in a noisy picture; a vector says what it means."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from covey.core.algorithm import Scripted
from covey.core.environment import Reference
from covey.core.errors import BadInput
from covey.core.types import Discrete, Field, Group, Groups, Spec, Table, TimeStep
from covey.environments.toy.chance import chance, need_time

SIGNS = np.array(
    [
        [[0, 1, 0], [1, 1, 1], [0, 1, 0]],
        [[1, 0, 1], [0, 1, 0], [1, 0, 1]],
        [[1, 1, 1], [0, 1, 0], [0, 1, 0]],
        [[1, 0, 0], [1, 0, 0], [1, 1, 1]],
    ],
    np.uint8,
)
"""The four signs, 3 x 3 dots each. All have five, so that their number says nothing."""

READERS, NOISE, BRIGHT = 2, 100, 150
"""Agents; dots of the background are below NOISE, those of a sign BRIGHT brighter."""


class Signs(NamedTuple):
    """State of `toy/pictures`."""

    clock: Any  # []  int32, steps taken
    sign: Any  # [n]  int32, what each agent's picture shows
    turn: Any  # [n]  int32, how much further the right action is
    right: Any  # [n]  bool, who did the right thing in the last step (for `measure`)


class PicturesToy(eqx.Module):
    """Read the sign, and turn it.

    Group `reader`: two agents with four actions. At each step every agent has a picture of its own with one of four
    signs, and a turn of 0 or 1; both are drawn uniformly. Its right action is (sign + turn) modulo 4.

    Observation, two fields: `picture`, uint8 [size, size, 3], and `turn`, float32 [2], one-hot. The picture's dots are
    uniform from 0 to 99. The sign is 3 x 3 of them, five of which are brighter by 150; where it stands, and in which of
    the three colors it is drawn, is uniform.
    Action: int32.
    Reward, shared: the share of the agents that did the right thing.
    Ending: the time limit only; the discount is always 1. No global state.
    """

    size: int = eqx.field(static=True)
    time_limit: int = eqx.field(static=True)
    fixed: bool = eqx.field(static=True)

    @property
    def spec(self) -> Spec:
        picture = Field("picture", (self.size, self.size, 3), "brightness, 0 to 255", "uint8")
        names = tuple(f"reader_{i}" for i in range(READERS))
        group = Group(names, (picture, Field("turn", (2,), "one-hot")), Discrete(len(SIGNS)))
        return Spec("toy/pictures", Table({"reader": group}), self.time_limit, shared_reward=True)

    def reset(self, key: Any) -> tuple[Signs, TimeStep]:
        nobody = jnp.zeros(READERS, bool)
        return self._next(chance(self.fixed, key, 0), jnp.int32(0), nobody, reward=0.0)

    def step(self, key: Any, state: Signs, action: Groups) -> tuple[Signs, TimeStep]:
        right = action["reader"] == (state.sign + state.turn) % len(SIGNS)
        clock = state.clock + 1
        return self._next(chance(self.fixed, key, clock), clock, right, right.mean(dtype=jnp.float32))

    def measure(self, state: Signs) -> dict[str, Any]:
        """`right`: share of the agents that just did the right thing."""
        return {"right": state.right.mean(dtype=jnp.float32)}

    def reference(self) -> Reference:
        return Reference(
            "optimum",
            "optimal",
            "The sign and the turn decide the right action, which earns 1 in every step if everybody does it.",
            value=float(self.time_limit),
        )

    def rules(self) -> dict[str, Callable[[], Scripted]]:
        group = self.spec.groups["reader"]
        return {"optimal": lambda: Scripted(self.spec, ("reader",), lambda now, key: _read(group, now))}

    def _next(self, key: Any, clock: Any, right: Any, reward: Any) -> tuple[Signs, TimeStep]:
        """New pictures after so many steps, of which the last was done `right` [n] and earned `reward`."""
        k_picture, k_sign, k_place, k_turn = jax.random.split(key, 4)
        sign = jax.random.randint(k_sign, (READERS,), 0, len(SIGNS))
        turn = jax.random.randint(k_turn, (READERS,), 0, 2)
        places = (self.size - 2, self.size - 2, 3)
        place = jax.random.randint(k_place, (READERS, 3), 0, jnp.array(places))
        ground = jax.random.randint(k_picture, (READERS, self.size, self.size, 3), 0, NOISE)
        dots = BRIGHT * jnp.asarray(SIGNS, ground.dtype)[sign][..., None]
        drawn = jax.vmap(_add)(ground, dots, place)
        seen = {"picture": drawn.astype(jnp.uint8), "turn": jax.nn.one_hot(turn, 2)}
        now = TimeStep(
            obs={"reader": seen},
            reward={"reader": jnp.full(READERS, reward, jnp.float32)},
            discount={"reader": jnp.ones(READERS)},
            alive={"reader": jnp.ones(READERS, bool)},
            last=clock >= self.time_limit,
        )
        return Signs(clock, sign, turn, right), now


def pictures(size: int = 12, time_limit: int = 8, fixed: bool = False) -> PicturesToy:
    """Two agents read a sign that stands anywhere in a noisy picture.

    Args:
        size: Height and width of a picture, in dots.
        time_limit: Length of an episode, in steps.
        fixed: Make every episode the same, whatever the key.
    """
    need_time(time_limit)
    if size < 3:
        raise BadInput(f"a sign is 3 dots high and wide, and pictures of {size} by {size} have no room for it.")
    return PicturesToy(size, time_limit, fixed)


def _add(picture: Any, dots: Any, at: Any) -> Any:
    """A picture [H, W, 3] with dots [3, 3, 1] added at (row, column, color)."""
    there = jax.lax.dynamic_slice(picture, at, dots.shape)
    return jax.lax.dynamic_update_slice(picture, there + dots, at)


def _read(group: Group, now: TimeStep) -> Groups:
    """The right actions: the sign of which all dots are bright somewhere, turned."""
    fields = group.fields_of(now.obs["reader"])
    bright = (fields["picture"] >= BRIGHT).astype(jnp.int32)
    rows, columns = (size - 2 for size in bright.shape[1:3])
    around = jnp.stack([bright[:, i : i + rows, j : j + columns] for i in range(3) for j in range(3)], -1)
    found = (around @ jnp.asarray(SIGNS.reshape(len(SIGNS), 9), jnp.int32).T).max((1, 2, 3))  # [n, signs]
    sign, turn = found.argmax(-1), fields["turn"].argmax(-1)
    return {"reader": ((sign + turn) % len(SIGNS)).astype(jnp.int32)}
