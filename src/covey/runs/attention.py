"""What an attention critic makes of an episode: figure 9 of ATT-MADDPG (Mao et al., arXiv:1811.07029), for any agent.

The last layer is affine and the weights sum to 1, so Q = Σ_k W_k q_k: the real Q-value lies between the heads' scalar
values q_k, and the weights say where. The heads never see the teammates' actions, so whatever a teammate changes, it
changes through the weights alone; the sweep shows that.
"""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from covey.algorithms.critics import AttentionHeads
from covey.algorithms.ddpg import DDPG
from covey.core.algorithm import Algorithm
from covey.core.errors import BadInput, unknown
from covey.core.types import Box, Groups, Space, Spec, TimeStep
from covey.environments.plane import FAINT, INK
from covey.nn.heads import Head
from covey.nn.joint import actions, views
from covey.runs.episode import Episode
from covey.runs.figures import blank, colors, plain

SWEEP = 41  # points between a teammate's two extremes


class Look(NamedTuple):
    """What one agent's critic says, at every step of an episode (or point of a sweep)."""

    q: np.ndarray  # [T]  the real Q-value
    values: np.ndarray  # [T, K]  scalar head values q_k
    weights: np.ndarray  # [T, K]  W_k, equation 8


class Sweep(NamedTuple):
    """The same at one step, while one teammate's action moves and everything else stays."""

    look: Look  # [X, ...]
    x: np.ndarray  # [X]  from 0 to 1 between the two extremes
    taken: float  # where the action that was taken lies
    teammate: str
    step: int


class Place(NamedTuple):
    """Where an agent is found: its group, and its number in it."""

    group: str
    index: int


def attend(algorithm: Algorithm, agent_state: Any, episode: Episode, agent: str | None = None) -> tuple[Look, Sweep]:
    """The critic of `agent` (by default the first) along an episode, and under the teammate that moves it most.

    BadInput where there is no such agent or its critic attends to nothing.
    """
    learner = check_attends(algorithm)
    place = find(learner.spec, learner.groups, agent)
    critic = agent_state.nets.critic[0]
    now = jax.tree.map(lambda x: jnp.asarray(x[:-1]), episode.steps)
    judged = jax.jit(partial(_judged, learner, place))
    along = judged(critic, now, _embedded(learner.spec, now, episode.actions))
    return _look(along), _widest_sweep(learner, critic, place, now, episode.actions)


def check_attends(algorithm: Algorithm) -> DDPG:
    """`algorithm`, if its critic is an attention critic; BadInput otherwise."""
    if isinstance(algorithm, DDPG) and isinstance(algorithm.critic, AttentionHeads):
        return algorithm
    kind = type(algorithm.critic).__name__ if isinstance(algorithm, DDPG) else type(algorithm).__name__
    raise BadInput(f"there is no attention to draw: {kind} attends to nothing; render a run of 'att-maddpg'.")


def find(spec: Spec, groups: tuple[str, ...], agent: str | None) -> Place:
    """Where the agent called `agent` is found among the groups that learn; None means the first."""
    places = {name: Place(group, i) for group in groups for i, name in enumerate(spec.groups[group].names)}
    if agent is None:
        return next(iter(places.values()))
    if agent not in places:
        raise unknown(f"in the environment {spec.name!r} the learning agent", agent, places)
    return places[agent]


def name_of(spec: Spec, place: Place) -> str:
    return spec.groups[place.group].names[place.index]


# ---------------------------------------------------------------------------------------------------------------------
# Asking the critic


def _embedded(spec: Spec, now: TimeStep, action: Groups) -> Groups:
    """Embedded actions [T, n, A] of the episode."""
    return jax.vmap(partial(actions, spec))(now, jax.tree.map(jnp.asarray, action))


def _judged(algorithm: DDPG, place: Place, critic: Any, now: TimeStep, action: Groups) -> tuple[Any, Any]:
    """Q [T] of one agent and its attention [T, K], for embedded actions [T, n, A]."""
    critic, obs = algorithm.encoders.enter(critic, jax.vmap(algorithm.encoders.inputs)(now))
    spec = algorithm.encoders.spec
    net = jax.tree.map(lambda x: x[place.index], algorithm.critic.arrange(critic, spec, place.group))  # type: ignore[attr-defined]

    def one(obs, action):
        seen = views(spec, place.group, obs, action)
        return algorithm.critic.value(net, jax.tree.map(lambda x: x[place.index], seen))  # type: ignore[attr-defined]

    return jax.vmap(one)(obs, action)


def _look(judged: tuple[Any, Any]) -> Look:
    q, attention = jax.device_get(judged)
    return Look(q, attention.values, attention.weights)


