"""MATWM: agents that share a transformer world model, and learn to act in what it imagines.

Algorithm 2 of the paper, for each update:

    one step of the world model        on 16 sequences of what was played, in equal shares from the agents' replay
    for each agent                     contexts -> imagined episodes -> one step of its actor and critic

Deihim, Alonso, Apostolopoulou 2025, "Transformer World Model for Sample Efficient Multi-Agent Reinforcement Learning"
(arXiv:2506.18537).
"""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp

from covey.algorithms.matwm.actor_critic import ActorCritic
from covey.algorithms.matwm.agents import Agents, agents_of
from covey.algorithms.matwm.dreaming import dream
from covey.algorithms.matwm.imagination import Learned, Moment, imagine
from covey.algorithms.matwm.inner import Inner, chosen
from covey.algorithms.matwm.losses import world_model_loss
from covey.algorithms.matwm.model import WorldModel
from covey.algorithms.matwm.records import Context, History, Imagined, Nets, State
from covey.algorithms.matwm.replay import SequenceReplay
from covey.algorithms.matwm.workspace import workspace
from covey.core.algorithm import Algorithm, Plan, paced
from covey.core.checks import controls, within
from covey.core.types import Groups, Metrics, Spec, TimeStep
from covey.learning.buffer import Buffer
from covey.learning.descent import descended
from covey.learning.dreams import Dream


