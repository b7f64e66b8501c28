"""Trials: several algorithms on the same episodes of one environment, the table that sets them side by side, and
their learning curves."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from covey import algorithms
from covey.core.algorithm import Algorithm
from covey.core.environment import evaluation_world
from covey.runs import journal, plots, tables
from covey.runs.compare import LEARNER, knows
from covey.runs.episode import Episode, record
from covey.runs.evaluate import FINAL, evaluation_keys, player
from covey.runs.policy import load
from covey.runs.session import Result
from covey.runs.train import train
from covey.studies.statistics import Interval, mean


class Trial(NamedTuple):
    """An algorithm in a table: an object, or an id. Without `steps` it does not train; `envs` lanes of each seed; every
    `keep` steps what acts is kept, None: never; `apart`: seeds train one after the other (`one_by_one`)."""

    label: str
    algorithm: Algorithm | str
    steps: int = 0
    envs: int = 1
    keep: int | None = None
    apart: bool = False


class Outcome(NamedTuple):
    """What a trial gave: per metric [S, episodes], on the same episodes as every other trial of its table."""

    label: str
    knows: str
    values: dict[str, np.ndarray]
    replay: Callable[[int], Episode]
    """The first of these episodes of a seed, step by step."""
    folders: tuple[Path, ...] = ()
    """The run folders of a learner: one of all seeds, or one of each."""

    @property
    def run(self) -> Path:
        """The run folder of a learner whose seeds were trained together."""
        assert len(self.folders) == 1, f"{self.label} has {len(self.folders)} run folders"
        return self.folders[0]

    @property
    def return_metric(self) -> str:
        """The mean return of the agents of the first group."""
        return next(x for x in self.values if x.startswith("return/") and x.endswith("/mean_agent"))

    @property
    def per_step(self) -> np.ndarray:
        """Mean reward per step and agent of the first group, per seed [S]."""
        return (self.values[self.return_metric] / self.values["steps/episode"]).mean(1)

    def per_seed(self, metric: str) -> np.ndarray:
        return self.values[metric].mean(1)


def run(
    trials: Sequence[Trial],
    environment: Any,
    *,
    seeds: int,
    episodes: int,
    out: Path,
    evaluations: int = 20,
    say: Callable[[str], None] = print,
) -> dict[str, Outcome]:
    """Train what has to be trained (in `out/<label>`, resumed if it is there) and play everything. By label."""
    outcomes = {}
    for trial in trials:
        if not trial.apart:
            say(f"· {trial.label}" + (f": {trial.steps:,} steps x {seeds} seeds" if trial.steps else ""))
        play = partial(_trained, say=say) if trial.steps else _ruled
        outcomes[trial.label] = play(
            trial, environment, seeds=seeds, episodes=episodes, out=out, evaluations=evaluations
        )
    return outcomes


def slug(label: str) -> str:
    """A label as the name of a folder."""
    return label.replace(" ", "-").replace("/", "-")


def one_by_one(
    label: str, algorithm: Algorithm | str, environment: Any, *, seeds: int, out: Path, say: Callable, **how: Any
) -> list[Result]:
    """Train one seed after the other, each in `out/<label>/seed-<k>`; what is there is not trained again. `how`: more
    of `train`.

    One program for all seeds takes longer on CPUs, because networks of several seeds are no plain matrix products.
    """
    results = []
    for seed in range(seeds):
        say(f"· {label}, seed {seed}: {how['steps']:,} steps")
        folder = out / slug(label) / f"seed-{seed}"
        results.append(train(algorithm, environment, seed=seed, out=folder, resume=True, quiet=True, **how))
    return results


def _trained(
    trial: Trial, environment: Any, *, seeds: int, episodes: int, out: Path, evaluations: int, say: Callable
) -> Outcome:
    how: dict[str, Any] = {
        "steps": trial.steps,
        "envs": trial.envs,
        "episodes": episodes,
        "evaluate_every": max(trial.steps // evaluations, 1),
        "keep_every": trial.keep,
    }
    if trial.apart:
        results = one_by_one(trial.label, trial.algorithm, environment, seeds=seeds, out=out, say=say, **how)
    else:
        folder = out / slug(trial.label)
        how |= {"seeds": seeds, "out": folder, "resume": True, "quiet": True}
        results = [train(trial.algorithm, environment, **how)]

    def replay(seed: int) -> Episode:
        result, own = (results[seed], 0) if trial.apart else (results[0], seed)
        policy = load(result.folder, own, environment)
        key = evaluation_keys(FINAL, 1 if trial.apart else seeds)[own]
        return record(evaluation_world(environment), policy.algorithm, policy.state, key, step=policy.step)

    values = jax.tree.map(lambda *x: np.concatenate(x), *(result.evaluation.values for result in results))
    return Outcome(trial.label, LEARNER, values, replay, tuple(result.folder for result in results))


def _ruled(trial: Trial, environment: Any, *, seeds: int, episodes: int, out: Path, evaluations: int) -> Outcome:
    del out, evaluations
    world = evaluation_world(environment)
    rule = algorithms.make(trial.algorithm, world) if isinstance(trial.algorithm, str) else trial.algorithm
    keys = evaluation_keys(FINAL, seeds)
    states = jax.vmap(partial(rule.init, lanes=episodes))(keys)
    values = player(world, rule, episodes)(states, keys, 0)

    def replay(seed: int) -> Episode:
        return record(world, rule, jax.tree.map(lambda x: x[seed], states), keys[seed])

    return Outcome(trial.label, knows(rule), values, replay)


def curve(outcome: Outcome, metric: str) -> tuple[np.ndarray, np.ndarray]:
    """Evaluations on the way: steps [P] and values [P, S]."""
    found = [
        [line for line in journal.read(folder) if line.kind == "evaluation" and metric in line.values]
        for folder in outcome.folders
    ]
    values = np.concatenate([np.stack([line.values[metric] for line in lines]) for lines in found], 1)
    return np.array([line.step for line in found[0]]), values


def at(outcome: Outcome, metric: str, step: int) -> np.ndarray:
    """The evaluation of this step, or the first one after it [S]."""
    steps, values = curve(outcome, metric)
    return values[np.searchsorted(steps, step)]


def learning_curves(
    title: str, learners: Mapping[str, Outcome], outcomes: Mapping[str, Outcome], lines: Sequence[str]
) -> Any:
    """Reward per step of the learners over training, with rules and bounds as lines."""
    curves = {}
    for name, outcome in learners.items():
        steps, returns = curve(outcome, outcome.return_metric)
        curves[name] = (steps, returns / curve(outcome, "steps/episode")[1])
    levels = {line: float(outcomes[line].per_step.mean()) for line in lines if line in outcomes}
    return plots.curves(title, curves, levels, "environment steps", "reward per step")


Cell = Interval | str | None
"""Of a table."""


class Column(NamedTuple):
    """A column of a table: per outcome, a number per seed [S] (shown as a mean with its interval), or text."""

    title: str
    value: Callable[[Outcome], np.ndarray | str | Interval | None]
    digits: int = 3


def table(title: str, outcomes: Mapping[str, Outcome], columns: Sequence[Column], out: Path) -> list[list[str]]:
    """Print the outcomes, and write them to `out` as `table.md` (appended to) and `results.json`."""
    values = [[_value(column.value(outcome)) for column in columns] for outcome in outcomes.values()]
    return write_table(title, [column.title for column in columns], values, [column.digits for column in columns], out)


def write_table(
    title: str, titles: Sequence[str], values: Sequence[Sequence[Cell]], digits: Sequence[int], out: Path
) -> list[list[str]]:
    """`table`, of rows of cells; `titles` and `digits` are those of the columns."""
    rows = [[_cell(x, places) for x, places in zip(row, digits, strict=True)] for row in values]
    numbers = [any(isinstance(x, Interval) for x in of_column) for of_column in zip(*values, strict=True)]
    heads = [tables.Column(name, right=right) for name, right in zip(titles, numbers, strict=True)]
    tables.show(tables.Table(tuple(heads), rows, title))
    out.mkdir(parents=True, exist_ok=True)
    with open(out / "table.md", "a") as file:
        file.write(
            f"\n{title}\n\n"
            + "\n".join("| " + " | ".join(row) + " |" for row in [titles, ["---"] * len(titles), *rows])
        )
        file.write("\n")
    with open(out / "results.json", "a") as file:
        plain = [[x._asdict() if isinstance(x, Interval) else x for x in row] for row in values]
        file.write(json.dumps({"title": title, "columns": list(titles), "rows": rows, "values": plain}) + "\n")
    return rows


def _value(value: Any) -> Cell:
    """Numbers per seed [S] as their mean and interval."""
    return value if value is None or isinstance(value, (str, Interval)) else mean(np.asarray(value))


def _cell(value: Cell, digits: int) -> str:
    return value.text(digits) if isinstance(value, Interval) else value or ""
