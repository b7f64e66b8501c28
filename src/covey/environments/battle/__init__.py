"""`battle`: two armies of soldiers who see little, strike and flee; the rules are those of MAgent2's `battle_v4`.

orders        who fights, what soldiers can do, and what it earns
engagement    attacks and moves in sequence, resolved in parallel
sight         what soldiers see
rules         what a practitioner would let them do
environment         a step of the battle
"""

from __future__ import annotations

from covey.core.errors import BadInput
from covey.environments.battle.environment import Battle, Order, formation
from covey.environments.neighbors import check_nearest

__all__ = ["Battle", "battle", "formation"]


def battle(
    size: int = 40,
    time_limit: int = 400,
    minimap: bool = False,
    features: bool = False,
    order: Order = "magent",
    sides: bool = False,
    nearest: int = 0,
) -> Battle:
    """Two armies fight on a square map.

    Args:
        size: Cells in a row and in a column, walls included. It says how many fight: 12 v 12 on 20, 64 v 64 on 40, 81 v
            81 on 45.
        time_limit: Length of a battle, in steps.
        minimap: Soldiers also see where the armies are as a whole.
        features: Soldiers also know their number, their last action, what it earned, and where they are.
        order: Who acts first: the red army and lower numbers move first, as in MAgent2; whoever is drawn (`fair`); or
            all strike and move at once (`simultaneous`).
        sides: Draw which army begins on the left, instead of the red one.
        nearest: How many of the nearest comrades each soldier lists as neighbors.
    """
    if not 8 <= size <= 1000:
        raise BadInput(f"`size` is {size}: make the map between 8 and 1000 cells wide.")
    left, right = formation(size)
    if not len(left):
        raise BadInput(f"a map of {size} by {size} is too small for its armies: make it 12 or wider.")
    if len(left) != len(right):
        raise BadInput(
            f"on a map of {size} by {size} MAgent2 places armies of {len(left)} and {len(right)}: choose a size with "
            "equal ones, such as 12, 16, 20, 24 or 40."
        )
    if time_limit < 1:
        raise BadInput(f"`time_limit` is {time_limit}: make it at least 1.")
    check_nearest(nearest, len(left) - 1, "comrades")
    return Battle(size, time_limit, minimap, features, order, sides, nearest)