def _widest_sweep(algorithm: DDPG, critic: Any, place: Place, now: TimeStep, action: Groups) -> Sweep:
    """The sweep, over all teammates and steps, along which the weights move farthest."""
    spec, x = algorithm.spec, jnp.linspace(0.0, 1.0, SWEEP)
    embedded = _embedded(spec, now, action)
    everyone = [Place(group, i) for group, about in spec.groups.items() for i in range(about.size)]

    @partial(jax.jit, static_argnums=2)
    def sweep(critic, ends, group, index):
        def moved(x):
            swept = embedded[group].at[:, index].set((1 - x) * ends[0] + x * ends[1])
            return _judged(algorithm, place, critic, now, embedded | {group: swept})

        return jax.vmap(moved, out_axes=1)(x)  # [T, X, ...]

    best, widest = None, -1.0
    for mate in everyone:
        if mate == place:
            continue
        ends = _extremes(spec, now, embedded, mate)
        judged = jax.device_get(sweep(critic, ends, mate.group, mate.index))
        moves = np.ptp(judged[1].weights, axis=1).sum(-1)  # [T]
        step = int(moves.argmax())
        if moves[step] > widest:
            widest = moves[step]
            low, high, taken = (np.asarray(a[step]) for a in (*ends, embedded[mate.group][:, mate.index]))
            share = float((taken - low) @ (high - low) / max((high - low) @ (high - low), 1e-9))
            look = _look(jax.tree.map(lambda a, step=step: a[step], judged))
            best = Sweep(look, np.asarray(x), share, name_of(spec, mate), step)
    assert best is not None  # an attention critic has teammates
    return best


def _extremes(spec: Spec, now: TimeStep, embedded: Groups, mate: Place) -> tuple[Any, Any]:
    """The two ends [T, A] of a teammate's sweep: a box's first number lowest and highest; else, in every part, all for
    the last legal component and all for the first."""
    head = Head(spec.groups[mate.group].action)
    own = embedded[mate.group][:, mate.index]
    if isinstance(head.space, Box):
        return own.at[:, 0].set(-1.0), own.at[:, 0].set(1.0)
    legal = now.legal[mate.group][:, mate.index] if mate.group in now.legal else jnp.ones(own.shape, bool)
    order = jnp.arange(head.size, dtype=jnp.float32)
    low, high = (jax.vmap(lambda m, sign=sign: head.parts.one_hot(sign * order, m))(legal) for sign in (1.0, -1.0))
    return jnp.where(legal, low, 0.0), jnp.where(legal, high, 0.0)


def _axis_of(space: Space, teammate: str) -> str:
    """What the sweep's axis says."""
    if isinstance(space, Box):
        return f"{teammate}: first action number, from lowest (0) to highest (1)"
    return f"{teammate}: from all on its last choices (0) to all on its first (1)"


# ---------------------------------------------------------------------------------------------------------------------
# Drawing


def draw_attention(algorithm: Algorithm, agent_state: Any, episode: Episode, agent: str | None) -> tuple[Figure, str]:
    """The figure, and the name of the agent that it is about.

    Left, along the episode: the heads' values with the real Q-value, and the weights. Right: the same at the step and
    for the teammate where its action moves the weights most.
    """
    look, sweep = attend(algorithm, agent_state, episode, agent)
    spec = check_attends(algorithm).spec
    name = name_of(spec, find(spec, algorithm.groups, agent))
    figure = blank(10.4, 6.4)
    figure.get_layout_engine().set(wspace=0.06, hspace=0.06)  # type: ignore[union-attr]
    (top_left, top_right), (low_left, low_right) = figure.subplots(2, 2, sharex="col", sharey="row")
    steps = np.arange(len(look.q))
    mate = next(group for group in spec.groups.values() if sweep.teammate in group.names)
    _draw_values(top_left, steps, look)
    _draw_weights(low_left, steps, look.weights)
    _draw_values(top_right, sweep.x, sweep.look)
    _draw_weights(low_right, sweep.x, sweep.look.weights)
    for axes, x in ((top_left, sweep.step), (low_left, sweep.step), (top_right, sweep.taken), (low_right, sweep.taken)):
        axes.axvline(x, color=INK, linewidth=1.0, linestyle=(0, (2, 2)), zorder=6, label="as it happened")
    low_left.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    plain(top_left, f"{name}: head values and Q along the episode", y="value")
    plain(low_left, "attention weights", x="step", y="weight")
    plain(top_right, f"… and at step {sweep.step}, had {sweep.teammate} acted otherwise")
    plain(low_right, "", x=_axis_of(mate.action, sweep.teammate))
    handles, labels = top_left.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=min(len(labels), 9), frameon=False, fontsize=9.5)
    return figure, name


def _draw_values(axes: Any, x: np.ndarray, look: Look) -> None:
    axes.set_xlim(x[0], max(x[-1], x[0] + 1e-9))
    for k, color in enumerate(colors(look.values.shape[1])):
        axes.plot(x, look.values[:, k], color=color, linewidth=1.5, label=f"head {k + 1}")
    axes.plot(x, look.q, color="white", linewidth=4.2)
    axes.plot(x, look.q, color=INK, linewidth=2.8, label="real Q")


def _draw_weights(axes: Any, x: np.ndarray, weights: np.ndarray) -> None:
    axes.set(ylim=(0, 1))
    tones = colors(weights.shape[1])
    axes.stackplot(x, weights.T, colors=tones, alpha=0.85, edgecolor="white", linewidth=0.7)
    axes.spines["bottom"].set_color(FAINT)
