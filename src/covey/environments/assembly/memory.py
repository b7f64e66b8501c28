"""How much memory a step takes."""

from __future__ import annotations

from typing import NamedTuple

from covey.core.types import Spec
from covey.environments.assembly.sensing import PIECE
from covey.environments.assembly.shapes import WORD

NUMBER = 4  # bytes of a float32, an int32 and a word of a mask


class StepMemory(NamedTuple):
    """Bytes of the arrays of one step in one lane, by what they are for."""

    observations: int  # [N, D]
    pairs: int  # [N, N]  distances between robots, and pushes
    distances: int  # [C, n]  of the n robots of a piece from all cells, and which cells they sense
    listing: int  # [K, n]  ranks and numbers of the cells they list, and masks in words

    @property
    def peak(self) -> int:
        """What is there at the same time at most: the observations, and robots' pairs or a piece's cells."""
        return self.observations + max(self.pairs, self.distances + self.listing)


def step_memory(robots: int, cells: int, spec: Spec) -> StepMemory:
    """The plan for `robots` and regions that are padded to so many `cells`."""
    group = spec.groups["robot"]
    listed = group.obs[-1].shape[0]
    piece = -(-robots // -(-robots // PIECE))
    return StepMemory(
        observations=NUMBER * robots * group.obs_size,
        pairs=2 * NUMBER * robots**2,
        distances=2 * NUMBER * piece * cells,
        listing=6 * NUMBER * piece * listed + 3 * NUMBER * piece * cells // WORD,
    )
