"""`mean-field/ising`: do learners that answer their neighbors' mean action find the phases of the Ising model?"""

from __future__ import annotations

import dataclasses
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from covey import algorithms, environments
from covey.algorithms.mean_field import q
from covey.algorithms.mean_field.choosing import Boltzmann
from covey.core.algorithm import Algorithm
from covey.environments.ising import CRITICAL, onsager
from covey.learning.targets import constant
from covey.runs.figures import blank, colors, plain, save
from covey.studies.saying import Say, verdict
from covey.studies.statistics import mean
from covey.studies.sweep import swept

TEMPERATURES = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.05, 1.1, 1.15, 1.2, 1.25, 1.3, 1.4, 1.5, 1.75, 2.0)

RATE = 1.5e6
"""Choices of spins a second, for the plan."""

Found = dict[str, np.ndarray]
"""Time averages by name, [temperatures, seeds]."""


def learner(world: Any, temperature: float, index: str, lr: float = 0.1) -> Algorithm:
    """MF-Q by tables, as published: α = 0.1, no discount, Boltzmann policies of the temperature."""
    algorithm = q.mfq(world.spec, preset="table")
    field = dataclasses.replace(algorithm.field, index=index)
    values = dataclasses.replace(algorithm.values, lr=lr)
    return dataclasses.replace(algorithm, field=field, values=values, choosing=Boltzmann(constant(temperature)))


