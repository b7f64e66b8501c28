"""Trials: several algorithms on the same episodes of one world, the table that sets them side by side, and
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
from covey.runs.train import train
from covey.studies.statistics import Interval, mean


class Trial(NamedTuple):
    """An algorithm in a table: an object, or an id. Without `steps` it does not train; `envs` lanes of each seed; every
    `keep` steps what acts is kept, None: never."""

    label: str
    algorithm: Algorithm | str
    steps: int = 0
    envs: int = 1
    keep: int | None = None


class Outcome(NamedTuple):
    """What a trial gave: per metric [S, episodes], on the same episodes as every other trial of its table."""

    label: str
    knows: str
    values: dict[str, np.ndarray]
    replay: Callable[[int], Episode]
    """The first of these episodes of a seed, step by step."""
    folder: Path | None = None

    @property
    def run(self) -> Path:
        """The run folder of a learner."""
        assert self.folder is not None, f"{self.label} was not trained"
        return self.folder

    @property
    def return_metric(self) -> str:
        """The mean return of the agents of the first group."""
        return next(name for name in self.values if name.endswith("/mean_agent"))

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
        say(f"· {trial.label}" + (f": {trial.steps:,} steps x {seeds} seeds" if trial.steps else ""))
        play = _trained if trial.steps else _ruled
        outcomes[trial.label] = play(
            trial, environment, seeds=seeds, episodes=episodes, out=out, evaluations=evaluations
        )
    return outcomes


def _trained(trial: Trial, environment: Any, *, seeds: int, episodes: int, out: Path, evaluations: int) -> Outcome:
    result = train(
        trial.algorithm,
        environment,
        steps=trial.steps,
        seeds=seeds,
        envs=trial.envs,
        episodes=episodes,
        evaluate_every=max(trial.steps // evaluations, 1),
        keep_every=trial.keep,
        out=out / trial.label.replace(" ", "-").replace("/", "-"),
        resume=True,
        quiet=True,
    )

    def replay(seed: int) -> Episode:
        policy = load(result.folder, seed, environment)
        key = evaluation_keys(FINAL, seeds)[seed]
        return record(evaluation_world(environment), policy.algorithm, policy.state, key, step=policy.step)

    return Outcome(trial.label, LEARNER, result.evaluation.values, replay, result.folder)


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
    lines = [line for line in journal.read(outcome.run) if line.kind == "evaluation" and metric in line.values]
    return np.array([line.step for line in lines]), np.stack([line.values[metric] for line in lines])


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
