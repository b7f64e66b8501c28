"""The routing environment: routers split traffic over paths or next hops, to keep the busiest link as idle as possible.

Built from a network, its candidate paths and a bank of demands by `build`; the presets are in the package itself.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from covey.core.environment import Reference
from covey.core.types import Field, Group, Spec, Table, TimeStep
from covey.environments.routing.flow import LINE, Pipes, Wiring, empty, settled_load, share_out, tick
from covey.environments.routing.hops import NextHops
from covey.environments.routing.paths import Paths
from covey.environments.routing.records import Bank, Failures, Payoff, Setting, Sight, Sketch, State


class Routing(eqx.Module):
    """Routers share a network; the maximum link utilization (MLU) is everybody's loss.

    Group: `router`, one agent per router that has a choice.
    Action: `Splits`, per destination (hop control) or per own pair (path control) the shares of the next hops or
      candidate paths; components that do not exist, or are down, are illegal and their share goes to the others.
    Observation, float32, zero-padded where routers differ:
      with delays: `buffer` (2 ticks x destinations, in units of the largest mean demand), `links` (own outgoing links x
        5 ticks x destinations, in units of the link's capacity);
      without: `demand` (own pairs x `history` steps, newest first, in units of the largest mean demand): of the current
        step on ("omniscient": what is routed now is seen) or of the last one on ("predictive": it is not);
      always: `action` (the last splits), `utilization` (of the own outgoing links in the last step); with `see="probe"`
        also `probe` (utilization of every link in the last step).
    Reward, shared: `1-mlu`, `-mlu` or `-ratio` (MLU over the linear program's). With `terminate`, a step with MLU > 1
      costs `penalty` more and ends the episode for good (discount 0).
    State: `bank`, the step of the bank that comes next and the failure state, for rules that solve the unobserved.
    Ending: after `time_limit` steps (a time limit: the discount stays 1), or by overload.
    Dynamics: a step is `ticks` ticks of the demand with constant splits; with delays a router takes one tick and a link
      four, without them flows settle at once. No queues, no loss. An episode with delays starts in a network that has
      been carrying the preceding demand with equal splits.
    """

    wiring: Wiring
    bank: Bank
    failures: Failures
    unit: float  # demand that counts as 1 in observations
    penalty: float
    bonus: float  # training only: per agent, this times 1 - the utilization of its busiest outgoing link
    failure_rate: float  # probability that a link is down, for a whole episode
    out: np.ndarray  # [n, O] int32  outgoing links of every agent, L where padded
    own: np.ndarray  # [n, P] int32  pairs an agent is the source of, D where padded
    spec: Spec = eqx.field(static=True)
    delays: bool = eqx.field(static=True)
    history: int = eqx.field(static=True)
    setting: Setting = eqx.field(static=True)
    see: Sight = eqx.field(static=True)
    payoff: Payoff = eqx.field(static=True)
    terminate: bool = eqx.field(static=True)
    span: tuple[int, int] = eqx.field(static=True)  # episodes lie within these steps of the bank
    episode: int = eqx.field(static=True)  # steps of an episode in training
    whole_test: bool = eqx.field(static=True)  # evaluate in one episode over all that is held out
    paths: Paths = eqx.field(static=True)  # all that traffic may take, for rules and solvers
    hops: NextHops | None = eqx.field(static=True)  # where routers decide hop by hop
    sketch: Sketch = eqx.field(static=True)

    # An environment is itself and no other: so its methods can be given to `jax.jit`, which hashes them.
    __hash__ = object.__hash__
    __eq__ = object.__eq__

    def evaluation(self) -> Routing:
        """The same environment over held-out demand, without the training bonus."""
        begin, end = self.bank.training, len(self.bank.mean)
        return self.over((begin, end), end - begin - self.lead if self.whole_test else self.episode)

    def over(self, span: tuple[int, int], time_limit: int) -> Routing:
        """The same environment over other steps of the bank, without the training bonus."""
        spec = self.spec._replace(time_limit=time_limit, shared_reward=True)
        return dataclasses.replace(self, span=span, bonus=0.0, spec=spec)

    def reference(self) -> Reference:
        """The linear program: played where flows settle at once, by its value where they take time.

        Played hop by hop with delays it would do worse than a constant split (routers apply the ratios of this step to
        traffic that entered under those of earlier ones), and be no bound at all.
        """
        how = "linear program (HiGHS) on the mean demand of every step, with all demands known"
        if self.delays:
            return Reference("bound", "", f"{how}; a static bound, as it ignores delays", self._bound())
        return Reference("bound", "optimal-routing", how)

    def _bound(self) -> float:
        """Mean return of an episode in which every step has the least MLU."""
        bank, limit = self.bank, self._limit
        healthy, *failed = bank.optimum[:, self.span[0] + self.lead : self.span[1]]
        chances = [(1 - self.failure_rate, healthy), *((self.failure_rate / len(failed), state) for state in failed)]
        payoff = np.sum([chance * self._payoff(optimum, optimum) for chance, optimum in chances], 0)
        return float(np.convolve(payoff, np.ones(limit), "valid").mean())

    # ------------------------------------------------------------------------------------------------------- dynamics

    def reset(self, key):
        k_start, k_down, k_which = jax.random.split(key, 3)
        begin, end = self.span
        latest = end - self._limit  # the last start with a whole episode after it
        start = jax.random.randint(k_start, (), begin + self.lead, latest + 1)
        down = jax.random.uniform(k_down) < self.failure_rate
        which = jax.random.randint(k_which, (), min(1, len(self.failures.up) - 1), len(self.failures.up))
        failure = jnp.where(down, which, 0).astype(jnp.int32)
        equal = share_out(self.wiring.action, jnp.ones(self.wiring.legal.shape), self._legal(failure))
        state = State(
            start=start,
            clock=jnp.int32(0),
            failure=failure,
            pipes=empty(self.wiring) if self.delays else (),
            action=equal,
            utilization=jnp.zeros(len(self.wiring.capacity)),
            mlu=jnp.float32(0),
            optimum=jnp.float32(0),
        )
        if self.delays:
            state = jax.lax.fori_loop(0, self.lead, lambda i, s: self._flow(s, s.action, start - self.lead + i), state)
        return state, self._show(state, jnp.zeros(len(self.wiring.agents)), jnp.bool_(False), jnp.bool_(False))

    @property
    def lead(self) -> int:
        """Steps of the bank that come before the first start."""
        return lead(self.wiring, self.bank.ticks.shape[1], self.history, self.delays)

    @property
    def _limit(self) -> int:
        assert self.spec.time_limit is not None
        return self.spec.time_limit

    def _legal(self, failure: Any) -> Any:
        return jnp.asarray(self.failures.legal)[failure]

    def step(self, key, state, action):
        split = share_out(self.wiring.action, action["router"], self._legal(state.failure))
        state = self._flow(state, split, state.start + state.clock)
        state = state._replace(clock=state.clock + 1)
        overload = (state.mlu > 1.0) & self.terminate
        busiest = self._per_agent(state.utilization).max(1)
        reward = self._payoff(state.mlu, state.optimum) - self.penalty * overload + self.bonus * (1.0 - busiest)
        return state, self._show(state, reward, overload, state.clock >= self._limit)

    def _payoff(self, mlu: Any, optimum: Any) -> Any:
        if self.payoff == "-ratio":
            return -mlu / (optimum + 1e-9)
        return (self.payoff == "1-mlu") - mlu

    def _flow(self, state: State, split: Any, index: Any) -> State:
        """One step of traffic: the demand at `index` of the bank, split as told."""
        wiring, count = self.wiring, self.bank.ticks.shape[1]
        if self.delays:
            ratio = wiring.ratios(split)

            def one(pipes, demand):
                pipes, sent = tick(wiring, pipes, ratio, wiring.inject(split, demand))
                return pipes, sent.sum(1)

            pipes, sent = jax.lax.scan(one, state.pipes, jnp.asarray(self.bank.ticks)[index])
            load = sent.sum(0) / count
        else:
            pipes, load = (), settled_load(wiring, split, jnp.asarray(self.bank.mean)[index])
        utilization = load / wiring.capacity
        return state._replace(
            pipes=pipes,
            action=split,
            utilization=utilization,
            mlu=utilization.max(),
            optimum=jnp.asarray(self.bank.optimum)[state.failure, index],
        )

    # ---------------------------------------------------------------------------------------------------- observation

    def _show(self, state: State, reward: Any, overload: Any, timeout: Any) -> TimeStep:
        agents = len(self.wiring.agents)
        return TimeStep(
            obs={"router": self._observe(state)},
            reward={"router": reward},
            discount={"router": jnp.full(agents, 1.0 - overload)},
            alive={"router": jnp.ones(agents, bool)},
            last=overload | timeout,
            legal={"router": self._legal(state.failure)},
            state=jnp.stack([state.start + state.clock, state.failure]),
        )

    def _observe(self, state: State) -> Any:
        """[n, D] float32, the fields of the class docstring in order."""
        traffic = self._under_way(state) if self.delays else [self._demands(state)]
        fields = [*traffic, state.action, self._per_agent(state.utilization)]
        if self.see == "probe":
            fields.append(jnp.broadcast_to(state.utilization, (len(self.wiring.agents), len(state.utilization))))
        return jnp.concatenate([field.reshape(len(self.wiring.agents), -1) for field in fields], 1)

    def _under_way(self, state: State) -> list[Any]:
        """What the routers hold (2 ticks) and what the last 5 ticks put on their outgoing links, by destination."""
        wiring, pipes, nodes = self.wiring, state.pipes, np.asarray(self.wiring.agents)
        assert isinstance(pipes, Pipes)
        held = jnp.stack([pipes.buffer[nodes], pipes.before[nodes]], 1) @ wiring.goal / self.unit
        sent = (pipes.line @ wiring.goal) / wiring.capacity[:, None]  # [LINE, L, G]
        padded = jnp.concatenate([sent, jnp.zeros_like(sent[:, :1])], 1)
        return [held, padded[:, self.out].transpose(1, 2, 0, 3)]  # [n, O, LINE, G]

    def _demands(self, state: State) -> Any:
        """[n, P, H] demand of the own pairs, newest first."""
        newest = state.start + state.clock - (self.setting == "predictive")
        newest = jnp.minimum(newest, self.span[1] - 1)  # after the last step
        past = jnp.asarray(self.bank.mean)[newest - jnp.arange(self.history)] / self.unit  # [H, D]
        return jnp.concatenate([past, jnp.zeros_like(past[:, :1])], 1).T[self.own]

    def _per_agent(self, per_link: Any) -> Any:
        """[L] values of the links as [n, O] values of every agent's outgoing links, 0 where padded."""
        return jnp.append(per_link, 0.0)[self.out]

    def measure(self, state):
        return {
            "mlu": state.mlu,
            "mlu_optimum": state.optimum,
            "mlu_ratio": state.mlu / jnp.maximum(state.optimum, 1e-9),
            "mlu_regret": state.mlu - state.optimum,
            "overload": (state.mlu > 1.0).astype(jnp.float32),
        }

    picture = (8.0, 5.6)  # inches of a frame

    def draw(self, axes: Any, state: State, now: TimeStep, action: Any = None, history: Any = None) -> None:
        """One frame on matplotlib `axes`: the network, what every link carries and how every agent splits.

        `action` is shown instead of the last splits where given; `history` lists earlier states, for the chart of the
        MLU.
        """
        from covey.environments.routing.draw import draw

        draw(axes, self, state, now, action, history)

    def rules(self):
        from covey.environments.routing.rules import rules

        return rules(self)


def lead(wiring: Wiring, ticks: int, history: int, delays: bool) -> int:
    """Steps of the bank that come before the first start: to fill the pipes, or the history."""
    return -(-wiring.depth * LINE // ticks) + 1 if delays else history


def router_spec(
    name: str, wiring: Wiring, labels: list[str], widths: dict[str, Any], time_limit: int, bonus: bool
) -> Spec:
    """The spec of a routing environment; `widths` has, per field, its shape, its unit and the valid sizes per agent."""
    fields = tuple(Field(field, shape, unit, valid=valid) for field, (shape, unit, valid) in widths.items())
    group = Group(tuple(f"router_{label}" for label in labels), fields, wiring.action)
    state = (Field("bank", (2,), "step, failure", "int32"),)
    return Spec(name, Table({"router": group}), time_limit=time_limit, shared_reward=not bonus, state=state)
