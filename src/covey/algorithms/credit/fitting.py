"""What is learned of credit, and how: gradient steps on the latest rollouts, apart from those of actors and critics."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import optax

from covey.algorithms.credit.base import Learned, Shown, no_choices
from covey.algorithms.credit.recent import Lesson, Recent, drawn, nothing
from covey.core.types import Groups, Metrics, Spec
from covey.learning.credit import Moments
from covey.learning.descent import descended
from covey.nn.policies import Policy


class Known(NamedTuple):
    """What is known of who makes what."""

    model: Groups  # per group, what its kind of credit learns
    opt: Any
    trust: dict[str, Moments]  # in baselines, per group
    recent: Any  # Recent: what is learned from; or (), in a state to act with


def unknown(
    kind: Learned,
    spec: Spec,
    policies: dict[str, Policy],
    views: dict[str, int],
    optimizer: optax.GradientTransformation,
    shape: tuple[int, int],
    keys: dict[str, Any],
) -> Known:
    """The beginning, for groups with these policies and sizes of views; rollouts will be of `shape` (T, E)."""
    model, lessons = {}, {}
    for name, policy in policies.items():
        size = spec.groups[name].size
        model[name] = kind.init(keys[name], size, views[name], policy.size)
        lessons[name] = Lesson(no_choices(policy, kind.samples, size), kind.aim(size))
    trust = {name: Moments.none() for name in policies}
    return Known(model, optimizer.init(model), trust, nothing(spec, lessons, (kind.recent, *shape)))


def fitted(
    kind: Learned,
    known: Known,
    optimizer: optax.GradientTransformation,
    shown: Callable[[Recent], dict[str, Shown]],
    rollouts: Any,
    key: Any,
) -> tuple[Known, Metrics]:
    """After gradient steps on what was `shown` in steps drawn from the last of so many `rollouts`."""

    def once(carry, key):
        batch = shown(drawn(known.recent, kind.batch, key, rollouts))
        model, opt, told = descended(optimizer, partial(_loss, kind), *carry, batch, rate=kind.lr)
        return (model, opt), told

    (model, opt), metrics = jax.lax.scan(once, (known.model, known.opt), jax.random.split(key, kind.fits))
    return known._replace(model=model, opt=opt), jax.tree.map(lambda x: x.mean(0), metrics)


def _loss(kind: Learned, models: Groups, shown: dict[str, Shown]) -> tuple[Any, Metrics]:
    """How far models are from what they are to learn, over steps [B]."""
    loss, metrics = 0.0, {}
    for name, steps in shown.items():
        error, penalty = kind.loss(models[name], steps)
        loss, metrics = loss + error + penalty, metrics | {f"loss/credit/{name}": error}
    return loss, metrics