def ising(*, quick: bool, seeds: int, out: Path, say: Say) -> None:
    """Order against temperature on 20 x 20 spins: MF-Q with the mean action of the same joint action, and with the one
    before; the heat bath, Metropolis, and Onsager's exact line."""
    size, steps = (6, 200) if quick else (20, 10_000)
    temperatures = (0.5, 1.1, 2.0) if quick else TEMPERATURES
    say("Predictions: where values are about the same joint action, order within 0.03 of the heat bath up to τ = 1 in")
    say("the median seed, and half of it lost between τ = 1.1 and 1.3. Some seeds that begin in chaos keep two halves")
    say("of opposite order, as with the heat bath; none that begins in order. Values about the joint action before")
    say("freeze into any order.")
    cases = {
        "heat bath": ("checkerboard", "aligned", lambda world, _: algorithms.make("heat-bath", world)),
        "Metropolis": ("checkerboard", "aligned", lambda world, _: algorithms.make("metropolis", world)),
        "heat bath, from chaos": ("checkerboard", "random", lambda world, _: algorithms.make("heat-bath", world)),
        "MF-Q": ("synchronous", "random", partial(learner, index="concurrent")),
        "MF-Q, checkerboard": ("checkerboard", "random", partial(learner, index="concurrent")),
        "MF-Q, from order": ("checkerboard", "aligned", partial(learner, index="concurrent")),
        "MF-Q, lagged": ("synchronous", "random", partial(learner, index="lagged")),
    }
    choices = len(cases) * len(temperatures) * seeds * steps * size**2
    say(f"plan: {choices:,} choices of spins, about {choices / RATE / 3600:.2f} h on two cores")
    found: dict[str, Found] = {}
    for case, (update, start, make) in cases.items():
        say(f"· {case}: {steps:,} steps x {seeds} seeds x {len(temperatures)} temperatures")
        pairs = []
        for temperature in temperatures:
            options = {"size": size, "temperature": temperature, "update": update, "start": start}
            world = environments.make("ising", **options, time_limit=steps, burn_in=steps * 6 // 10)
            pairs.append((world, make(world, temperature)))
        reported = swept(pairs, seeds=seeds, lanes=1, steps=steps)
        found[case] = {name.removeprefix("world/"): x[-1] for name, x in reported.items() if name.startswith("world/")}
    _tell(found, temperatures, size, out, say)
    if not quick:
        _judge(found, temperatures, say)


def _tell(found: dict[str, Found], temperatures: tuple[float, ...], size: int, out: Path, say: Say) -> None:
    """The table, the picture, and every number as a file."""
    lines = [["τ", "Onsager, infinite", *found]]
    for k, temperature in enumerate(temperatures):
        cells = [mean(of["order"][k]).text(3) for of in found.values()]
        lines.append([f"{temperature:g}", f"{float(onsager(temperature)):.3f}", *cells])
    rows = ["| " + " | ".join(line) + " |" for line in [lines[0], ["---"] * len(lines[0]), *lines[1:]]]
    title = f"Order ξ of {size} x {size} spins after burn-in"
    (out / "table.md").write_text("\n".join([title, "", *rows]) + "\n")
    for row in rows:
        say(row)
    arrays: dict[str, Any] = {f"{case}/{name}": x for case, of in found.items() for name, x in of.items()}
    np.savez(out / "found.npz", temperatures=np.array(temperatures), **arrays)
    for case, of in found.items():
        chi = size**2 * (of["order2"] - of["order"] ** 2) / np.array(temperatures)[:, None]
        binder = 1.0 - of["order4"] / (3.0 * of["order2"] ** 2)
        peak = temperatures[int(np.median(chi, 1).argmax())]
        most, at = np.median(chi, 1).max(), binder[temperatures.index(1.1)].mean()
        say(f"    {case}: susceptibility is largest at τ = {peak:g} ({most:.1f}); Binder cumulant at 1.1: {at:.2f}")
    say(f"picture: {save(_drawn(found, temperatures), out / 'ising.png')}")


def _drawn(found: dict[str, Found], temperatures: tuple[float, ...]) -> Any:
    figure = blank(9.6, 4.6)
    axes = figure.subplots()
    fine = np.linspace(min(temperatures), max(temperatures), 400)
    axes.plot(fine, onsager(fine), color="black", linewidth=1.2, label="Onsager, infinite lattice")
    for (case, of), color in zip(found.items(), colors(len(found)), strict=True):
        seeds = of["order"].shape[1]
        for seed in range(seeds):
            axes.plot(temperatures, of["order"][:, seed], ".", color=color, markersize=3, alpha=0.6)
        axes.plot(temperatures, np.median(of["order"], 1), color=color, linewidth=1.6, label=case)
    plain(axes, "Order of spins, medians of seeds", "temperature τ", "order ξ")
    axes.axvline(CRITICAL, color="gray", linewidth=0.8, linestyle=":")
    axes.legend(frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return figure


def _judge(found: dict[str, Found], temperatures: tuple[float, ...], say: Say) -> None:
    true = found["heat bath"]["order"].mean(1)
    cold = np.array(temperatures) <= 1.0
    for case in ("MF-Q", "MF-Q, checkerboard", "MF-Q, from order"):
        middle = np.median(found[case]["order"], 1)
        apart = np.abs(middle - true)[cold].max()
        verdict(say, f"{case} is within 0.03 of the heat bath up to τ = 1", bool(apart < 0.03), f"{apart:.3f} at most")
        lost = next((t for t, x in zip(temperatures, middle, strict=True) if x < 0.5), np.inf)
        verdict(say, f"{case} loses half of its order between 1.1 and 1.3", 1.1 < lost <= 1.3, f"at τ = {lost:g}")
    less = {case: int((of["order"] < true[:, None] - 0.03)[cold].sum()) for case, of in found.items()}
    say(f"    lattices up to τ = 1 with less order, of {found['MF-Q']['order'][cold].size} each: {less}")
    chaos, order = less["heat bath, from chaos"], less["MF-Q, from order"]
    verdict(say, "the heat bath keeps two halves of opposite order, too, if it begins in chaos", chaos > 0, str(chaos))
    verdict(say, "MF-Q that begins in order keeps it", order == 0, f"{order} do not")
    lagged = found["MF-Q, lagged"]["order"][0]
    spread = f"at τ = {temperatures[0]:g} from {lagged.min():.2f} to {lagged.max():.2f}"
    verdict(say, "lagged values freeze into any order", bool(np.ptp(lagged) > 0.3), spread)
