"""An update of LAMARL in eager PyTorch, of the same sizes: `covey bench swarm-torch`.

One actor and one critic for all robots, a batch of rows from a replay of rows, Adam, soft targets, and the mean
distance to the prior's actions, which are kept beside the steps. Its data is random and it learns nothing of use.
"""

from __future__ import annotations

import copy
import itertools
from typing import Any

from covey.studies.torch_maddpg import device, follow, torch

GAMMA, ALPHA, SLOTS = 0.99, 0.03, 60_000


def network(size: int, width: int, layers: int, out: int) -> Any:
    """A network with so many hidden layers."""
    shapes = [size, *[width] * layers]
    hidden = [
        part
        for before, after in itertools.pairwise(shapes)
        for part in (torch.nn.Linear(before, after), torch.nn.ReLU())
    ]
    return torch.nn.Sequential(*hidden, torch.nn.Linear(width, out)).to(device())


class Lamarl:
    """The learner; the arguments are the fields of `covey.studies.bench_swarm:Sizes`."""

    def __init__(self, rows: int, obs: int, action: int, width: int, layers: int):
        self.rows = rows
        self.actor, self.critic = network(obs, width, layers, action), network(obs + action, width, layers, 1)
        self.target_actor, self.target_critic = copy.deepcopy(self.actor), copy.deepcopy(self.critic)
        self.actor_adam = torch.optim.Adam(self.actor.parameters(), 1e-4)
        self.critic_adam = torch.optim.Adam(self.critic.parameters(), 1e-3)
        self.obs = torch.randn(SLOTS + 1, obs, device=device())
        self.action = torch.rand(SLOTS, action, device=device()) * 2 - 1
        self.prior = torch.rand(SLOTS, action, device=device()) * 2 - 1
        self.reward = torch.randn(SLOTS, device=device())

    def __call__(self, updates: int) -> None:
        """Do some updates, and wait for them."""
        for _ in range(updates):
            self.update()
        if device().type == "cuda":
            torch.cuda.synchronize()

    def update(self) -> None:
        """A step of the critic, one of the actor, and one of the targets."""
        slot = torch.randint(SLOTS, (self.rows,), device=device())
        obs, action, upcoming = self.obs[slot], self.action[slot], self.obs[slot + 1]
        with torch.no_grad():
            following = torch.tanh(self.target_actor(upcoming))
            future = self.target_critic(torch.cat([upcoming, following], -1))[:, 0]
            target = self.reward[slot] + GAMMA * future
        value = self.critic(torch.cat([obs, action], -1))[:, 0]
        descend(self.critic_adam, ((target - value) ** 2).mean())
        own, prior = torch.tanh(self.actor(obs)), self.prior[slot]
        self.critic.requires_grad_(False)
        gain = self.critic(torch.cat([obs, own], -1)).mean()
        pulls = (prior.abs().amax(-1) >= 0.01).float()
        distance = (((own - prior) ** 2).mean(-1) * pulls).sum() / pulls.sum().clamp(min=1.0)
        descend(self.actor_adam, ALPHA * distance - gain)
        self.critic.requires_grad_(True)
        follow(self.target_actor, self.actor)
        follow(self.target_critic, self.critic)


def descend(optimizer: Any, loss: Any) -> None:
    """A step of an optimizer, with no bound on the gradient."""
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
