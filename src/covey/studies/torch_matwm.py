"""MATWM's world model in eager PyTorch, of the same sizes: `covey bench matwm-torch`.

A step of the world model on a batch of sequences, and imagination from contexts with a cache of keys and values. Its
data is random and it learns nothing of use.
"""

from __future__ import annotations

import itertools
from typing import Any

from covey.algorithms.matwm import MATWM
from covey.studies.torch_maddpg import device, torch

nn, F = torch.nn, torch.nn.functional


def mlp(*sizes: int) -> Any:
    """Affine layers, each but the last with layer normalization and SiLU."""
    *hidden, final = itertools.pairwise(sizes)
    parts = [part for shape in hidden for part in (nn.Linear(*shape), nn.LayerNorm(shape[1]), nn.SiLU())]
    return nn.Sequential(*parts, nn.Linear(*final))


class AgentMlp(nn.Module):
    """`mlp` for each of N agents, as batched products: [N, B, in] -> [N, B, out]."""

    def __init__(self, agents: int, *sizes: int):
        super().__init__()
        shapes = list(itertools.pairwise(sizes))
        self.weights = nn.ParameterList([torch.randn(agents, *s) * (2 / sum(s)) ** 0.5 for s in shapes])
        self.biases = nn.ParameterList([torch.zeros(agents, 1, s[1]) for s in shapes])

    def forward(self, x: Any) -> Any:
        for weight, bias in zip(self.weights[:-1], self.biases[:-1], strict=True):
            x = torch.baddbmm(bias, x, weight)
            x = F.silu(F.layer_norm(x, x.shape[-1:]))
        return torch.baddbmm(self.biases[-1], x, self.weights[-1])


