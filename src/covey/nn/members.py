"""The networks of a group: one that everybody shares and that tells its members apart by identity, or one for each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from covey.nn.encoders import Encoded
from covey.nn.recurrent import Net


class Members(eqx.Module):
    """A group of `size` agents, whose networks map arrays [..., n, D] to arrays [..., n, P]."""

    size: int = eqx.field(static=True)
    shared: bool = eqx.field(static=True)
    alike: bool = eqx.field(static=True, default=False)
    """Is a shared network not told whose it is?"""

    @property
    def identity(self) -> int:
        """Inputs by which agents are told apart; none where each has a network of its own, is alone, or is alike."""
        return self.size if self.shared and self.size > 1 and not self.alike else 0

    def init(self, key: Any, draw: Callable[[Any], Any]) -> Any:
        """The group's network, or its networks [n, ...]: `draw(key)` makes one."""
        return draw(key) if self.shared else jax.vmap(draw)(jax.random.split(key, self.size))

    def each(self, parameter: Any) -> Any:
        """A parameter of every agent [n, ...]."""
        return jnp.broadcast_to(parameter, (self.size, *parameter.shape)) if self.shared else parameter

    def told_apart(self, x: Any) -> Any:
        """Inputs [..., n, D] with the agents' identity, where it is needed: [..., n, D + identity]."""
        return with_identity(x) if self.identity else x

    def __call__(self, net: Callable[[Any], Any], x: Any) -> Any:
        """What every agent's network makes of x [..., n, D]: [..., n, P]."""
        x = self.told_apart(x)
        return net(x) if self.shared else jax.vmap(lambda net, x: net(x), (0, -2), -2)(net, x)

    def step(self, net: Net, carry: Any, x: Any) -> tuple[Any, Any]:
        """One step of every agent: carry [..., n, H], x [..., n, D] -> (carry, output [..., n, P])."""
        x = self.told_apart(x)
        if self.shared:
            return net(carry, x)
        return jax.vmap(lambda net, carry, x: net(carry, x), (0, -2, -2), -2)(net, carry, x)

    def unroll(self, net: Net, carry: Any, x: Any, fresh: Any) -> tuple[Any, Any]:
        """A sequence of every agent: carry [B, n, H], x [L, B, n, D], fresh [L, B] -> (carries, outputs)."""
        x = self.told_apart(x)
        if self.shared:
            return net.unroll(carry, x, fresh[..., None])
        return jax.vmap(lambda net, carry, x: net.unroll(carry, x, fresh), (0, -2, -2), -2)(net, carry, x)


def with_identity(x: Any) -> Any:
    """Arrays [..., n, D] with who is who, [..., n, D + n]."""
    n = x.shape[-2]
    return jnp.concatenate([x, jnp.broadcast_to(jnp.eye(n), (*x.shape[:-1], n))], -1)


def renumbered(nets: Any, shift: int) -> Any:
    """Networks of agents [n, ...] with agent i's given to agent i + shift; what has no agents stays, as encoders do."""

    def roll(x: Any) -> Any:
        if isinstance(x, Encoded):
            return x._replace(nets=renumbered(x.nets, shift))
        return jnp.roll(x, shift, 0) if x.ndim else x

    return jax.tree.map(roll, nets, is_leaf=lambda x: isinstance(x, Encoded))
