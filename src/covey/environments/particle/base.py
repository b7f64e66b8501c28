"""What the particle environments share: how agents push and speak, how time passes, and pictures.

An environment says who is there (`agents`, `landmarks`), where everything begins (`spawn`), what is seen (`see`) and
what is paid (`pay`). Observations, rewards and time limits are those of `mpe2` 1.1, step for step.
"""

from __future__ import annotations

import abc
from functools import cache
from typing import Any, ClassVar, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from covey.core.environment import Reference
from covey.core.errors import BadInput
from covey.core.types import Box, Discrete, Field, Group, Groups, Spec, Table, TimeStep
from covey.environments import plane
from covey.environments.neighbors import check_nearest, nearest_neighbors
from covey.environments.particle.physics import Bodies, Kind, bodies, moved

PUSHES = np.array([[0, 0], [-1, 0], [1, 0], [0, -1], [0, 1]], np.float32)  # none, left, right, down, up
WITHOUT_UNIT = ("color", "word", "key", "forest", "holding", "treasure_kind", "mates_kind")


class ParticleState(NamedTuple):
    """State of a particle environment, float32 but for the clock; lengths in plane units, times in seconds."""

    clock: Any  # []  int32, steps taken
    position: Any  # [b, 2]  of agents, then landmarks
    velocity: Any  # [a, 2]  of agents
    word: Any  # [a, c]  what agents said in the last step; zeros of the silent
    drawn: Any  # what the environment drew at reset or keeps beside: goals, keys, treasures


