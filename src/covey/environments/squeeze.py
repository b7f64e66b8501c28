"""`squeeze`: the Gaussian squeeze, a game of one round for any number of agents, whose optimum is known.

Everybody names a number; the sum x should be neither too small nor too large, and everybody earns

    G(x) = x exp(-(x - μ)² / σ²)

(HolmesParker et al. 2014; Yang et al. 2018 with μ = 400 and σ = 200, and σ² without a factor 2). What agent i's number
is worth falls to G'(E x)(a_i - E a_i), a vanishing share of what everybody earns: the more agents, the fainter.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from covey.core.algorithm import Scripted
from covey.core.environment import Reference
from covey.core.errors import BadInput
from covey.core.types import Discrete, Field, Group, Groups, Spec, Table, TimeStep
from covey.environments.games import shown

CHOICES = 10
"""Actions: the numbers 0 to 9."""

PUBLISHED = 100
"""Agents for whom the published μ = 400 and σ = 200 are made."""


def worth(x: Any, mean: Any, spread: Any, exp: Callable = np.exp) -> Any:
    """G(x)."""
    return x * exp(-(((x - mean) / spread) ** 2))


class Sums(NamedTuple):
    """State of a squeeze."""

    clock: Any  # []  int32: rounds played
    total: Any  # [D]  float32: the sum of each domain
    chosen: Any  # [n]  int32


class Squeeze(eqx.Module):
    """A squeeze, or several side by side.

    Group `agent` of n; agent i belongs to domain i mod D. Observation, float32 [D]: its domain, one-hot (1 where there
    is one). Action: Discrete(10), the number itself. Reward, shared: the sum of G_d(x_d) over domains d; the means μ_d
    lie evenly between half and one and a half times each domain's share of μ. Ending: after `rounds` steps, each the
    same game again (discount 0).
    """

    count: int = eqx.field(static=True)
    domains: int = eqx.field(static=True)
    mean: float = eqx.field(static=True)
    spread: float = eqx.field(static=True)
    rounds: int = eqx.field(static=True)

    @property
    def domain(self) -> np.ndarray:
        """Which domain everybody belongs to, int [n]."""
        return np.arange(self.count) % self.domains

    @property
    def squeezes(self) -> tuple[np.ndarray, np.ndarray]:
        """μ and σ of every domain, [D]."""
        share = np.bincount(self.domain) / self.count
        scale = np.linspace(0.5, 1.5, self.domains) if self.domains > 1 else np.ones(1)
        return scale * share * self.mean, share * self.spread

    @property
    def spec(self) -> Spec:
        names = tuple(f"agent_{i}" for i in range(self.count))
        group = Group(names, (Field("domain", (self.domains,)),), Discrete(CHOICES))
        return Spec("squeeze", Table({"agent": group}), self.rounds, shared_reward=True)

    def reset(self, key: Any) -> tuple[Sums, TimeStep]:
        state = Sums(jnp.int32(0), jnp.zeros(self.domains), jnp.zeros(self.count, jnp.int32))
        return state, self._show(jnp.float32(0), jnp.bool_(False))

    def step(self, key: Any, state: Sums, action: Groups) -> tuple[Sums, TimeStep]:
        chosen = action["agent"]
        total = chosen.astype(jnp.float32) @ self._membership()
        clock = state.clock + 1
        return Sums(clock, total, chosen), self._show(self.earns(total).sum(), clock >= self.rounds)

    def earns(self, total: Any) -> Any:
        """G of sums [..., D], domain by domain; where it is too small for a float, 0."""
        return worth(total, *self.squeezes, jnp.exp)

    def measure(self, state: Sums) -> dict[str, Any]:
        """Of one step: `sum` of all numbers; `share` of what can be earned; `sameness`, the share of agents that named
        the most frequent number."""
        often = (state.chosen[:, None] == np.arange(CHOICES)).mean(0).max()
        return {
            "sum": state.total.sum(),
            "share": self.earns(state.total).sum() / self.best()[1],
            "sameness": often,
        }

    def best(self) -> tuple[np.ndarray, float]:
        """The best sum of every domain, int [D], and what they earn, by enumeration."""
        mean, spread = self.squeezes
        totals, earned = [], 0.0
        for size, mu, sigma in zip(np.bincount(self.domain), mean, spread, strict=True):
            x = np.arange((CHOICES - 1) * size + 1, dtype=np.float64)
            earns = worth(x, mu, sigma)
            totals.append(int(earns.argmax()))
            earned += float(earns.max())
        return np.array(totals), earned

    def reference(self) -> Reference:
        how = "The best sum of every domain, by enumeration, shared out as evenly as whole numbers can be."
        return Reference("optimum", "best-sum", how, self.rounds * self.best()[1])

    def rules(self) -> dict[str, Callable[[], Scripted]]:
        return {"best-sum": self._best}

    def _best(self) -> Scripted:
        choice = np.zeros(self.count, np.int32)
        for domain, total in enumerate(self.best()[0]):
            members = np.flatnonzero(self.domain == domain)
            choice[members] = total // len(members)
            choice[members[: total % len(members)]] += 1

        def rule(now: TimeStep, key: Any) -> Groups:
            return {"agent": jnp.asarray(choice)}

        return Scripted(self.spec, ("agent",), rule, knows="everything (centralized)")

    def _show(self, reward: Any, over: Any) -> TimeStep:
        return shown("agent", jnp.asarray(self._membership()), reward, over)

    def _membership(self) -> np.ndarray:
        """Who belongs to which domain, one-hot, float32 [n, D]."""
        return np.eye(self.domains, dtype=np.float32)[self.domain]

    def draw(self, axes: Any, state: Sums, now: TimeStep, action: Groups | None = None, history: Any = None) -> None:
        """What each sum would earn, on matplotlib `axes`, and the sums that were made."""
        axes.clear()
        mean, spread = self.squeezes
        x = np.linspace(0.0, float((mean + 2.5 * spread).max()), 400)
        for domain, (mu, sigma, total) in enumerate(zip(mean, spread, np.asarray(state.total), strict=True)):
            (line,) = axes.plot(x, worth(x, mu, sigma), label=f"domain {domain}")
            axes.plot(total, worth(total, mu, sigma), "o", color=line.get_color(), clip_on=False)
        axes.set(xlabel="sum", ylabel="earned", title=f"sum {float(np.asarray(state.total).sum()):.0f}")
        if self.domains > 1:
            axes.legend(frameon=False)


def squeeze(
    agents: int = 100,
    protocol: Literal["scaled", "paper"] = "scaled",
    mean: float = 4.0,
    spread: float = 2.0,
    domains: int = 1,
    rounds: int = 1,
) -> Squeeze:
    """Agents name numbers whose sum should be neither too small nor too large.

    Args:
        agents: How many agents.
        protocol: `scaled`: μ and σ grow with the number of agents; `paper`: they are those of a hundred, and large
            teams earn nothing that a float can hold until they have nearly found the sum.
        mean: μ for each agent.
        spread: σ for each agent.
        domains: How many squeezes there are side by side; everybody belongs to one and earns the sum of all.
        rounds: How often the game is played in an episode.
    """
    if not 1 <= domains <= agents:
        raise BadInput(f"{agents} agents cannot be dealt into {domains} domains: use between 1 and as many as agents.")
    if not 0 < mean < np.inf or not 0 < spread < np.inf:
        raise BadInput(f"`mean` is {mean} and `spread` is {spread}: make both finite numbers above 0.")
    if rounds < 1:
        raise BadInput(f"`rounds` is {rounds}: play at least once.")
    scale = agents if protocol == "scaled" else PUBLISHED
    return Squeeze(agents, domains, mean * scale, spread * scale, rounds)
