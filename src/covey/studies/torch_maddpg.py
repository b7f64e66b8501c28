"""MADDPG in eager PyTorch, for `covey bench torch`: the same update on the same sizes, sampling included.

Written as well as eager mode allows, in two forms: agent by agent, as the PyTorch libraries do it, and with the
agents stacked into batched matrix products. It draws its experience at random and learns nothing of use.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import jax

from covey.core.errors import require_extra

try:
    import torch  # pyright: ignore[reportMissingImports] -- an extra, absent where the types are checked
except ImportError as error:
    raise require_extra("torch", "bench", "the comparison with PyTorch") from error

GAMMA, TAU, CLIP, SLOTS = 0.95, 0.01, 10.0, 100_000


def device() -> Any:
    """Where JAX computes, if this PyTorch can compute there."""
    return torch.device("cuda" if jax.default_backend() == "gpu" and torch.cuda.is_available() else "cpu")


@contextlib.contextmanager
def threads(count: int) -> Iterator[None]:
    """Let PyTorch use `count` threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class Mlp(torch.nn.Module):
    """Two hidden layers for each of some agents: [agents, B, in] -> [agents, B, out]."""

    def __init__(self, agents: int, size: int, width: int, out: int):
        super().__init__()
        shapes = ((size, width), (width, width), (width, out))
        self.weights = torch.nn.ParameterList([torch.randn(agents, *s) * (2 / sum(s)) ** 0.5 for s in shapes])
        self.biases = torch.nn.ParameterList([torch.zeros(agents, 1, s[1]) for s in shapes])

    def forward(self, x: Any) -> Any:
        for weight, bias in zip(self.weights[:-1], self.biases[:-1], strict=True):
            x = torch.relu(torch.baddbmm(bias, x, weight))
        return torch.baddbmm(self.biases[-1], x, self.weights[-1])


class Block:
    """Some agents that are computed together: actors, critics, their targets and optimizers."""

    def __init__(self, agents: range, team: int, obs: int, action: int, width: int):
        def nets() -> tuple[Mlp, Mlp]:
            count = len(agents)
            return Mlp(count, obs, width, action).to(device()), Mlp(count, team * (obs + action), width, 1).to(device())

        self.agents = agents
        self.actor, self.critic = nets()
        self.target_actor, self.target_critic = nets()
        self.target_actor.load_state_dict(self.actor.state_dict())
        self.target_critic.load_state_dict(self.critic.state_dict())
        self.actor_adam = torch.optim.Adam(self.actor.parameters(), 1e-3)
        self.critic_adam = torch.optim.Adam(self.critic.parameters(), 3e-3)

    def of(self, x: Any) -> Any:
        """The part of [n, ...] that belongs to these agents."""
        return x[self.agents.start : self.agents.stop]

    def together(self, x: Any) -> Any:
        """What everybody sees or does, [n, B, D] or [agents, n, B, D], as the critics take it: [agents, B, n·D]."""
        x = x.expand(len(self.agents), *x.shape[-3:])
        return x.transpose(1, 2).flatten(2)


class Maddpg:
    """`agents` agents with observations of `obs` numbers and actions in [-1, 1] of `action` numbers."""

    def __init__(self, agents: int, obs: int, action: int, width: int, batch: int, *, stacked: bool):
        together = [range(agents)] if stacked else [range(i, i + 1) for i in range(agents)]
        self.blocks = [Block(block, agents, obs, action, width) for block in together]
        self.batch = batch
        self.own = torch.eye(agents, dtype=torch.bool, device=device())[:, :, None, None]
        self.obs = torch.randn(SLOTS + 1, agents, obs, device=device())
        self.action = torch.rand(SLOTS, agents, action, device=device()) * 2 - 1
        self.reward = torch.randn(SLOTS, agents, device=device())

    def __call__(self, updates: int) -> None:
        """Do some updates, and wait for them."""
        for _ in range(updates):
            self.update()
        if device().type == "cuda":
            torch.cuda.synchronize()

    def update(self) -> None:
        slot = torch.randint(SLOTS, (self.batch,), device=device())
        obs, action, upcoming = (x.transpose(0, 1) for x in (self.obs[slot], self.action[slot], self.obs[slot + 1]))
        reward = self.reward[slot].T
        with torch.no_grad():
            upcoming_action = torch.cat([torch.tanh(b.target_actor(b.of(upcoming))) for b in self.blocks])
        for block in self.blocks:
            with torch.no_grad():
                future = block.target_critic(joint(block, upcoming, upcoming_action))[..., 0]
                target = block.of(reward) + GAMMA * future
            value = block.critic(joint(block, obs, action))[..., 0]
            descend(block.critic, block.critic_adam, ((target - value) ** 2).mean(1).sum())
        with torch.no_grad():
            current = torch.cat([torch.tanh(b.actor(b.of(obs))) for b in self.blocks])
        for block in self.blocks:
            own = torch.tanh(block.actor(block.of(obs)))
            everybody = torch.where(block.of(self.own), own[:, None], current)
            block.critic.requires_grad_(False)
            gain = block.critic(joint(block, obs, everybody)).mean(1).sum()
            descend(block.actor, block.actor_adam, -gain)
            block.critic.requires_grad_(True)
            follow(block.target_actor, block.actor)
            follow(block.target_critic, block.critic)


def joint(block: Block, obs: Any, action: Any) -> Any:
    return torch.cat([block.together(obs), block.together(action)], -1)


def descend(net: Any, optimizer: Any, loss: Any) -> None:
    optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(net.parameters(), CLIP)
    optimizer.step()


@torch.no_grad()
def follow(target: Any, online: Any) -> None:
    """Soft update of a target network."""
    for slow, fast in zip(target.parameters(), online.parameters(), strict=True):
        slow.lerp_(fast, TAU)
