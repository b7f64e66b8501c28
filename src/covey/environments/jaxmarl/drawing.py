"""Pictures of JaxMARL's environments, from their states (NumPy and matplotlib; never compiled)."""

from __future__ import annotations

from typing import Any

import numpy as np

from covey.core.types import TimeStep
from covey.environments import plane


def draw_smax(env: Any, axes: Any, state: Any, now: TimeStep, clock: int) -> None:
    """Units as discs in the colors of their teams, the fainter the weaker, with a letter for their type; crosses are
    where units have died."""
    from matplotlib.patches import Circle

    units = getattr(state, "state", state)
    position, alive, types = (np.asarray(x) for x in (units.unit_positions, units.unit_alive, units.unit_types))
    health = np.asarray(units.unit_health) / np.asarray(env.unit_type_health)[types]
    teams = np.asarray(units.unit_teams).astype(int)
    standing = [int(alive[teams == team].sum()) for team in (0, 1)]
    _canvas(axes, (0.0, env.map_width), (0.0, env.map_height))
    axes.set_title(f"step {clock}: {standing[0]} of us, {standing[1]} of them", fontsize=10, color=plane.INK)
    for unit, (x, y) in enumerate(position):
        color = plane.PALETTE[teams[unit]]
        if not alive[unit]:
            axes.scatter([x], [y], marker="x", s=30, color=color, alpha=0.4, zorder=3)
            continue
        radius = float(np.asarray(env.unit_type_radiuses)[types[unit]])
        axes.add_patch(Circle((x, y), radius, facecolor="white", edgecolor=color, linewidth=1.0, zorder=4))
        axes.add_patch(Circle((x, y), radius, facecolor=color, alpha=float(0.2 + 0.8 * health[unit]), zorder=5))
        letter = env.unit_type_shorthands[int(types[unit])]
        axes.text(x, y, letter, color="white", fontsize=7, ha="center", va="center_baseline", zorder=6)


def draw_particles(env: Any, axes: Any, state: Any, now: TimeStep, clock: int) -> None:
    """Agents and landmarks as discs in JaxMARL's colors; agents have a dark edge."""
    from matplotlib.patches import Circle

    position = np.asarray(state.p_pos)
    reach = 1.05 * max(1.2, *np.abs(position[: env.num_agents]).ravel())
    _canvas(axes, (-reach, reach), (-reach, reach))
    earned = sum(float(np.asarray(x).sum()) for x in now.reward.values())
    axes.set_title(f"step {clock}: rewards of all {earned + 0.0:.2f}", fontsize=10, color=plane.INK)
    for entity, (x, y) in enumerate(position):
        is_agent = entity < env.num_agents
        color = np.asarray(env.colour[entity], float) / 255.0
        edge, alpha, above = (plane.INK, 0.9, 5) if is_agent else ("white", 0.5, 4)
        disc = Circle((x, y), float(np.asarray(env.rad)[entity]), facecolor=color, edgecolor=edge, zorder=above)
        disc.set(alpha=alpha)
        axes.add_patch(disc)


def _canvas(axes: Any, across: tuple[float, float], up: tuple[float, float]) -> None:
    axes.clear()
    axes.set(xlim=across, ylim=up, aspect="equal", xticks=[], yticks=[])
    axes.set_facecolor(plane.PAPER)
    for spine in axes.spines.values():
        spine.set_color(plane.FAINT)