class Particle(eqx.Module):
    """An environment of soft discs; see the module.

    Discrete actions, for those who move: 0 nothing, 1 left, 2 right, 3 down, 4 up, plus five times the word of those
    who also speak; for those who only speak, the word. Continuous actions (`continuous`) in [0, 1]: the strengths of
    nothing, left, right, down and up, then the word. Neighbors, where asked for (`nearest`): the nearest agents of any
    kind, the nearest first.
    """

    time_limit: int = eqx.field(static=True)
    continuous: bool = eqx.field(static=True)
    nearest: int = eqx.field(static=True)

    def __check_init__(self):
        check_nearest(self.nearest, self.count - 1)

    # -------------------------------------------------------------------------------------- what an environment says

    name: ClassVar[str]
    """The id of the world."""

    @property
    @abc.abstractmethod
    def agents(self) -> dict[str, Kind]:
        """Kinds of agents, in the order in which they are numbered."""

    @property
    @abc.abstractmethod
    def landmarks(self) -> dict[str, Kind]:
        """Kinds of landmarks."""

    words: int = eqx.field(static=True, default=0, init=False)
    """How many words there are."""

    @abc.abstractmethod
    def spawn(self, key: Any) -> ParticleState:
        """Everything at the beginning of an episode."""

    @abc.abstractmethod
    def see(self, state: ParticleState) -> dict[str, dict[str, Any]]:
        """The fields of every kind's observations, [n, ...] each."""

    @abc.abstractmethod
    def pay(self, state: ParticleState) -> Groups:
        """Rewards [n] of the step that led to `state`."""

    def settle(self, key: Any, state: ParticleState) -> ParticleState:
        """What else happens after bodies moved."""
        return state

    def done(self, state: ParticleState) -> Any:
        """Has the team succeeded, so that the episode ends?"""
        return jnp.bool_(False)

    def measure(self, state: ParticleState) -> dict[str, Any]:
        return {}

    def reference(self) -> Reference | None:
        return None

    # ------------------------------------------------------------------------------------------- what follows from it

    @property
    def spec(self) -> Spec:
        return _spec(self)

    @property
    def count(self) -> int:
        """Agents of all kinds."""
        return sum(kind.count for kind in self.agents.values())

    @property
    def bodies(self) -> Bodies:
        return bodies(tuple(self.agents.values()), tuple(self.landmarks.values()))

    def rows(self, x: Any) -> dict[str, Any]:
        """Rows of all agents [a, ...], or of all bodies [b, ...], by kind."""
        kinds = {**self.agents, **self.landmarks}
        ends = np.cumsum([kind.count for kind in kinds.values()])
        return {name: x[end - kind.count : end] for (name, kind), end in zip(kinds.items(), ends, strict=True)}

    def each(self, fields: dict[str, Any]) -> dict[str, dict[str, Any]]:
        """Fields of all agents [a, ...] by kind, without those that hold nothing."""
        full = {name: self.rows(x) for name, x in fields.items() if x.size}
        return {kind: {name: rows[kind] for name, rows in full.items()} for kind in self.agents}

    def begin(self, key: Any, drawn: Any = (), spread: float = 1.0) -> ParticleState:
        """Agents uniform in [-1, 1]², landmarks in [-spread, spread]², nobody moving or speaking."""
        places = jax.random.uniform(key, (len(self.bodies.radius), 2), minval=-1.0)
        position = places * np.where(np.arange(len(places)) < self.count, 1.0, spread)[:, None].astype(np.float32)
        still = jnp.zeros((self.count, 2))
        return ParticleState(jnp.int32(0), position, still, jnp.zeros((self.count, self.words)), drawn)

    def reset(self, key: Any) -> tuple[ParticleState, TimeStep]:
        state = self.spawn(key)
        nothing = {name: jnp.zeros(kind.count) for name, kind in self.agents.items()}
        return state, self._show(state, nothing, jnp.bool_(False))

    def step(self, key: Any, state: ParticleState, action: Groups) -> tuple[ParticleState, TimeStep]:
        push, word = zip(*(self._meant(kind, action[name]) for name, kind in self.agents.items()), strict=True)
        position, velocity = moved(self.bodies, state.position, state.velocity, jnp.concatenate(push))
        state = ParticleState(state.clock + 1, position, velocity, jnp.concatenate(word), state.drawn)
        state = self.settle(key, state)
        return state, self._show(state, self.pay(state), self.done(state))

    def _meant(self, kind: Kind, action: Any) -> tuple[Any, Any]:
        """What actions [n] or [n, A] of a kind mean: pushes [n, 2] and words [n, c]."""
        push, word = jnp.zeros((kind.count, 2)), jnp.zeros((kind.count, self.words))
        moves = 5 if kind.moves else 0
        if self.continuous:
            if kind.moves:
                push = action[:, 1:5] @ PUSHES[1:]
            return push, action[:, moves:] if kind.speaks else word
        if kind.moves:
            push = jnp.asarray(PUSHES)[action % moves]
            action = action // moves
        return push, jax.nn.one_hot(action, self.words) if kind.speaks else word

    def _space(self, kind: Kind) -> Discrete | Box:
        moves, words = 5 if kind.moves else 0, self.words if kind.speaks else 0
        if self.continuous:
            return Box((0.0,) * (moves + words), (1.0,) * (moves + words))
        return Discrete(max(moves, 1) * max(words, 1))

    def _show(self, state: ParticleState, reward: Groups, done: Any) -> TimeStep:
        over = state.clock >= self.time_limit
        going_on = jnp.where(done & ~over, 0.0, 1.0)
        seen, at = self.see(state), self.rows(state.position)
        kinds = self.agents.items()
        alive = {name: jnp.ones(kind.count, bool) for name, kind in kinds}
        return TimeStep(
            obs={name: vectors(seen[name]) for name, _ in kinds},
            reward={name: reward[name].astype(jnp.float32) for name, _ in kinds},
            discount={name: jnp.full(kind.count, going_on) for name, kind in kinds},
            alive=alive,
            last=over | done,
            neighbors=nearest_neighbors({name: at[name] for name in alive}, alive, self.nearest),
        )

    def draw(self, axes: Any, state: Any, now: TimeStep, action: Groups | None = None, history: Any = None) -> None:
        """One frame on matplotlib `axes`: discs in the colors of their kinds, agents with their numbers, trails where
        `history` lists earlier states, and what was said."""
        from matplotlib.patches import Circle

        position, kinds = np.asarray(state.position), {**self.agents, **self.landmarks}
        widest = max(kind.radius for kind in self.agents.values())
        reach = max(1.0, *np.abs(position[np.abs(position) < 100.0]).ravel() + widest) * 1.02
        earned = sum(float(np.asarray(x).sum()) for x in now.reward.values())
        _canvas(axes, reach, f"step {int(state.clock)} of {self.time_limit}", f"rewards of all {earned + 0.0:.2f}")
        palette = dict(zip(self.agents, plane.PALETTE, strict=False))
        for name, rows in self.rows(np.arange(len(position))).items():
            for row in rows:
                goal = name not in palette and not kinds[name].collides and kinds[name].radius < 0.1
                color = palette.get(name, plane.INK if goal else plane.FAINT)
                if name in palette and history:
                    plane.draw_trail(axes, [earlier.position[row] for earlier in history] + [position[row]], color)
                disc = Circle(tuple(position[row]), kinds[name].radius, facecolor=color, edgecolor="white")
                disc.set(alpha=0.9 if name in palette else 0.45, zorder=6 if name in palette else 4 + 3 * goal)
                axes.add_patch(disc)
                if name not in palette:
                    continue
                number = {"color": "white", "fontsize": 8, "ha": "center", "va": "center_baseline", "zorder": 7}
                axes.text(*position[row], str(row - rows[0]), **number)
                if kinds[name].speaks and np.asarray(state.word)[row].any():
                    said = f"“{int(np.asarray(state.word)[row].argmax())}”"
                    x, y = position[row]
                    above = y + kinds[name].radius
                    axes.text(x, above, said, fontsize=9, color=plane.INK, ha="center", va="bottom", zorder=8)


