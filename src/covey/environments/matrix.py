"""Games of which everything is known: a few players choose at once and all get the payoff that a table gives.

A game has K states. In state k the joint action j earns `payoff[k, j]` and leads to state `following[k, j]`, or ends
the episode (-1). Joint actions are numbered as in an array [A, ..., A] with an axis per player.
"""

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
from covey.environments.games import shown

MOST_JOINT = 100_000  # joint actions of a table


class MatrixState(NamedTuple):
    """State of a game."""

    clock: Any  # []  int32
    state: Any  # []  int32: which of the K
    earned: Any  # []  float32: what the last joint action earned, before noise


class Matrix(eqx.Module):
    """A game by its table.

    Group `player` of n. Observation, float32 [K]: which state the game is in, one-hot. Action: Discrete(A). Reward,
    shared: the payoff, with normal noise of standard deviation `noise`. Ending: where the table says so (discount 0).
    """

    payoff: np.ndarray  # [K, J]; tables are arrays, so that games of one size share a compiled program
    following: np.ndarray  # [K, J]  whole numbers: a state beyond this one, or -1
    noise: float
    name: str = eqx.field(static=True)
    players: int = eqx.field(static=True)
    choices: int = eqx.field(static=True)
    steps: int = eqx.field(static=True)

    # A game is itself and no other: so its methods can be given to `jax.jit`, which hashes them.
    __hash__ = object.__hash__
    __eq__ = object.__eq__

    @property
    def spec(self) -> Spec:
        names = tuple(f"player_{i}" for i in range(self.players))
        group = Group(names, (Field("state", (len(self.payoff),)),), Discrete(self.choices))
        return Spec(self.name, Table({"player": group}), self.steps, shared_reward=True)

    def reset(self, key: Any) -> tuple[MatrixState, TimeStep]:
        state = MatrixState(jnp.int32(0), jnp.int32(0), jnp.float32(0))
        return state, self._show(state, jnp.float32(0), jnp.bool_(False))

    def step(self, key: Any, state: MatrixState, action: Groups) -> tuple[MatrixState, TimeStep]:
        joint = (action["player"] * self._strides()).sum()
        earned = jnp.asarray(self.payoff)[state.state, joint]
        then = jnp.asarray(self.following)[state.state, joint]
        state = MatrixState(state.clock + 1, jnp.maximum(then, 0), earned)
        return state, self._show(state, earned + self.noise * jax.random.normal(key), then < 0)

    def measure(self, state: MatrixState) -> dict[str, Any]:
        """Of one step: `payoff`, before noise."""
        return {"payoff": state.earned}

    def reference(self) -> Reference:
        return Reference("optimum", "best-joint-action", "Best joint action, by enumeration.", float(self.values()[0]))

    def rules(self) -> dict[str, Callable[[], Scripted]]:
        return {"best-joint-action": self._best}

    def values(self) -> np.ndarray:
        """What the best team earns from each state on, [K]."""
        return self.optimal().max(1)

    def optimal(self) -> np.ndarray:
        """What a joint action and then the best team earn, [K, J]."""
        q = np.array(self.payoff, np.float64)
        for state in reversed(range(len(q))):  # states lead to later ones only
            then = self.following[state]
            q[state] += np.where(then < 0, 0.0, q[np.maximum(then, 0)].max(1))
        return q

    def _best(self) -> Scripted:
        best = np.stack(np.unravel_index(self.optimal().argmax(1), (self.choices,) * self.players), 1)

        def rule(now: TimeStep, key: Any) -> Groups:
            state = now.obs["player"][0].argmax()
            return {"player": jnp.asarray(best, jnp.int32)[state]}

        return Scripted(self.spec, ("player",), rule, knows="everything (centralized)")

    def _strides(self) -> np.ndarray:
        return self.choices ** np.arange(self.players)[::-1]

    def _show(self, state: MatrixState, reward: Any, over: Any) -> TimeStep:
        seen = jax.nn.one_hot(state.state, len(self.payoff))
        return shown("player", jnp.broadcast_to(seen, (self.players, len(seen))), reward, over)


def one_shot(name: str, payoff: Any, noise: float = 0.0) -> Matrix:
    """A game of one step with the payoffs [A, ..., A]."""
    payoff = np.asarray(payoff, np.float64)
    if not 0 <= noise < np.inf:
        raise BadInput(f"`noise` is {noise}: a standard deviation is a finite number, 0 or above.")
    flat = payoff.reshape(1, -1)
    return Matrix(flat, np.full(flat.shape, -1), noise, name, payoff.ndim, payoff.shape[0], steps=1)


def climbing(noise: float = 0.0) -> Matrix:
    """Two players climb to the best of three joint actions past a deep valley (Claus & Boutilier 1998).

    Args:
        noise: Standard deviation of the noise on payoffs.
    """
    return one_shot("matrix/climbing", [[11, -30, 0], [-30, 7, 6], [0, 0, 5]], noise)


