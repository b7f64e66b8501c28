"""What differs from one family of JaxMARL's environments to the next, beyond the interface that they share.

`Family` is what is assumed of an environment of which nothing is known; the others say what is known. `n` counts agents
in JaxMARL's order. Nothing here imports JaxMARL.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp

from covey.core.types import Field, Fields
from covey.environments.jaxmarl import drawing
from covey.environments.plane import at_end


class Family:
    """An environment that keeps JaxMARL's interface: `reset`, `step_env`, one space per agent."""

    place = ""
    """What stands after the `/` of an id, in a word; nothing where ids have no second part."""
    place_option = ""
    """The constructor's argument that it decides."""
    of_place: tuple[str, ...] = ()
    """Options that it decides with that."""
    base = ""
    """The constructor that gets what the others hand on (`**kwargs`)."""
    inherited: tuple[str, ...] = ()
    """Its options."""
    withheld: tuple[str, ...] = ()
    """Options that change nothing for covey, or do not work."""
    shaped = False
    """A reward for steps on the way comes in the infos, apart from the reward."""
    draw: Any = None
    """`draw(env, axes, state, now, clock)` paints a frame, where we know what is in a state."""

    def limit(self, env: Any) -> int | None:
        """The longest episode, in steps; None where nobody knows."""
        return None

    def is_shared(self, env: Any) -> bool:
        """Do all living agents earn the same?"""
        return False

    def fields(self, env: Any, agent: Any, shape: tuple[int, ...]) -> Fields:
        """What an agent sees, as float32."""
        return (Field("observation", shape or (1,)),)

    def state_fields(self, env: Any) -> Fields:
        """The global state, () where there is none."""
        return ()

    def state(self, obs: dict[Any, Any]) -> Any:
        """The global state [G], out of what `reset` and `step_env` show; None where there is none."""
        return None

    def legal(self, env: Any, state: Any) -> dict[Any, Any] | None:
        """What every agent may do, [A] each; None where everything is legal."""
        return None

    def died(self, env: Any, state: Any, dones: dict[Any, Any]) -> Any:
        """Who has died by now, bool [n]."""
        flags = jnp.stack([jnp.asarray(dones.get(agent, False)) for agent in env.agents])
        return flags & ~dones["__all__"]

    def finished(self, env: Any, before: Any, action: Sequence[Any], after: Any) -> Any:
        """Of an episode that ends in the step from `before` to `after`: is nothing left to come, bool []? A limit that
        cuts it short leaves something.

        What ends at `max_steps` or later is taken to be cut, because JaxMARL's flags do not tell.
        """
        if not (hasattr(env, "max_steps") and hasattr(after, "step")):
            return jnp.bool_(True)
        return after.step < env.max_steps

    def measure(self, env: Any, state: Any, last: Any) -> dict[str, Any]:
        """Scalars of the step that led to `state`."""
        return {}


class Smax(Family):
    """Units that see around them, move and shoot. Its own clock is compared before it is advanced."""

    place, place_option = "map", "scenario"
    of_place = ("num_allies", "num_enemies", "smacv2_position_generation", "smacv2_unit_type_generation")
    base = "SMAX"
    inherited = (
        *("map_width", "map_height", "world_steps_per_env_step", "time_per_step", "see_enemy_actions"),
        *("won_battle_bonus", "use_self_play_reward", "walls_cause_death", "max_steps"),
        *("observation_type", "action_type", *of_place),
    )
    draw = staticmethod(drawing.draw_smax)

    def units(self, state: Any) -> Any:
        """The record of all units, allies first; a scripted enemy keeps its own beside it."""
        return getattr(state, "state", state)

    def limit(self, env: Any) -> int:
        return env.max_steps + 1

    def is_shared(self, env: Any) -> bool:
        return len(env.agents) == env.num_allies

    def fields(self, env: Any, agent: Any, shape: tuple[int, ...]) -> Fields:
        """Comrades and enemies are lists: a unit that is dead or out of sight is a row of zeros."""
        if env.observation_type != "unit_list":
            return super().fields(env, agent, shape)
        ours, theirs = env.num_allies, env.num_enemies
        if str(agent).startswith("enemy"):
            ours, theirs = theirs, ours
        width = len(env.unit_features)
        comrades = (Field("comrades", (ours - 1, width), listed=True),) if ours > 1 else ()
        return (*comrades, Field("enemies", (theirs, width), listed=True), Field("own", (len(env.own_features),)))

    def state_fields(self, env: Any) -> Fields:
        count = env.num_allies + env.num_enemies
        units = Field("units", (count, len(env.own_features)), "health, map units, seconds, type")
        return units, Field("teams", (count,)), Field("types", (count,))

    def state(self, obs: dict[Any, Any]) -> Any:
        return obs["world_state"].astype(jnp.float32)

    def legal(self, env: Any, state: Any) -> dict[Any, Any] | None:
        return env.get_avail_actions(state) if env.action_type == "discrete" else None

    def died(self, env: Any, state: Any, dones: dict[Any, Any]) -> Any:
        return ~self.units(state).unit_alive[: len(env.agents)]

    def finished(self, env: Any, before: Any, action: Sequence[Any], after: Any) -> Any:
        alive = self.units(after).unit_alive
        return ~(alive[: env.num_allies].any() & alive[env.num_allies :].any())

    def measure(self, env: Any, state: Any, last: Any) -> dict[str, Any]:
        """`won`: the enemies are dead and an ally is not; where both sides learn, `won_ally` and `won_enemy`."""
        alive = self.units(state).unit_alive
        ally, enemy = alive[: env.num_allies].any(), alive[env.num_allies :].any()
        won = {"won": ally & ~enemy} if self.is_shared(env) else {"won_ally": ally & ~enemy, "won_enemy": enemy & ~ally}
        return {name: at_end(value, last) for name, value in won.items()}


