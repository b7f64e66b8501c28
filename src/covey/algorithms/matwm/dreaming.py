"""What a world model imagines from a step of an episode on, while an agent does what it did there."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp

from covey.algorithms.matwm.imagination import Learned
from covey.algorithms.matwm.records import Context, State
from covey.core.types import Groups, TimeStep
from covey.learning.dreams import Dream

if TYPE_CHECKING:
    from covey.algorithms.matwm.rule import MATWM

SAMPLES = 32


def dream(rule: MATWM, state: State, steps: TimeStep, actions: Groups, agent: str, start: int, key: Any) -> Dream:
    """The dream of `agent` from step `start` of an episode on, with time steps [T + 1, ...] and actions [T, ...].

    It is as long as imagined episodes are in learning, and at most as long as the episode. Only the first `start` + 1
    steps are shown to the world model.
    """
    agents, who = rule.agents, rule.agents.names.index(agent)
    horizon = min(rule.imagination.horizon, len(steps.last) - 1 - start)
    model = dataclasses.replace(rule.model, teammate_view="chances")  # whatever policies are given
    dynamics = Learned(model, state.nets.model, agents)
    chosen = jax.vmap(agents.chosen)(actions)[:, agents.own[who]]  # [T, P]
    context = jax.tree.map(lambda x: jnp.stack([x] * SAMPLES), _context(rule, steps, chosen, who, start))

    def tick(moment, xs):
        choice, key = xs
        said = state.nets.model.decoder(moment.latent), moment.others
        taken = jnp.broadcast_to(agents.one_hot(choice), (SAMPLES, agents.parts, agents.choices))
        moment, *earned = dynamics.advance(moment, taken, key)
        return moment, (*said, *earned)

    k_begin, k_steps = jax.random.split(key)
    moment = dynamics.begin(context, horizon, k_begin)
    moment, found = jax.lax.scan(tick, moment, (chosen[start : start + horizon], jax.random.split(k_steps, horizon)))
    final = state.nets.model.decoder(moment.latent)
    obs, others, reward, discount = jax.tree.map(lambda x: jnp.moveaxis(x, 0, 1), found)
    obs = jax.tree.map(lambda x, last: jnp.concatenate([x, last[:, None]], 1), obs, final)
    others = others.reshape(*reward.shape, -1, agents.parts, agents.choices)
    names = [agents.everybody[k] for k in agents.others[who]] if model.predicts(agents) else []
    return Dream(agents.fields_of(who, obs), reward, discount, {name: others[:, :, k] for k, name in enumerate(names)})


def _context(rule: MATWM, steps: TimeStep, chosen: Any, who: int, start: int) -> Context:
    """What the agent saw at `start`, and the steps before, as one row without its axis."""
    length = rule.imagination.context
    place = start + jnp.arange(-length, 1)
    there, place = place >= 0, jnp.maximum(place, 0)
    seen = jax.vmap(rule.agents.observe)(jax.tree.map(lambda x: x[place], steps))
    obs, alive = jax.tree.map(lambda x: x[:, who], (seen.obs, seen.alive))
    return Context(jnp.int32(who), obs, chosen[place[:-1]], alive & there)
