"""What an algorithm imagines, to be compared with what happened."""

from __future__ import annotations

from typing import Any, NamedTuple


class Dream(NamedTuple):
    """What one agent imagines in H steps from a step of an episode on, in R samples, while it does what it did."""

    obs: dict[str, Any]  # by field [R, H + 1, *shape], in the field's own units; the first is of what was seen
    reward: Any  # [R, H]
    discount: Any  # [R, H]  the chance that there is a future after the step
    others: dict[str, Any]  # by agent [R, H, P, C]  chances of what it does; {} where nobody is predicted