class Particles(Family):
    """The multi-particle environments (MPE). They end at a limit, which is compared before the clock is advanced."""

    base = "SimpleMPE"
    inherited = ("max_steps", "dt")
    draw = staticmethod(drawing.draw_particles)

    def limit(self, env: Any) -> int:
        return env.max_steps + 1

    def finished(self, env: Any, before: Any, action: Sequence[Any], after: Any) -> Any:
        return jnp.bool_(False)


class Overcooked(Family):
    """Cooks in a kitchen, who share what a soup pays. It ends at a limit."""

    place, place_option = "layout", "layout"
    withheld = ("layout", "force_path_planning")
    shaped = True

    def limit(self, env: Any) -> int:
        return env.max_steps

    def is_shared(self, env: Any) -> bool:
        return True

    def finished(self, env: Any, before: Any, action: Sequence[Any], after: Any) -> Any:
        return jnp.bool_(False)


class Hanabi(Family):
    """The card game: one player moves, and for the others only doing nothing is legal."""

    def limit(self, env: Any) -> int:
        """A bound: cards that are played or discarded (the last ones in the last round), and hints, each of which needs
        a token that was there, came for a discard, or for a color that was completed."""
        cards = int(env.deck_size) - env.num_agents * env.hand_size + env.num_agents + 1
        return 2 * cards + env.max_info_tokens + env.num_colors

    def is_shared(self, env: Any) -> bool:
        return True

    def legal(self, env: Any, state: Any) -> dict[Any, Any]:
        return env.get_legal_moves(state)

    def finished(self, env: Any, before: Any, action: Sequence[Any], after: Any) -> Any:
        return jnp.bool_(True)

    def measure(self, env: Any, state: Any, last: Any) -> dict[str, Any]:
        """`score`: the points at the end, none where the last life was lost."""
        return {"score": at_end(state.score, last)}


class SwitchRiddle(Family):
    """Prisoners and a light bulb: only who is in the room acts, and the game is over when that one tells."""

    TELL = 2

    def limit(self, env: Any) -> int:
        return env.max_steps

    def is_shared(self, env: Any) -> bool:
        return True

    def finished(self, env: Any, before: Any, action: Sequence[Any], after: Any) -> Any:
        return jnp.stack(action)[before.agent_in_room] == self.TELL


class CoinGame(Family):
    """Two players collect coins of their own color, or the other's. It ends at a limit."""

    def limit(self, env: Any) -> int:
        return env.num_inner_steps * env.num_outer_steps

    def finished(self, env: Any, before: Any, action: Sequence[Any], after: Any) -> Any:
        return jnp.bool_(False)


class JaxNav(Family):
    """Robots that drive to their goals. With `evaporating`, who arrives or collides is gone."""

    withheld = ("info_by_agent", "do_sep_reward")

    def limit(self, env: Any) -> int:
        return env.max_steps

    def died(self, env: Any, state: Any, dones: dict[Any, Any]) -> Any:
        gone = state.goal_reached | state.move_term
        return gone if env.evaporating else jnp.zeros_like(gone)

    def finished(self, env: Any, before: Any, action: Sequence[Any], after: Any) -> Any:
        """Everybody has arrived or collided; with `evaporating` deaths have said so already."""
        return (after.goal_reached | after.move_term).all() & (not env.evaporating)
