"""One run in progress: everything the host holds beside the `Run` on the device."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from covey.core import faults
from covey.core.algorithm import Algorithm
from covey.core.errors import Diverged
from covey.core.interrupts import interruptible
from covey.core.loop import Interrupted, compiled, hosted, learns
from covey.core.optional import offered
from covey.core.types import Run
from covey.runs import checkpoint, journal, memory, trust
from covey.runs import config as configs
from covey.runs.begin import ENVIRONMENT, HostFacts, Pace, identity
from covey.runs.config import Config
from covey.runs.evaluate import FINAL, Evaluation, evaluation_keys, evaluator, table
from covey.runs.files import write_atomically
from covey.runs.journal import Journal, Line
from covey.runs.live import Patience, Progress, Speed, View, spread
from covey.runs.signals import Request, Stopped


class Result(NamedTuple):
    """What a run leaves: its folder, `summary.json` as a mapping, and every episode of the final evaluation."""

    folder: Path
    summary: dict[str, Any]
    evaluation: Evaluation

    def __repr__(self) -> str:
        """One line: what was trained, how long, what the final evaluation says, and where it is."""
        about, numbers, count = self.summary, self.evaluation.per_seed(), len(self.summary["seeds"])
        returns = [f"{name} {spread(numbers[name])}" for name in numbers if name.startswith("return/")]
        what = f"{about['algorithm']} in {about['environment']}, {about['steps']:,} steps"
        what += f" x {count} seeds" * (count > 1)
        return f"<{what}: {', '.join(returns)}; {self.folder}>"


class Session:
    """Advances a run chunk by chunk. Every decision falls on the end of a chunk."""

    def __init__(
        self, config: Config, folder: Path, run: Run, facts: HostFacts, log: Journal, screen: View, request: Request
    ):
        self.config, self.folder, self.log, self.screen, self.request = config, folder, log, screen, request
        self.run, self.step = run, int(run.step)
        self.pace, self.train_s = facts
        self.begun_at = self.step
        self.compile_s = self.evaluation_s = 0.0
        self.speed, self.patience = Speed(), Patience(screen)
        self.saved_at, self.saved_time = (self.step if self.step else None), time.monotonic()
        if config.hosted:  # it stays in this thread
            self.chunk = self.play = hosted(config.environment, config.algorithm, self.patience)
        else:
            self.chunk = compiled(config.environment, config.algorithm)
            self.play = interruptible(self.chunk, self.patience)
        self.evaluator = evaluator(config.environment, config.algorithm, config.episodes, self.between)
        self.all_finite = _finite_check(config.algorithm)
        self.identity = identity(config)
        self.warm_at = _round_up(warmup(config.algorithm), config.iteration)

    def to_the_end(self) -> Result:
        """Train until the last step, and evaluate. Asked to stop, it saves what there is and raises `Stopped`."""
        try:
            self.train()
            return self.finish()
        except Stopped as stopped:
            stopped.sentence = self.farewell()
            raise

    def train(self) -> None:
        """Chunks until the last step; every decision falls on the end of a chunk. Evaluations begin with step 0."""
        if self.owes_evaluation():
            self.evaluate_on_the_way()
        if self.step < self.config.end:
            self.compile()
        while self.step < self.config.end:
            self.request.obey()
            self.advance()
            if self.due(self.config.keep_every):
                self.keep()
            if self.due(self.config.evaluate_every):
                self.evaluate_on_the_way()
            self.request.obey()
            if self.step >= self.config.end or self.saving_due():
                self.save()

    def between(self) -> None:
        """What is done again and again while something takes its time, and can be left."""
        self.request.obey()
        self.patience()

    def compile(self) -> None:
        """Compile the chunk by running none of its iterations."""
        began = time.perf_counter()
        self.patience.begin("compiling the program that trains")
        self.run, _ = interruptible(self.chunk, self.between)(self.run, 0)
        self.compile_s = time.perf_counter() - began
        self.screen.note(f"compiled in {self.compile_s:.1f} s.")

    def advance(self) -> None:
        """One chunk, reported and checked."""
        iterations, before = self.next_length(), self.step
        self.patience.begin(f"{iterations * self.config.iteration:,} steps of each seed until the next report")
        began = time.perf_counter()
        try:
            with self.request.answering("stopping after this chunk, with everything saved"):
                self.run, means = self.play(self.run, iterations)
        except Interrupted as interrupted:
            self.run, self.step = interrupted.run, int(interrupted.run.step)
            self.rescue("environment")
            raise (interrupted.__cause__ or interrupted) from None
        values = {name: np.asarray(x, float) for name, x in jax.device_get(means).items()}
        firsts = before + values.pop(faults.NAME)
        seconds = time.perf_counter() - began
        self.step = int(self.run.step)
        self.train_s += seconds
        self.speed.add(self.step - before, seconds)
        if before < self.warm_at <= self.step:  # what follows takes longer
            self.speed = Speed()
        self.demand_no_fault(firsts)
        self.demand_finite(before)
        self.pace = self.next_pace(before, iterations, seconds)
        self.report("train", values)

    def next_pace(self, before: int, iterations: int, seconds: float) -> Pace:
        """The pace after a chunk. The first chunk of a process tells nothing, nor does one before learning sets in."""
        if self.config.chunk is None and before < self.warm_at <= self.step:
            return Pace()
        return self.pace if before == self.begun_at else self.pace.after(iterations, seconds)

    def next_length(self) -> int:
        """Iterations of the next chunk: the pace, but never across an evaluation, the end or the end of warm-up."""
        stops = [self.next(self.config.evaluate_every), self.next(self.config.keep_every)]
        stops += [self.warm_at] * (self.step < self.warm_at)
        return min(self.pace.length, (min(stops) - self.step) // self.config.iteration)

    def report(self, kind: str, values: Mapping[str, np.ndarray]) -> None:
        line = Line(self.step, kind, self.train_s, dict(values))
        speed = self.speed.steps_per_s
        if kind == "train" and speed is not None:
            line.values["time/steps_per_s"] = np.array([speed * self.config.seeds])
        self.log.write(line)
        self.screen.report(line, Progress(self.step, self.config.end, self.config.seeds, speed))

    def demand_no_fault(self, firsts: np.ndarray) -> None:
        """BadInput where the environment showed something that is not finite: first steps [S, K]."""
        cause = faults.cause(firsts, self.config.environment.spec, learns(self.run))
        if cause is not None:
            where = f"in step {cause.step:,} of seed {self._seeds(cause.seeds)}"
            raise cause.error(self.config.environment.spec, where, f" ({self._kept()})")

    def demand_finite(self, before: int) -> None:
        """`Diverged` where a seed's parameters are no longer finite; the checkpoints stay as they are."""
        fine = self.all_finite(self.run.agent)
        if not fine.all():
            raise Diverged(
                f"the parameters of seed {self._seeds(np.flatnonzero(~fine))} stopped being finite between steps "
                f"{before:,} and {self.step:,} ({self._kept()}): lower the learning rates or clip more, and train "
                "again."
            )

    def _seeds(self, places: Iterable[int]) -> str:
        return ", ".join(str(self.config.seed + int(place)) for place in places)

    def _kept(self) -> str:
        kept = "no checkpoint was written yet" if self.saved_at is None else f"step {self.saved_at:,} is saved"
        return f"{kept} in {self.folder}"

    def next(self, every: int | None) -> int:
        """The step of the next whole iteration at which what comes `every` steps is due; the end at the latest."""
        if every is None:
            return self.config.end
        return min(_round_up((self.step // every + 1) * every, self.config.iteration), self.config.end)

    def due(self, every: int | None) -> bool:
        """Is it due now?"""
        return every is not None and self.step // every > (self.step - self.config.iteration) // every

    # ---------------------------------------------------------------------------------------------------- evaluation

    def owes_evaluation(self) -> bool:
        """Was an evaluation due at this step, and not played because the run was stopped?"""
        played = {line.step for line in journal.read(self.folder) if line.kind == "evaluation"}
        return self.due(self.config.evaluate_every) and self.step not in played

    def evaluate_on_the_way(self) -> None:
        environment = self.config.environment
        if not self.config.hosted or offered(environment, "evaluation"):
            evaluation = self.evaluate(self.number())
        elif self._can_save_environment():
            paused = environment.save()
            try:
                evaluation = self.evaluate(self.number())
            except Stopped:
                environment.restore(paused)
                raise
            environment.restore(paused)
        else:
            self.screen.note("not evaluated here: that would end the episodes of an environment that cannot be saved.")
            return
        self.report("evaluation", evaluation.per_seed())

    def number(self) -> int:
        """The number of the evaluation that is due: how many there are up to this step."""
        assert self.config.evaluate_every is not None
        return self.step // self.config.evaluate_every

    def evaluate(self, number: int) -> Evaluation:
        """Evaluation number `number`; the number alone decides the episodes."""
        began = time.perf_counter()
        self.patience.begin("evaluating")
        try:
            evaluation = self.evaluator(self.run.agent, evaluation_keys(number, self.config.seeds), self.step)
        except Exception:
            self.rescue("evaluation")
            raise
        self.evaluation_s += time.perf_counter() - began
        return evaluation

    # -------------------------------------------------------------------------------------------------------- saving

    def saving_due(self) -> bool:
        return time.monotonic() - self.saved_time >= self.config.checkpoint_every_s

    def save(self, world: bool = True) -> None:
        """A checkpoint; without the environment where that cannot be saved, or shall not (`world`) because it
        failed."""
        there = world and self.config.hosted and self._can_save_environment()
        kept = self.config.environment.save() if there else None
        host = {"pace": list(self.pace), "train_s": self.train_s}
        host |= {} if kept is None else {"seal": trust.seal(ENVIRONMENT, kept)}
        place, versions = self.folder / checkpoint.CHECKPOINTS, configs.versions()
        checkpoint.save(place, self.run, self.identity, versions, host, kept)
        self.saved_at, self.saved_time = self.step, time.monotonic()

    def keep(self) -> None:
        """What acts, for good."""
        acting = checkpoint.Player(self.config.algorithm.acting(self.run.agent), self.run.step)
        place, versions = self.folder / checkpoint.POLICIES, configs.versions()
        checkpoint.save(place, acting, self.identity, versions, {}, keep=None)

    def rescue(self, what: str) -> None:
        """Save what was learned before `what` failed."""
        if self.saved_at != self.step:
            self.save(world=False)
        self.screen.note(f"the {what} failed; step {self.step:,} is saved: {self._go_on()}.")

    def farewell(self) -> str:
        """Save what is not saved yet, and say how to go on."""
        with self.request.saving():
            if self.step and self.saved_at != self.step:
                self.save()
        sentence = f"stopped at step {self.step:,} with everything saved: {self._go_on()}."
        if not self.step:
            sentence = "stopped before the first step was done: there is nothing to save yet."
        self.screen.note(sentence)
        return sentence

    def _can_save_environment(self) -> bool:
        return all(offered(self.config.environment, name) for name in ("save", "restore"))

    def _go_on(self) -> str:
        return f"go on with `covey train --resume --out {self.folder}`"

    def finish(self) -> Result:
        """The final evaluation, every episode of it in `evaluation.csv`, and `summary.json`."""
        evaluation = self.evaluate(FINAL)
        write_atomically(self.folder / "evaluation.csv", table(evaluation, self.config.seed).encode())
        summary = self.summary(evaluation)
        write_atomically(self.folder / "summary.json", json.dumps(summary, indent=1).encode())
        self.screen.note(f"done: {self.folder / 'summary.json'}")
        return Result(self.folder, summary, evaluation)

    def summary(self, evaluation: Evaluation) -> dict[str, Any]:
        """What `summary.json` says."""
        config, about = self.config, evaluation.about
        return {
            "algorithm": config.origin.algorithm or type(config.algorithm).__name__,
            "environment": config.origin.environment or config.environment.spec.name,
            "seeds": list(range(config.seed, config.seed + config.seeds)),
            "steps": self.step,
            "episodes": config.episodes,
            "evaluation": evaluation.summary(),
            "reference": None if about is None else about._asdict() | {"evaluation": evaluation.reference_summary()},
            "time": {
                "compile_s": self.compile_s,
                "train_s": self.train_s,
                "evaluation_s": self.evaluation_s,
                "steps_per_s": self.step * config.seeds / self.train_s if self.train_s else None,
            },
            "memory": {"peak_bytes": memory.peak()},
            "versions": configs.versions(),
        }


def warmup(algorithm: Algorithm) -> int:
    """Environment steps before any part of `algorithm` learns at full pace."""
    return max([algorithm.plan.warmup, *(warmup(part) for part in offered(algorithm, "parts") or ())])


def _round_up(number: int, unit: int) -> int:
    return -(-number // unit) * unit


def _finite_check(algorithm: Algorithm) -> Any:
    """agent [S, ...] -> bool [S]: are all parameters of this seed finite?"""

    def one(agent):
        leaves = [x for x in jax.tree.leaves(algorithm.parameters(agent)) if jnp.issubdtype(x.dtype, jnp.inexact)]
        return jnp.stack([jnp.isfinite(x).all() for x in leaves]).all() if leaves else jnp.bool_(True)

    checked = jax.jit(jax.vmap(one))

    def check(agent: Any) -> np.ndarray:
        return np.asarray(checked(agent)) if jax.tree.leaves(agent) else np.ones(1, bool)

    return check