class Block(nn.Module):
    """Attention and a feed-forward network, with normalization behind every sum."""

    def __init__(self, width: int, feedforward: int, heads: int):
        super().__init__()
        self.heads = heads
        self.enter, self.leave = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, feedforward), nn.Linear(feedforward, width)
        self.attended, self.fed = nn.LayerNorm(width), nn.LayerNorm(width)

    def forward(self, x: Any, past: Any, causal: bool) -> tuple[Any, Any]:
        rows, count, width = x.shape
        query, key, value = self.enter(x).view(rows, count, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        if past is not None:
            key, value = torch.cat([past[0], key], 2), torch.cat([past[1], value], 2)
        seen = F.scaled_dot_product_attention(query, key, value, is_causal=causal)
        x = self.attended(x + self.leave(seen.transpose(1, 2).reshape(rows, count, width)))
        return self.fed(x + self.down(F.relu(self.up(x)))), (key, value)


class Transformer(nn.Module):
    """Tokens [B, T, d] behind those of a cache, which is None at the beginning."""

    def __init__(self, width: int, feedforward: int, layers: int, heads: int, positions: int):
        super().__init__()
        self.positions = nn.Parameter(0.02 * torch.randn(positions, width))
        self.entered = nn.LayerNorm(width)
        self.blocks = nn.ModuleList([Block(width, feedforward, heads) for _ in range(layers)])

    def forward(self, x: Any, cache: Any = None) -> tuple[Any, Any]:
        begun = 0 if cache is None else cache[0][0].shape[2]
        x = self.entered(x + self.positions[begun : begun + x.shape[1]])
        after = []
        for i, block in enumerate(self.blocks):
            x, kept = block(x, None if cache is None else cache[i], cache is None)
            after.append(kept)
        return x, after


class Matwm(nn.Module):
    """The world model of an algorithm, with actors that act in it. `learn(count)` and `imagine(count)` do that so many
    times, and wait."""

    def __init__(self, algorithm: MATWM):
        super().__init__()
        model, agents, inner = algorithm.model, algorithm.agents, algorithm.inner
        d, size, choices = model.width, model.latent_size, agents.choices
        self.classes, self.free = model.classes, model.free
        self.actions, self.others = agents.action_size(model.action_scaling), agents.others.shape[1]
        self.choices, self.count = choices, agents.count
        coder, head = [d] * model.encoder_layers, [d] * model.head_layers
        self.encoder, self.decoder = mlp(agents.obs_size, *coder, size), mlp(size, *coder, agents.obs_size)
        self.mixer, self.dynamics = nn.Linear(size + self.actions, d), mlp(d, d, size)
        self.reward, self.continuation = mlp(d, *head, model.bins), mlp(d, *head, 1)
        self.legal = mlp(size, *head, choices)
        self.sequence = Transformer(d, model.feedforward, model.layers, model.heads, algorithm.positions)
        e = model.teammate_width
        self.enter, self.leave = nn.Linear(size, e), nn.Linear(e, self.others * choices)
        self.teammates = Transformer(e, 2 * e, model.teammate_layers, model.heads, algorithm.positions)
        self.to(device())
        self.adam = torch.optim.Adam(self.parameters(), model.lr)
        state, width = model.state_size(agents), inner.width  # type: ignore[attr-defined]
        layers = [width] * inner.layers  # type: ignore[attr-defined]
        self.actor = AgentMlp(agents.count, state, *layers, choices).to(device())
        self.bins = torch.linspace(-model.bound, model.bound, model.bins, device=device())

        sequences, length = algorithm.replay.sequences, algorithm.replay.steps(algorithm.spec)
        imagination = algorithm.imagination
        rows, self.horizon = agents.count * imagination.of_agent(agents.count), imagination.horizon
        self.batch = self.played(sequences, length, agents.obs_size)
        self.context = self.played(rows, imagination.context, agents.obs_size)
        self.offset = torch.arange(rows, device=device()) // (rows // agents.count) * choices

    def played(self, rows: int, length: int, obs: int) -> dict[str, Any]:
        """Random steps, and what was seen after the last."""
        draw = {"device": device()}
        action = torch.randint(self.actions, (rows, length), **draw)
        others = torch.randint(self.choices, (rows, length, self.others), **draw)
        seen, reward = torch.randn(rows, length + 1, obs, **draw), torch.randn(rows, length, **draw)
        return {"obs": seen, "action": F.one_hot(action, self.actions).float(), "reward": reward, "others": others}

    # -------------------------------------------------------------------------------------------------------- its parts

    def chances(self, logits: Any) -> Any:
        """Of latent variables [..., K, C], with a share of the uniform distribution."""
        logits = logits.unflatten(-1, (-1, self.classes))
        return 0.99 * logits.softmax(-1) + 0.01 / self.classes

    def sample(self, chances: Any) -> Any:
        """A latent state, one-hot in each variable, with the gradient of the chances."""
        with torch.no_grad():
            noisy = chances / torch.empty_like(chances).exponential_()
            chosen = F.one_hot(noisy.argmax(-1), self.classes) - chances
        return (chosen + chances).flatten(-2)

    def two_hot(self, x: Any) -> Any:
        """Chances of bins whose mean is a number, on the logarithmic scale."""
        place = torch.sign(x) * torch.log1p(x.abs())
        width = self.bins[1] - self.bins[0]
        return (1 - (place[..., None] - self.bins).abs() / width).clamp(min=0)

    def decoded(self, logits: Any) -> Any:
        """The numbers that logits of bins stand for."""
        mean = logits.softmax(-1) @ self.bins
        return torch.sign(mean) * torch.expm1(mean.abs())

    # -------------------------------------------------------------------------------------------------------- learning

    def loss(self, batch: dict[str, Any]) -> Any:
        posterior = self.chances(self.encoder(batch["obs"]))
        latent = self.sample(posterior)
        now = latent[:, :-1]
        summary, _ = self.sequence(self.mixer(torch.cat([now, batch["action"]], -1)))
        prior = self.chances(self.dynamics(summary))
        reconstruction = ((self.decoder(latent) - batch["obs"]) ** 2).sum(-1).mean()
        reward = -(self.two_hot(batch["reward"]) * self.reward(summary).log_softmax(-1)).sum(-1).mean()
        on = torch.ones_like(batch["reward"])
        continuation = F.binary_cross_entropy_with_logits(self.continuation(summary)[..., 0], on)
        legal = self.legal(now)
        legal = F.binary_cross_entropy_with_logits(legal, torch.ones_like(legal))
        seen, _ = self.teammates(self.enter(now.detach()))
        logits = self.leave(seen).unflatten(-1, (self.others, self.choices))
        team = F.cross_entropy(logits.flatten(0, -2), batch["others"].flatten())
        dynamics = self.divergence(posterior[:, 1:].detach(), prior)
        representation = self.divergence(posterior[:, 1:], prior.detach())
        return reconstruction + reward + continuation + team + 0.5 * (legal + dynamics) + 0.1 * representation

    def divergence(self, p: Any, q: Any) -> Any:
        return (p * (p.log() - q.log())).sum((-1, -2)).clamp(min=self.free).mean()

    def learn(self, count: int) -> None:
        for _ in range(count):
            self.adam.zero_grad()
            self.loss(self.batch).backward()
            nn.utils.clip_grad_norm_(self.adam.param_groups[0]["params"], 1000.0)
            self.adam.step()
        wait()

    # ------------------------------------------------------------------------------------------------------ imagination

    @torch.no_grad()
    def imagine(self, count: int) -> None:
        for _ in range(count):
            self.episode()
        wait()

    def episode(self) -> list[tuple[Any, ...]]:
        context = self.context
        latent = self.sample(self.chances(self.encoder(context["obs"])))
        summary, steps = self.sequence(self.mixer(torch.cat([latent[:, :-1], context["action"]], -1)))
        summary = summary[:, -1]
        seen, shown = self.teammates(self.enter(latent))
        latent, found = latent[:, -1], []
        for _ in range(self.horizon):
            others = self.leave(seen[:, -1]).unflatten(-1, (self.others, self.choices)).softmax(-1).flatten(1)
            state = torch.cat([latent, summary, others], -1)
            legal = self.legal(latent) > 0
            legal |= ~legal.any(-1, keepdim=True)
            logits = self.actor(state.view(self.count, -1, state.shape[-1])).flatten(0, 1)
            logits = logits.masked_fill(~legal, -1e9)
            action = (logits.softmax(-1) / torch.empty_like(logits).exponential_()).argmax(-1)
            chosen = F.one_hot(action + self.offset, self.actions)
            summary, steps = self.sequence(self.mixer(torch.cat([latent, chosen], -1))[:, None], steps)
            summary = summary[:, 0]
            reward = self.decoded(self.reward(summary))
            future = self.continuation(summary)[..., 0].sigmoid()
            found.append((state, legal, action, reward, future))
            latent = self.sample(self.chances(self.dynamics(summary)))
            seen, shown = self.teammates(self.enter(latent)[:, None], shown)
        return found


def wait() -> None:
    """Until what was begun is done."""
    if device().type == "cuda":
        torch.cuda.synchronize()