def vectors(fields: dict[str, Any]) -> Any:
    """Fields [n, ...] -> observations [n, D]."""
    return jnp.concatenate([x.reshape(len(x), -1) for x in fields.values()], axis=1).astype(jnp.float32)


def check_counts(time_limit: int, **counts: int) -> None:
    """Refuse environments without anybody, and episodes without a step."""
    if time_limit < 1:
        raise BadInput(f"an episode needs at least one step: time_limit is {time_limit}, make it 1 or more.")
    for name, count in counts.items():
        if count < 1:
            raise BadInput(f"`{name}` is {count}: the environment needs at least one.")


def check_seen(**counts: int | None) -> None:
    """Refuse a view of no neighbors; None sees everything."""
    for name, count in counts.items():
        if count is not None and count < 1:
            raise BadInput(f"`{name}` is {count}: see at least one, or leave it out to see all.")


def row(table: Any, index: Any) -> Any:
    """Rows of a small table [r, ...] by number, as a product (a gather is slower)."""
    return jax.nn.one_hot(index, len(table)) @ table


@cache
def _spec(world: Particle) -> Spec:
    fields = {}

    def look(key: Any) -> None:
        for name, seen in world.see(world.spawn(key)).items():
            fields[name] = tuple(Field(field, x.shape[1:] or (1,), _unit(field)) for field, x in seen.items())

    jax.eval_shape(look, jax.random.key(0))  # what it returns would be sorted by name
    groups = {
        name: Group(tuple(f"{name}_{i}" for i in range(kind.count)), fields[name], world._space(kind))
        for name, kind in world.agents.items()
    }
    return Spec(world.name, Table(groups), world.time_limit, neighborhood=world.nearest)


def _unit(field: str) -> str:
    if field.endswith("velocity"):
        return "plane units per second"
    return "" if any(word in field for word in WITHOUT_UNIT) else "plane units"


def _canvas(axes: Any, reach: float, left: str, right: str) -> None:
    """An empty plane that shows [-reach, reach]², and the square in which everything begins."""
    plane.canvas(axes, 1.0, left, right)
    for patch in [*axes.patches, *axes.collections]:
        patch.remove()
    axes.set(xlim=(-reach, reach), ylim=(-reach, reach))
    axes.fill([-1, 1, 1, -1], [-1, -1, 1, 1], facecolor=plane.PAPER, edgecolor=plane.FAINT, linewidth=1.0, zorder=0)
