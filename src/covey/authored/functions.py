"""Admitted functions: two checked programs, as a prior policy and a reward of ONE agent."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, NamedTuple

import jax.numpy as jnp

from covey.authored.allow_list import FUNCTIONS
from covey.authored.contract import Contract, goal_names
from covey.authored.limits import Limits
from covey.authored.program import Program, rebuilt
from covey.authored.program_reader import read_program
from covey.authored.refusal import Refused


class Kept(NamedTuple):
    """From which file functions were read: as it was named, where it is, its SHA-256 and its bytes."""

    name: str
    file: Path
    sha256: str
    document: bytes


@dataclasses.dataclass(frozen=True, eq=False)
class Authored:
    """Two admitted functions of ONE agent, and the documents they are rebuilt from. Both are pure: jit, vmap, grad.

    Static: it holds no arrays that are learned, and equals itself alone.
    """

    contract: Contract
    documents: dict[str, Any]
    programs: dict[str, Program]
    goals: tuple[str, ...]
    kept: Kept | None = None
    """Where they were read (`covey.authored.folder`); None: they come from no file."""

    def prior_policy(self, view: dict[str, Any], p: dict[str, Any] | None = None) -> Any:
        """What the prior prefers, float32 [A]; `Contract.action_of` makes an action of it."""
        return rebuilt(self.programs["prior_policy"])(*self._inputs(view, p))[0]

    def reward(self, view: dict[str, Any], p: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """The reward, [] in [0, 1], and the sub-goals by name, [] each."""
        value, *goals = rebuilt(self.programs["reward"])(*self._inputs(view, p))
        return value, dict(zip(self.goals, goals, strict=True))

    def _inputs(self, view: dict[str, Any], p: dict[str, Any] | None) -> list[Any]:
        constants = dict(self.contract.constants) | (p or {})
        seen = [jnp.asarray(view[field.name], jnp.float32) for field in self.contract.view]
        return [*seen, *(jnp.float32(constants[name]) for name, _ in self.contract.constants)]

    def document(self) -> dict[str, Any]:
        """As JSON, to be kept with a run: `read_authored` gives the functions back."""
        return {"programs": self.documents, "goals": list(self.goals)}


def read_authored(document: Any, contract: Contract, limits: Limits | None = None) -> Authored:
    """The functions of a document that was kept, checked as if a child had sent it: Refused (G4) where it is forged."""
    programs = document.get("programs") if isinstance(document, dict) else None
    if not isinstance(programs, dict) or set(document) != {"programs", "goals"} or set(programs) != set(FUNCTIONS):
        raise Refused("G4", "the document does not hold both programs and the names of the sub-goals.")
    goals = goal_names(document["goals"])
    read = {name: read_program(programs[name], limits or Limits()) for name in FUNCTIONS}
    for name, program in read.items():
        contract.check(name, program, goals if name == "reward" else [])
    return Authored(contract, programs, read, tuple(goals))