class Imagination(eqx.Module):
    """How much is imagined for an update."""

    batch: int = eqx.field(static=True, default=768)
    """Episodes that are imagined, of each agent or of all together (`share`)."""
    horizon: int = eqx.field(static=True, default=12)
    """Steps of each (H)."""
    context: int = eqx.field(static=True, default=8)
    """The most steps before the first one that the world model is shown; as many as the episode has had, if fewer."""
    share: Literal["per_agent", "total"] = eqx.field(static=True, default="per_agent")
    """What `batch` counts."""
    start: Literal["posterior", "prior"] = eqx.field(static=True, default="posterior")
    """The first latent state: of what was seen, or what the model makes of the steps before, where there are any."""
    ends: Literal["probability", "threshold"] = eqx.field(static=True, default="probability")
    """What follows an imagined step counts by the chance that there is a future; or wholly where that is above one
    half, and else not."""

    def __check_init__(self):
        within(self, "[1, inf)", "batch", "horizon", "context")

    def of_agent(self, agents: int) -> int:
        """Episodes of each of so many agents."""
        return self.batch if self.share == "per_agent" else -(-self.batch // agents)


class MATWM(Algorithm):
    """The rule. Works for discrete and multi-discrete actions, groups of any sizes, masks and deaths."""

    spec: Spec = eqx.field(static=True)
    groups: tuple[str, ...] = eqx.field(static=True)
    model: WorldModel = WorldModel()
    """The world model that all agents share."""
    inner: Inner = ActorCritic()
    """Who learns in imagination, for each agent."""
    replay: SequenceReplay = SequenceReplay()
    imagination: Imagination = Imagination()
    history: int = eqx.field(static=True, default=16)
    """The last steps of the running episode that acting knows."""
    horizon: int = eqx.field(static=True, default=1)
    """Steps of a rollout, per lane, between two learns."""
    updates: int = eqx.field(static=True, default=1)
    """Updates per learn."""
    warmup: int = eqx.field(static=True, default=1000)
    """Environment steps before the first update; until then actions are random."""
    precision: Literal["float32", "bfloat16"] = eqx.field(static=True, default="float32")
    """Of the factors in matrix products, where the hardware has them: sums, and what is learned, stay float32."""

    def __check_init__(self):
        within(self, "[1, inf)", "history", "horizon", "updates")
        within(self, "[0, inf)", "warmup")
        controls(self)
        agents_of(self.spec, self.groups)

    @property
    def plan(self):
        return Plan(horizon=self.horizon, warmup=self.warmup, updates=self.updates)

    @property
    def agents(self) -> Agents:
        return agents_of(self.spec, self.groups)

    @property
    def positions(self) -> int:
        """The most tokens in a row."""
        imagined = self.imagination.context + self.imagination.horizon
        return max(self.replay.steps(self.spec), imagined, self.history) + 1

    def workspace(self) -> int:
        """Bytes that an update takes besides what is learned and kept, about."""
        return workspace(self)

    def products(self) -> Any:
        """A context in which matrix products are computed with factors of `precision`."""
        return jax.default_matmul_precision("BF16_BF16_F32") if self.precision == "bfloat16" else nullcontext()

    # ---------------------------------------------------------------------------------------------------------- acting

    def memory(self, key):
        agents = self.agents
        rows = self.history, agents.count
        return History(agents.blank(self.history), jnp.zeros((*rows, agents.parts), jnp.int32), jnp.zeros(rows, bool))

    def init(self, key, lanes):
        k_model, k_inner = jax.random.split(key)
        model = self.model.init(k_model, self.agents, self.positions)
        inner = self.inner.init(k_inner, self.agents, self.model.state_size(self.agents))
        nets = Nets(model, self.model.optimizer.init(model), inner)
        return State(nets, self.replay.init(self.spec, lanes, self.horizon))

    def act(self, state, memory, now, key, step, *, explore):
        agents, seen = self.agents, self.agents.observe(now)
        k_latent, k_action = jax.random.split(key)
        context = Context(
            focal=jnp.arange(agents.count),
            obs=jax.tree.map(lambda x, new: jnp.moveaxis(jnp.concatenate([x, new[None]]), 0, 1), memory.obs, seen.obs),
            action=jnp.moveaxis(memory.action, 0, 1),
            exists=jnp.concatenate([memory.exists, seen.alive[None]]).T,
        )
        dynamics = Learned(self.model, state.nets.model, agents)
        with self.products():
            view, _ = dynamics.view(dynamics.begin(context, 0, k_latent if explore else None))
            choice, _ = self.inner.act(state.nets.inner, agents, view, seen.legal, k_action if explore else None)
        if explore:
            uniform = chosen(jnp.zeros(seen.legal.shape), seen.legal, k_action)
            choice = jnp.where(step < self.warmup, uniform, choice)
        latest = History(seen.obs, choice, seen.alive)
        memory = jax.tree.map(lambda old, new: jnp.concatenate([old[1:], new[None]]), memory, latest)
        return agents.actions(choice), memory, ()

    def parameters(self, state):
        return state.nets

    def acting(self, state):
        nets = state.nets._replace(model_opt=(), inner=self.inner.acting(state.nets.inner))
        return State(nets, ())  # type: ignore[arg-type]

    # -------------------------------------------------------------------------------------------------------- learning

    def learn(self, state, rollout, key, step):
        taken = rollout.then.last.size
        buffer = self.replay.add(self.spec, state.buffer, rollout, step)
        plan = self.plan._replace(warmup=max(self.warmup, 2 * rollout.then.last.shape[1]))  # a step needs a successor

        def update(nets, key, count):
            return self.update(nets, buffer, key, count, step + taken)

        with self.products():
            nets, metrics = paced(plan, step, taken, update, state.nets, key)
        return State(nets, buffer), metrics

    def dream(self, state: State, steps: TimeStep, actions: Groups, agent: str, start: int, key: Any) -> Dream:
        """What an agent imagines from step `start` of an episode on; see `covey.algorithms.matwm.dreaming`."""
        return dream(self, state, steps, actions, agent, start, key)

    def update(self, nets: Nets, buffer: Buffer, key: Any, count: Any, step: Any) -> tuple[Nets, Metrics]:
        """One update of the world model, and then one of every agent in what it imagines.

        count: updates before this one. step: environment steps that were added to the buffer.
        """
        k_batch, k_model, k_context, k_imagine = jax.random.split(key, 4)
        batch = self.replay.draw(self.agents, buffer, k_batch, count, step)
        model, opt, of_model = descended(
            self.model.optimizer, world_model_loss, nets.model, nets.model_opt, self.model, self.agents, batch, k_model
        )
        number = self.imagination.of_agent(self.agents.count)
        context, weight = self.replay.contexts(self.agents, buffer, number, self.imagination.context, k_context, step)
        imagined = self.imagined(Nets(model, opt, nets.inner), context, k_imagine)
        inner, of_agents = self.inner.learn(nets.inner, imagined, weight, jax.random.fold_in(key, 4))
        told = {f"{who}_{name}": x[i] for name, x in of_agents.items() for i, who in enumerate(self.agents.names)}
        return Nets(model, opt, inner), of_model | told

    def imagined(self, nets: Nets, context: Context, key: Any) -> Imagined:
        """What all agents imagine from contexts of N · B rows: [N, H, B, ...]."""
        k_begin, k_imagine = jax.random.split(key)
        dynamics = Learned(self.model, nets.model, self.agents)
        moment = dynamics.begin(context, self.imagination.horizon, k_begin, self.imagination.start)
        return self.imagined_from(nets, moment, k_imagine)

    def imagined_from(self, nets: Nets, moment: Moment, key: Any) -> Imagined:
        """What all agents imagine where contexts have ended."""
        agents, dynamics = self.agents, Learned(self.model, nets.model, self.agents)

        def act(state, legal, key):
            state, legal = (x.reshape(agents.count, -1, *x.shape[1:]) for x in (state, legal))
            choice, extra = self.inner.act(nets.inner, agents, state, legal, key)
            choice, extra = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), (choice, extra))
            return agents.one_hot(choice), extra

        imagined = imagine(dynamics, act, moment, self.imagination.horizon, key)
        if self.imagination.ends == "threshold":
            imagined = imagined._replace(discount=(imagined.discount > 0.5).astype(jnp.float32))

        def by_agent(x):  # [H, N · B, ...] -> [N, H, B, ...]
            return jnp.moveaxis(x.reshape(len(x), agents.count, -1, *x.shape[2:]), 1, 0)

        return jax.tree.map(by_agent, imagined)
