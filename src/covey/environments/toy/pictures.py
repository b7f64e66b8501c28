"""`toy/pictures`: two agents look for a sign that is anywhere in a picture; a vector says what it means."""

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
        [[1 if dot == "#" else -1 for dot in row] for row in sign.split()]
        for sign in (
            "##... #...# #...# ####. ##...",
            "#.### #..#. ##... ##.#. .#...",
            "#.#.# ....# ..##. ##.#. #..##",
            ".#### .#... ...## #..## ...##",
        )
    ],
    np.int32,
)
"""The four signs, 5 x 5 dots that are brighter (1) or darker (-1) than the background. Their sums are 1 or -1, so that
brightness tells nothing."""

READERS = 2
GROUND, NOISE, CONTRAST, CLUTTER = 128, 30, 97, 0.1
"""Dots of the background are within NOISE of GROUND. Those of a sign are brighter or darker by CONTRAST, and so are
others, each with the probability CLUTTER."""


class Signs(NamedTuple):
    """State of `toy/pictures`."""

    clock: Any  # []  int32, steps taken
    sign: Any  # [n]  int32, which sign each agent's picture shows
    turn: Any  # [n]  int32, how much further the right action is
    right: Any  # [n]  bool, who did the right thing in the last step (for `measure`)


class PicturesToy(eqx.Module):
    """Find the sign, and turn it.

    Group `reader`: two agents with four actions. At each step every agent has a picture of its own with one of four
    signs in it, and a turn of 0 or 1; both are drawn uniformly. Its right action is (sign + turn) modulo 4.

    Observation, two fields: `picture`, uint8 [size, size, 1], and `turn`, float32 [2], one-hot. The picture's dots are
    uniform from 98 to 157. The 25 dots of the sign are brighter or darker than that by 97; where the sign is, is
    uniform. Every other dot is brighter or darker by 97 with the probability 0.1.
    Action: int32.
    Reward, shared: the share of the agents that did the right thing.
    Ending: the time limit only; the discount is always 1. No global state.
    """

    size: int = eqx.field(static=True)
    time_limit: int = eqx.field(static=True)
    fixed: bool = eqx.field(static=True)

    @property
    def spec(self) -> Spec:
        picture = Field("picture", (self.size, self.size, 1), "brightness, 0 to 255", "uint8")
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
        k_ground, k_sign, k_place, k_clutter, k_turn = jax.random.split(key, 5)
        sign = jax.random.randint(k_sign, (READERS,), 0, len(SIGNS))
        turn = jax.random.randint(k_turn, (READERS,), 0, 2)
        place = jax.random.randint(k_place, (READERS, 2), 0, self.size - 4)
        shape = READERS, self.size, self.size
        ground = jax.random.randint(k_ground, shape, GROUND - NOISE, GROUND + NOISE)
        share = jax.random.uniform(k_clutter, shape)
        clutter = (share < CLUTTER / 2).astype(jnp.int32) - (share > 1 - CLUTTER / 2)
        contrast = jax.vmap(jax.lax.dynamic_update_slice)(clutter, jnp.asarray(SIGNS)[sign], place)
        drawn = ground + CONTRAST * contrast
        seen = {"picture": drawn.astype(jnp.uint8)[..., None], "turn": jax.nn.one_hot(turn, 2)}
        now = TimeStep(
            obs={"reader": seen},
            reward={"reader": jnp.full(READERS, reward, jnp.float32)},
            discount={"reader": jnp.ones(READERS)},
            alive={"reader": jnp.ones(READERS, bool)},
            last=clock >= self.time_limit,
        )
        return Signs(clock, sign, turn, right), now


def pictures(size: int = 12, time_limit: int = 8, fixed: bool = False) -> PicturesToy:
    """Two agents look for a sign that is anywhere in a picture.

    Args:
        size: Height and width of a picture, in dots.
        time_limit: Length of an episode, in steps.
        fixed: Make every episode the same, whatever the key.
    """
    need_time(time_limit)
    if size < 5:
        raise BadInput(
            f"a sign has 5 by 5 dots, and pictures of {size} by {size} have no room for it: make size 5 or more."
        )
    return PicturesToy(size, time_limit, fixed)


def _read(group: Group, now: TimeStep) -> Groups:
    """The right actions: the sign all of whose dots stand out somewhere as they should, turned."""
    fields = group.fields_of(now.obs["reader"])
    distance = fields["picture"][..., 0].astype(jnp.int32) - GROUND
    out = jnp.where(jnp.abs(distance) > NOISE, jnp.sign(distance), 0)  # [n, H, W]
    rows, columns = (size - 4 for size in out.shape[1:])
    around = jnp.stack([out[:, i : i + rows, j : j + columns] for i in range(5) for j in range(5)], -1)
    found = (around @ jnp.asarray(SIGNS.reshape(len(SIGNS), -1)).T).max((1, 2))  # [n, signs]
    sign, turn = found.argmax(-1), fields["turn"].argmax(-1)
    return {"reader": ((sign + turn) % len(SIGNS)).astype(jnp.int32)}
