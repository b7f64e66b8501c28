"""How much memory a step takes."""

from __future__ import annotations

from covey.core.types import Spec
from covey.environments.assembly.sensing import PIECE
from covey.environments.assembly.shapes import WORD

NUMBER = 4  # bytes of a float32 and an int32


def memory_plan(robots: int, cells: int, spec: Spec) -> dict[str, int]:
    """Bytes of the arrays of a step in each lane, by what they are for.

    A program keeps what is in `shown`. Of the rest it needs the largest at a time, or a little more.
    """
    group = spec.groups["robot"]
    listed = group.obs[-1].shape[0]
    each = -(-robots // -(-robots // PIECE))
    return {
        "shown": NUMBER * robots * group.obs_size,  # observations
        "pairs": 2 * NUMBER * robots * robots,  # distances between robots, and what follows from them
        "distances": 2 * NUMBER * each * cells,  # of a piece of the robots from all cells, and what follows from them
        "listing": 6 * NUMBER * each * listed + 3 * NUMBER * each * cells // WORD,  # ranks of cells, words of masks
    }
