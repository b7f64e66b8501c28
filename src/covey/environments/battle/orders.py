"""Who fights, what soldiers can do, and what it earns: the numbers of MAgent2's `battle_v4`."""

from __future__ import annotations

import numpy as np

ARMIES = ("red", "blue")
"""In the order in which they move; `red` is MAgent2's first handle."""

MOVES = np.array([(x, y) for y in range(-2, 3) for x in range(-2, 3) if abs(x) + abs(y) <= 2], np.int32)
"""Where a move leads, (x, y) with y downwards; number 6 stays."""

STAY = 6

ATTACKS = np.array([(x, y) for y in (-1, 0, 1) for x in (-1, 0, 1) if (x, y) != (0, 0)], np.int32)
"""Where an attack strikes."""

CHOICES = len(MOVES) + len(ATTACKS)

HEALTH, DAMAGE, HEALING = 10.0, 2.0, 0.1

MOST_BLOWS = 6
"""Blows that kill whoever is in full health: to die, health has to fall below 0."""

STEP, ATTACK, HIT, KILL, DEATH = -0.005, -0.1, 0.2, 5.0, -0.1
"""What a step, any attack, hurting an enemy, killing one, and dying earn."""