def penalty(penalty: float = -50.0, noise: float = 0.0) -> Matrix:
    """Two players agree on one of two best joint actions, or pay (Claus & Boutilier 1998).

    Args:
        penalty: What disagreeing on the best actions earns.
        noise: Standard deviation of the noise on payoffs.
    """
    if not -np.inf < penalty <= 0:
        raise BadInput(f"`penalty` is {penalty}: make it a finite number, 0 or below.")
    return one_shot("matrix/penalty", [[10, 0, penalty], [0, 2, 0], [penalty, 0, 10]], noise)


def qtran(variant: int = 0, twins: int = 0, noise: float = 0.0) -> Matrix:
    """Two players find the one joint action that pays, surrounded by penalties (Son et al. 2019).

    Args:
        variant: 0: the paper's payoffs 8, -12 and 0. Above: other penalties between -20 and -4, and other payoffs
            between -2 and 2 for the rest, drawn with this seed; the best stays 8.
        twins: How many more choices are as good as the best one, so that players who choose uniformly are nearer to it.
        noise: Standard deviation of the noise on payoffs.
    """
    if variant < 0:
        raise BadInput(f"`variant` is {variant}: 0 is the paper's game, numbers above are drawn.")
    if not 0 <= twins <= 100:
        raise BadInput(f"`twins` is {twins}: make it a number from 0 to 100.")
    payoff = np.array([[8, -12, -12], [-12, 0, 0], [-12, 0, 0]], np.float64)
    if variant:
        rng = np.random.default_rng(variant)
        payoff[0, 1:], payoff[1:, 0] = rng.uniform(-20, -4, (2, 2))
        payoff[1:, 1:] = rng.uniform(-2, 2, (2, 2))
    return one_shot("matrix/qtran", np.pad(payoff, (twins, 0), mode="edge"), noise)


def parity(players: int = 2, noise: float = 0.0) -> Matrix:
    """An even number of ones pays 1, an odd number -1: nobody's choice matters without the others'.

    Args:
        players: How many players.
        noise: Standard deviation of the noise on payoffs.
    """
    check_players(players, 2)
    ones = np.indices((2,) * players).sum(0)
    return one_shot("matrix/parity", np.where(ones % 2 == 0, 1.0, -1.0), noise)


def anova(players: int = 3, choices: int = 3, interaction: float = 0.5, seed: int = 0, noise: float = 0.0) -> Matrix:
    """A random game of which a given share is more than the sum of what players do alone.

    With players that choose uniformly, payoffs have the mean 0 and the variance 1.

    Args:
        players: How many players.
        choices: How many actions each has.
        interaction: Share of the variance of payoffs that two players or more make together.
        seed: Of the draw.
        noise: Standard deviation of the noise on payoffs.
    """
    check_players(players, choices)
    if not 0 <= interaction <= 1:
        raise BadInput(f"`interaction` is {interaction}: a share lies between 0 and 1.")
    payoff = np.random.default_rng(seed).normal(size=(choices,) * players)
    payoff -= payoff.mean()
    alone = np.sum(np.broadcast_arrays(*(main_effect(payoff, player) for player in range(players))), 0)
    together = payoff - alone
    parts = [np.sqrt(1 - interaction) * alone / alone.std(), np.sqrt(interaction) * together / together.std()]
    return one_shot("matrix/anova", sum(parts), noise)


def main_effect(payoff: np.ndarray, player: int) -> np.ndarray:
    """What a player's choice earns on average over the others' uniform choices, beside the mean; axes stay."""
    others = tuple(axis for axis in range(payoff.ndim) if axis != player)
    return payoff.mean(others, keepdims=True) - payoff.mean()


def two_step(noise: float = 0.0) -> Matrix:
    """The first player's choice decides which game is played next: a safe one, or one that pays more (Rashid et al.
    2018).

    Args:
        noise: Standard deviation of the noise on payoffs.
    """
    payoff = np.array([[0, 0, 0, 0], [7, 7, 7, 7], [0, 1, 1, 8]], np.float64)
    following = np.array([[1, 1, 2, 2], [-1] * 4, [-1] * 4])
    return Matrix(payoff, following, noise, "matrix/two-step", 2, 2, steps=2)


def decisions(
    players: int = 2, choices: int = 3, steps: int = 3, states: int = 4, seed: int = 0, noise: float = 0.0
) -> Matrix:
    """A random decision problem of several steps: what a joint action earns and where it leads is drawn.

    Args:
        players: How many players.
        choices: How many actions each has.
        steps: Length of an episode.
        states: How many states there may be after each step.
        seed: Of the draw.
        noise: Standard deviation of the noise on payoffs.
    """
    check_players(players, choices)
    for name, count in {"steps": steps, "states": states}.items():
        if count < 1:
            raise BadInput(f"`{name}` is {count}: make it 1 or more.")
    rng = np.random.default_rng(seed)
    joint, count = choices**players, 1 + states * (steps - 1)
    payoff, following = rng.normal(size=(count, joint)), np.full((count, joint), -1)
    layer = np.concatenate([[0], np.repeat(np.arange(1, steps), states)])
    for state in range(count):
        if layer[state] < steps - 1:
            following[state] = 1 + states * layer[state] + rng.integers(0, states, joint)
    return Matrix(payoff, following, noise, "matrix/decisions", players, choices, steps)


