"""`ising`: spins on a torus, each of which would like to agree with its four neighbors; what they do together is known.

Everybody chooses up (s = 1) or down (s = -1) and earns

    r_i = h s_i + ½ s_i Σ_{k next to i} s_k                                           (Yang et al. 2018, section 5.2)

A spin that is up with the chance exp(r_up / τ) / (exp(r_up / τ) + exp(r_down / τ)) while the others stay follows the
heat bath of H = -½ Σ_{<jk>} s_j s_k - h Σ_j s_j at the temperature τ: every bond counts half, so τ is half of the
temperature that is usual for the Ising model, and the critical one is ½ · 2.269 = 1.1346 (Onsager 1944).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from covey.core.algorithm import Scripted
from covey.core.environment import Reference
from covey.core.errors import BadInput
from covey.core.registry import part
from covey.core.types import Discrete, Field, Group, Groups, Spec, Table, TimeStep

Update = Literal["synchronous", "checkerboard", "random-half"]

CRITICAL = 1.0 / np.log(1.0 + np.sqrt(2.0))
"""The temperature τ at which an infinite lattice loses its order."""


def onsager(temperature: Any) -> np.ndarray:
    """Order of an infinite lattice without a field at temperatures τ: (1 - sinh(1/τ)^-4)^⅛, 0 from the critical one on
    (Yang 1952)."""
    temperature = np.asarray(temperature, np.float64)
    cold = np.minimum(temperature, CRITICAL)
    return np.maximum(1.0 - np.sinh(1.0 / cold) ** -4.0, 0.0) ** 0.125


class Lattice(NamedTuple):
    """State of an Ising world."""

    clock: Any  # []  int32
    up: Any  # [n]  bool, row by row
    turn: Any  # [n]  bool: who may change next
    before: Any  # [n]  bool: `up` one step ago


class Ising(eqx.Module):
    """Spins that like company.

    Group `spin` of L². Observation, float32 [1]: the own spin, 1 or -1. Action: Discrete(2), down or up. Who is not on
    turn has one legal action: to stay. Turns: everybody (`synchronous`), one color of the checkerboard after the other,
    or half of the spins, drawn anew. Reward, of each spin: r_i of the lattice that the step made. Neighbors: right,
    left, below, above, on a torus. Global state, float32 [n]: all spins. Ending: only the time limit.
    """

    size: int = eqx.field(static=True)
    field: float
    temperature: float
    update: Update = eqx.field(static=True)
    aligned: bool = eqx.field(static=True)
    burn_in: int = eqx.field(static=True)
    time_limit: int = eqx.field(static=True)

    @property
    def spec(self) -> Spec:
        names = tuple(f"spin_{i}" for i in range(self.size**2))
        group = Group(names, (Field("spin", (1,)),), Discrete(2))
        state = (Field("spins", (self.size**2,)),)
        return Spec("ising", Table({"spin": group}), self.time_limit, state=state, neighborhood=4)

    def reset(self, key: Any) -> tuple[Lattice, TimeStep]:
        k_up, k_turn = jax.random.split(key)
        n = self.size**2
        up = jnp.ones(n, bool) if self.aligned else jax.random.bernoulli(k_up, 0.5, (n,))
        state = Lattice(jnp.int32(0), up, self._turn(k_turn, jnp.int32(0)), up)
        return state, self._show(state, jnp.zeros(n))

    def step(self, key: Any, state: Lattice, action: Groups) -> tuple[Lattice, TimeStep]:
        up = jnp.where(state.turn, action["spin"] > 0, state.up)
        clock = state.clock + 1
        state = Lattice(clock, up, self._turn(key, clock), state.up)
        return state, self._show(state, spins(up) * self.pull(spins(up)))

    def pull(self, spin: Any) -> Any:
        """What being up earns [..., n] beside these spins [..., n]; being down earns the opposite."""
        lattice = spin.reshape(*spin.shape[:-1], self.size, self.size)
        around = sum(jnp.roll(lattice, shift, axis) for shift in (1, -1) for axis in (-1, -2))
        return self.field + 0.5 * jnp.reshape(around, spin.shape)

    def measure(self, state: Lattice) -> dict[str, Any]:
        """Of one step after `burn_in`: `order`, the absolute mean spin ξ; `order2` and `order4`, its square and fourth
        power; `staggered`, the absolute mean difference of the two colors of the checkerboard; `flips`, the share of
        spins that changed."""
        mean = spins(state.up).mean()
        measured = {
            "order": jnp.abs(mean),
            "order2": mean**2,
            "order4": mean**4,
            "staggered": jnp.abs((spins(state.up) * spins(jnp.asarray(self._color))).mean()),
            "flips": (state.up != state.before).mean(),
        }
        return {name: jnp.where(state.clock > self.burn_in, x, jnp.nan) for name, x in measured.items()}

    def reference(self) -> Reference:
        how = "Everybody is where the field points, and agrees with everybody."
        return Reference("optimum", "aligned", how, float(self.time_limit * (2.0 + abs(self.field))))

    def rules(self) -> dict[str, Callable[[], Scripted]]:
        def rule(choice: Choice) -> Callable[[], Scripted]:
            return lambda: Scripted(self.spec, ("spin",), Following(self, choice), knows="its neighbors")

        return {"heat-bath": rule(heat_bath), "metropolis": rule(metropolis), "aligned": rule(aligned)}

    def draw(self, axes: Any, state: Lattice, now: TimeStep, action: Groups | None = None, history: Any = None) -> None:
        """The lattice on matplotlib `axes`: up is dark."""
        axes.clear()
        up = np.asarray(state.up).reshape(self.size, self.size)
        axes.imshow(up, cmap="Blues", vmin=-0.3, vmax=1.2, interpolation="nearest")
        axes.set(xticks=[], yticks=[], title=f"step {int(state.clock)}, order {abs(2 * up.mean() - 1):.2f}")

    @property
    def _color(self) -> np.ndarray:
        """The color of every site on the checkerboard, bool [n]."""
        return (np.indices((self.size, self.size)).sum(0) % 2 == 0).ravel()

    @property
    def _neighbors(self) -> np.ndarray:
        """Who is next to whom, int32 [n, 4]."""
        site = np.arange(self.size**2).reshape(self.size, self.size)
        around = [np.roll(site, shift, axis) for axis in (1, 0) for shift in (-1, 1)]
        return np.stack([x.ravel() for x in around], 1).astype(np.int32)

    def _turn(self, key: Any, clock: Any) -> Any:
        """Who may change in the step that begins at `clock`."""
        n = self.size**2
        match self.update:
            case "synchronous":
                return jnp.ones(n, bool)
            case "checkerboard":
                return jnp.asarray(self._color) == (clock % 2 == 0)
            case _:
                return jax.random.permutation(key, n) < n // 2

    def _show(self, state: Lattice, reward: Any) -> TimeStep:
        n, up = self.size**2, state.up
        legal = {}
        if self.update != "synchronous":
            legal = {"spin": state.turn[:, None] | (up[:, None] == jnp.array([False, True]))}
        return TimeStep(
            obs={"spin": spins(up)[:, None]},
            reward={"spin": reward},
            discount={"spin": jnp.ones(n)},
            alive={"spin": jnp.ones(n, bool)},
            last=state.clock >= self.time_limit,
            legal=legal,
            state=spins(up),
            neighbors={"spin": (jnp.asarray(self._neighbors), jnp.ones((n, 4), bool))},
        )


def spins(up: Any) -> Any:
    """1 for up, -1 for down, float32."""
    return jnp.where(up, 1.0, -1.0)


# ---------------------------------------------------------------------------------------------------------------------
# Rules

Choice = Callable[[Any, Any, Any, Any], Any]
"""(environment, key, up [n], pull [n]) -> who wants to be up [n]."""


class Following(eqx.Module):
    """Everybody on turn follows a rule."""

    world: Ising
    choice: Choice = eqx.field(static=True)

    def __call__(self, now: TimeStep, key: Any) -> Groups:
        up = self.world.spec.groups["spin"].fields_of(now.obs["spin"])["spin"][:, 0] > 0
        wanted = self.choice(self.world, key, up, self.world.pull(spins(up)))
        may = now.legal["spin"].all(1) if now.legal else True
        return {"spin": jnp.where(may, wanted, up).astype(jnp.int32)}


@part
def heat_bath(world: Ising, key: Any, up: Any, pull: Any) -> Any:
    """Up with the chance that exp(r / τ) gives it (Glauber 1963)."""
    return jax.random.bernoulli(key, jax.nn.sigmoid(2.0 * pull / world.temperature))


@part
def metropolis(world: Ising, key: Any, up: Any, pull: Any) -> Any:
    """The other way round with the chance min(1, exp(-ΔH / τ)) (Metropolis et al. 1953)."""
    cost = 2.0 * spins(up) * pull
    return up ^ (jax.random.uniform(key, up.shape) < jnp.exp(-cost / world.temperature))


@part
def aligned(world: Ising, key: Any, up: Any, pull: Any) -> Any:
    """Where the field points; up where there is none."""
    return jnp.broadcast_to(jnp.asarray(world.field) >= 0, up.shape)


def ising(
    size: int = 20,
    temperature: float = 1.0,
    field: float = 0.0,
    update: Update = "synchronous",
    start: Literal["random", "aligned"] = "random",
    burn_in: int = 0,
    time_limit: int = 1000,
) -> Ising:
    """Spins on a torus would like to agree with their neighbors.

    Args:
        size: Spins in a row and in a column.
        temperature: τ of the rules `heat-bath` and `metropolis`; learners have their own.
        field: What being up earns alone.
        update: Who may change in a step: everybody, one color of a checkerboard after the other, or half of the spins,
            drawn anew. Only with the checkerboard do the rules leave the heat bath's distribution as it is.
        start: Spins at the beginning: each up or down with even odds, or all up.
        burn_in: Steps of an episode before anything is measured.
        time_limit: Length of an episode, in steps.
    """
    if size < 3:
        raise BadInput(f"`size` is {size}: a spin needs four different neighbors, so make it 3 or more.")
    if update == "checkerboard" and size % 2:
        raise BadInput(f"a torus of {size} by {size} is no checkerboard, neighbors would share a color: make it even.")
    if not 0 < temperature < np.inf:
        raise BadInput(f"`temperature` is {temperature}: make it a finite number above 0.")
    if not np.isfinite(field):
        raise BadInput(f"`field` is {field}: make it a finite number.")
    if not 0 <= burn_in < time_limit:
        raise BadInput(f"`burn_in` is {burn_in} of {time_limit} steps: leave at least one to measure.")
    return Ising(size, field, temperature, update, start == "aligned", burn_in, time_limit)
