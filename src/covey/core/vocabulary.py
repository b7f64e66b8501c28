"""What settings are called elsewhere in the field, and what covey calls them: for `did you mean`.

The names are those of CleanRL, Stable-Baselines3, RLlib, PyMARL, and the authors' scripts of MADDPG and MAPPO.
"""

from __future__ import annotations

from collections.abc import Iterable

from covey.core.errors import BadInput, unknown

USUAL_NAMES: dict[str, str] = {
    # learning
    "lr actor-lr critic-lr": "lr learning-rate learning-rates alpha initial-lr adam-lr",
    "actor-lr actors.lr lr": "lr-actor policy-lr pi-lr actor-learning-rate lr-pi",
    "critic-lr critics.lr values.lr lr": "lr-critic q-lr vf-lr value-lr critic-learning-rate lr-q lr-v",
    "anneal actor-lr.end critic-lr.end": "anneal-lr lr-decay lr-schedule use-linear-lr-decay",
    "gamma": "discount discount-factor discount-rate",
    "tau": "polyak soft-update target-update-rate target-update-tau",
    "period tau": "target-update-interval target-network-frequency target-update-freq",
    "delay": "policy-delay policy-frequency actor-delay policy-freq",
    "smoothing": "target-noise target-policy-noise policy-noise",
    "smoothing-bound": "noise-clip target-noise-clip",
    "lam": "gae-lambda gae-lam lambda td-lambda gae",
    "clip": "clip-coef clip-range clip-param clip-ratio clip-eps eps-clip",
    "clip-value": "clip-vloss clip-range-vf use-clipped-value-loss",
    "max-norm clip": "max-grad-norm grad-norm-clip grad-clip gradient-clip clip-grad",
    "entropy": "ent-coef entropy-coef entropy-coeff entropy-bonus ent-coeff",
    "huber": "huber-delta",
    "normalize": "use-feature-normalization norm-obs layer-norm",
    "scale-rate": "use-valuenorm use-popart popart",
    # batches and rollouts
    "replay.batch minibatches": "batch batch-size train-batch-size mini-batch-size minibatch-size",
    "minibatches": "num-minibatches num-mini-batch n-minibatches",
    "replay.capacity": "buffer buffer-size replay-size buffer-capacity memory-size replay-buffer-size",
    "warmup": "learning-starts start-steps warmup-steps random-steps initial-random-steps",
    "epochs updates": "epoch n-epochs num-epochs update-epochs ppo-epoch num-sgd-iter k-epochs",
    "updates epochs": "gradient-steps utd-ratio utd n-updates num-updates updates-per-step",
    "horizon": "train-freq n-steps rollout-length rollout-fragment-length unroll-length t-horizon",
    "horizon steps": "num-steps nsteps",
    # networks
    "width": "hidden hidden-size hidden-dim hidden-sizes hidden-units num-units net-arch n-hidden units-per-layer",
    "layers": "layer-n num-layers n-layers hidden-layers depth",
    "units": "rnn-hidden-dim lstm-size gru-size use-recurrent-policy recurrent rnn use-rnn",
    "critic.heads": "n-heads num-heads attend-heads k-heads",
    "shared shared-actor": "share-policy share-param parameter-sharing share-parameters",
    # exploration
    "epsilon exploration.sigma": "epsilon eps exploration noise sigma exploration-noise act-noise noise-std",
    "epsilon.start exploration.sigma.start": "epsilon-start eps-start start-e exploration-initial-eps",
    "epsilon.end exploration.sigma.end": "epsilon-end epsilon-finish eps-end end-e exploration-final-eps",
    "epsilon.steps exploration.sigma.steps": "epsilon-anneal-time exploration-fraction eps-decay epsilon-decay",
    # runs
    "steps": "total-timesteps timesteps total-steps num-env-steps train-steps t-max num-timesteps num-episodes",
    "steps env.time-limit": "max-steps",
    "envs": "num-envs n-envs n-rollout-threads num-lanes lanes parallel-envs batch-size-run num-environments",
    "env.workers envs": "num-workers workers n-workers num-cpus num-env-runners",
    "seed": "random-seed rng-seed",
    "seeds": "num-seeds n-seeds runs",
    "evaluate-every": "eval-interval eval-freq eval-every evaluation-interval test-interval eval-frequency",
    "episodes": "eval-episodes n-eval-episodes num-eval-episodes test-nepisode test-episodes",
    "keep-every checkpoint-every-s": "save-interval save-freq save-every checkpoint-interval checkpoint-freq save-rate",
    "chunk": "log-interval log-every log-freq print-every",
    "out": "log-dir logdir save-dir run-dir output-dir out-dir results-dir exp-name run-name output",
    "resume": "continue restore load-checkpoint restart",
    "tracker": "track wandb use-wandb tensorboard use-tensorboard logger mlflow",
    "quiet": "verbose verbosity silent",
    # environments
    "env.time-limit": "max-cycles episode-length episode-limit max-episode-length max-episode-len max-episode-steps",
    "env.agents": "num-agents n-agents n-agent num-players",
}
"""Ours (which of them exist depends on the algorithm; the likeliest first), and what else the same thing is called."""

_OURS: dict[str, list[str]] = {}
"""By every name, ours included: one algorithm has `epochs` where another has `updates`."""
for _ours, _theirs in USUAL_NAMES.items():
    for _name in (*_theirs.split(), *_ours.split()):
        _OURS.setdefault(_name, []).extend(_ours.split())


def meant(name: str, known: Iterable[str]) -> list[str]:
    """Which of `known` may be meant by a `name` that the field uses: at most two, the likeliest first.

    All are spelled with `-`. Settings of parts are known by their own names too: `heads` may mean `critic.heads`.
    """
    names = list(known)
    part, _, own = name.lower().rpartition(".")
    aims = [*_OURS.get(own, ()), own]
    found = [aim for aim in aims if aim in names]
    found += [inside for aim in aims for inside in names if inside.endswith(f".{aim}")] if not found or part else []
    return [x for x in dict.fromkeys(found) if x.startswith(f"{part}." if part else "")][:2]


def unknown_setting(what: str, name: str, known: Iterable[str]) -> BadInput:
    """As `unknown`, for a setting: what covey calls the thing that has this `name` elsewhere comes first.

    `name` and `known` are options (`--learning-rate`), or names as in Python (`learning_rate`).
    """
    names = list(known)
    plain = {spelled.lstrip("-").replace("_", "-"): spelled for spelled in names}
    word = name.lstrip("-").replace("_", "-")
    near = [plain[found] for found in meant(word, plain)]
    if near:
        return BadInput(f"{what} {name!r} is unknown; did you mean {' or '.join(map(repr, near))}?")
    if word.lower().rpartition(".")[2] in _OURS:
        return BadInput(f"{what} {name!r} is unknown, and nothing here has the same meaning.")
    return unknown(what, name, names)