def check_players(players: int, choices: int) -> None:
    """Refuse games without anybody or with nothing to choose, and tables that nobody can hold."""
    if players < 1 or choices < 2:
        raise BadInput(f"there are {players} players with {choices} choices: a game needs a player and two choices.")
    if choices**players > MOST_JOINT:
        raise BadInput(
            f"{players} players with {choices} choices have {choices**players:,} joint actions, and a table holds up "
            f"to {MOST_JOINT:,}: use fewer, or 'matrix/additive', which needs no table."
        )


# ---------------------------------------------------------------------------------------------------------------------
# Without a table


class Additive(eqx.Module):
    """A game of one step in which players do not matter to each other: the sum of what each one's choice earns.

    Group `player` of n. Observation, float32 [1]: always 1. Action: Discrete(A). Reward, shared: the sum of
    `payoff[i, a_i]`, with normal noise of standard deviation `noise`; with `apart` each player's own part of that sum,
    and noise of its own. Ending: after one step (discount 0).
    """

    payoff: np.ndarray  # [n, A]
    noise: float
    players: int = eqx.field(static=True)
    choices: int = eqx.field(static=True)
    apart: bool = eqx.field(static=True)

    __hash__ = object.__hash__  # as above
    __eq__ = object.__eq__

    @property
    def spec(self) -> Spec:
        names = tuple(f"player_{i}" for i in range(self.players))
        group = Group(names, (Field("one"),), Discrete(self.choices))
        return Spec("matrix/additive", Table({"player": group}), 1, shared_reward=not self.apart)

    def reset(self, key: Any) -> tuple[Any, TimeStep]:
        return jnp.float32(0), self._show(jnp.float32(0), jnp.bool_(False))

    def step(self, key: Any, state: Any, action: Groups) -> tuple[Any, TimeStep]:
        own = jnp.take_along_axis(jnp.asarray(self.payoff), action["player"][:, None], 1)[:, 0]
        earned = own.sum()
        reward = own if self.apart else earned
        return earned, self._show(reward + self.noise * jax.random.normal(key, reward.shape), jnp.bool_(True))

    def measure(self, state: Any) -> dict[str, Any]:
        """Of one step: `payoff`, before noise."""
        return {"payoff": state}

    def reference(self) -> Reference:
        best = float(np.asarray(self.payoff).max(1).sum()) / (self.players if self.apart else 1)
        return Reference("optimum", "best-joint-action", "Everybody's best choice.", best)

    def rules(self) -> dict[str, Callable[[], Scripted]]:
        best = np.asarray(self.payoff).argmax(1)

        def rule(now: TimeStep, key: Any) -> Groups:
            return {"player": jnp.asarray(best, jnp.int32)}

        knows = "everything (centralized)"
        return {"best-joint-action": lambda: Scripted(self.spec, ("player",), rule, knows=knows)}

    def _show(self, reward: Any, over: Any) -> TimeStep:
        return shown("player", jnp.ones((self.players, 1)), reward, over)


def additive(
    players: int = 8, choices: int = 5, uneven: float = 1.0, seed: int = 0, noise: float = 0.1, apart: bool = False
) -> Additive:
    """Players who do not matter to each other share what all of them earn.

    With uniform choices, player i's part has the mean 0 and the standard deviation σ_i, the squares of which sum to 1.

    Args:
        players: How many players.
        choices: How many actions each has.
        uneven: How unequal players are: σ_i is proportional to (i + 1) to the power of minus this.
        seed: Of the draw.
        noise: Standard deviation of the noise on payoffs.
        apart: Pay each player its own part instead.
    """
    if players < 1 or choices < 2:
        raise BadInput(f"there are {players} players with {choices} choices: a game needs a player and two choices.")
    if not 0 <= noise < np.inf or not 0 <= uneven < np.inf:
        raise BadInput(f"`noise` is {noise} and `uneven` is {uneven}: make both finite numbers, 0 or above.")
    payoff = np.random.default_rng(seed).normal(size=(players, choices))
    payoff = (payoff - payoff.mean(1, keepdims=True)) / payoff.std(1, keepdims=True)
    sigma = (1.0 + np.arange(players)) ** -uneven
    payoff *= (sigma / np.linalg.norm(sigma))[:, None]
    return Additive(payoff, noise, players, choices, apart)
