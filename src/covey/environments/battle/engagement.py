"""What happens when everybody attacks and moves at once: the engine's sequential rules, resolved in parallel.

MAgent carries out attacks in a random order and moves in the order of agents, one after the other. Who acts later sees
what the earlier have done. Both are resolved here for all agents together, in a few rounds, to the same result.
By the rules beside them (`..._at_once`) all do act at once, without an advantage for anybody; they are not MAgent's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

NOBODY = -1


class Blows(NamedTuple):
    """What came of attacks, [n] each."""

    acted: Any  # bool: attacked before anything killed it
    hit: Any  # bool: hurt an enemy that lived on
    killed: Any  # bool: hurt an enemy that died of it
    taken: Any  # int32: blows that an agent took
    died: Any  # bool


def attacks(order: Any, target: Any, enough: Any) -> Blows:
    """Attacks in sequence. `order` [n]: everybody's place in it, all different. `target` [n]: the enemy that stands
    where an agent attacks when the step begins; `NOBODY` if there is none; less if it does not attack. `enough` [n]:
    how many blows kill an agent.

    Who is dead attacks no more, and the dead are in nobody's way. So an attack counts if its agent's own death, if any,
    comes later; and the death of an agent is the blow that is one too many. Starting with nobody's death, each round
    settles those that depend on what is settled already, in the order of attacks.
    """
    n = len(order)
    attacking, aimed = target >= NOBODY, target >= 0
    victim = jnp.where(aimed, target, n)
    numbered = _counter(order, victim)
    never = jnp.int32(n)

    def counted(death: Any) -> Any:
        return numbered(aimed & (order < death))

    def deaths(number: Any) -> Any:
        """When everybody dies, in the order of attacks; `never` for those who live on."""
        fatal = aimed & (number > 0) & (number == enough[jnp.minimum(victim, n - 1)])
        return jnp.full(n + 1, never).at[jnp.where(fatal, victim, n)].min(order)[:n]

    def unsettled(carry: Any) -> Any:
        return carry[2]

    def again(carry: Any) -> Any:
        death, _, _ = carry
        later = deaths(counted(death))
        return later, death, jnp.any(later != death)

    start = jnp.full(n, never)
    death, _, _ = jax.lax.while_loop(unsettled, again, (start, start, jnp.bool_(True)))
    number = counted(death)
    need = enough[jnp.minimum(victim, n - 1)]
    landed = (number > 0) & (number <= need)
    return Blows(
        acted=attacking & (order < death),
        hit=landed & (number < need),
        killed=landed & (number == need),
        taken=jnp.zeros(n + 1, jnp.int32).at[jnp.where(landed, victim, n)].add(1)[:n],
        died=death < never,
    )


def attacks_at_once(order: Any, target: Any, enough: Any) -> Blows:
    """As `attacks`, where all who live when the step begins strike, whoever dies of it; of those who strike the same
    enemy, who strikes the blow that is one too many has killed it. `order` decides who that is, and nothing else."""
    n = len(order)
    aimed = target >= 0
    victim = jnp.where(aimed, target, n)
    taken = jnp.zeros(n + 1, jnp.int32).at[victim].add(1)[:n]
    killed = aimed & (_counter(order, victim)(aimed) == enough[jnp.minimum(victim, n - 1)])
    return Blows(acted=target >= NOBODY, hit=aimed & ~killed, killed=killed, taken=taken, died=taken >= enough)


def _counter(order: Any, victim: Any) -> Callable[[Any], Any]:
    """Counts blows: which one at its victim every attack is, 1 for the first, of those that `counts` [n] says; 0 for
    the others."""
    n = len(order)
    sequence = jnp.argsort(victim * n + order)  # by victim, then in the order of attacks
    of = victim[sequence]

    def counted(counts: Any) -> Any:
        valid = counts[sequence]
        running = jnp.cumsum(valid)
        begins = jnp.concatenate([jnp.ones(1, bool), of[1:] != of[:-1]])
        before = jax.lax.cummax(jnp.where(begins, running - valid, -1))
        return jnp.zeros(n, jnp.int32).at[sequence].set(jnp.where(valid, running - before, 0).astype(jnp.int32))

    return counted


def moves(order: Any, moving: Any, cell: Any, occupant: Any, cells: int) -> Any:
    """Who gets where it wants, bool [n], if all move in sequence. `moving` [n]: who wants to go elsewhere, to `cell`
    [n], where `occupant` [n] stands at the beginning; `NOBODY` if it is free.

    A cell is entered by the first that finds it empty: of those that come after its occupant, if that goes away.
    Whether it does depends on who is in its way in turn, always somebody earlier; so the chains of who waits for whom
    are followed in doubling steps.
    """
    n = len(order)
    ahead = jnp.clip(occupant, 0, n - 1)
    stands = occupant >= 0
    waits = stands & moving[ahead] & (order[ahead] < order)
    may = moving & ((occupant == NOBODY) | waits)
    first = jnp.full(cells, n, jnp.int32).at[jnp.where(may, cell, 0)].min(jnp.where(may, order, n).astype(jnp.int32))
    wins = may & (first[cell] == order)
    goes = jnp.concatenate([wins, jnp.ones(1, bool)])  # the last place waits for nobody
    next_in_line = jnp.concatenate([jnp.where(wins & waits, ahead, n), jnp.full(1, n)])
    for _ in range(max(n - 1, 1).bit_length()):
        goes, next_in_line = goes & goes[next_in_line], next_in_line[next_in_line]
    return goes[:n]


def moves_at_once(order: Any, moving: Any, cell: Any, occupant: Any, cells: int) -> Any:
    """As `moves`, where nobody enters a cell in which somebody stands when the step begins; the first in `order` gets
    it."""
    n = len(order)
    may = moving & (occupant == NOBODY)
    first = jnp.full(cells, n, jnp.int32).at[jnp.where(may, cell, 0)].min(jnp.where(may, order, n).astype(jnp.int32))
    return may & (first[cell] == order)
