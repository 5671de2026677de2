"""The part of CoinRun's state that decides how a level goes on, and is drawn.

A `World` is stepped without the engine and follows it to the last bit.
"""

import dataclasses
import functools
from typing import NamedTuple

import numpy as np

from lucid_rl.games.coinrun_physics import (
    LAST_Y,
    N_AGENT_FIELDS,
    ON_CRATE,
    VY,
    X,
    Y,
    step_world,
    supported,
)
from lucid_rl.games.procgen_state import (
    CRATE,
    ENEMY,
    GOAL,
    LAVA_MID,
    LAVA_TOP,
    SAW,
    SPACE,
    CoinRunState,
    parse_state,
)

_Arrays = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]


class View(NamedTuple):
    """How a world is drawn.

    Attributes:
        centers_agent: whether the agent is in the middle, or the world.
        n_tiles: tiles along a side of the picture.
        paints_velocity: whether the speed is painted in the top left corner.
    """

    centers_agent: bool
    n_tiles: float
    paints_velocity: bool


@dataclasses.dataclass
class World:
    """What decides how a level goes on; `step` changes it in place.

    Attributes:
        agent: float32 [9]: x, y, vx, vy, y after the last step, whether it stands on
            a box, the last action's dx and dy, whether it had support.
        enemies: float32 [n, 4]: x, y, vx, vy, in the engine's order.
        saws: float32 [n, 2]: x, y.
        crates: float32 [n, 2]: x, y, in the engine's order.
        grid: int32 [h, w], row 0 at the bottom.
        constants: float32 [5]: gravity, jump speed, top speed, share of the wanted
            speed taken on at each step, and the factor on that share in the air.
        time: actions since the level began.
        timeout: actions after which an episode ends.
        level_seed: seed of the level.
        enemy_themes: int32 [n], which art each enemy has.
        view: how the world is drawn.
    """

    agent: np.ndarray
    enemies: np.ndarray
    saws: np.ndarray
    crates: np.ndarray
    grid: np.ndarray
    constants: np.ndarray
    time: int
    timeout: int
    level_seed: int
    enemy_themes: np.ndarray
    view: View

    @classmethod
    def from_state(cls, state: CoinRunState) -> "World":
        """Takes the world out of a parsed state; the state is left alone."""
        n_entities = len(state.entities)
        # An entity is 31 words; the first four are x, y, vx and vy.
        words = np.ascontiguousarray(state.entities).view("<f4").reshape(n_entities, -1)
        kinds = state.entities["type"]
        are_enemies = kinds == ENEMY
        coinrun, control = state.coinrun, state.view
        agent = np.zeros(N_AGENT_FIELDS, np.float32)
        agent[: VY + 1] = words[0, : VY + 1]
        agent[LAST_Y] = coinrun["last_agent_y"][0]
        agent[ON_CRATE] = coinrun["is_on_crate"][0]
        centers_agent = bool(state.options["center_agent"][0])
        n_tiles = (
            state.world["visibility"][0] if centers_agent else max(state.grid.shape)
        )
        return cls(
            agent=agent,
            enemies=words[are_enemies, : VY + 1],
            saws=words[kinds == SAW, : Y + 1],
            crates=words[kinds == CRATE, : Y + 1],
            grid=np.ascontiguousarray(state.grid, np.int32),
            constants=np.array(
                [
                    coinrun["gravity"][0],
                    control["max_jump"][0],
                    control["maxspeed"][0],
                    control["mixrate"][0],
                    coinrun["air_control"][0],
                ],
                np.float32,
            ),
            time=state.time,
            timeout=int(state.episode["timeout"][0]),
            level_seed=state.level_seed,
            enemy_themes=state.entities["image_theme"][are_enemies],
            view=View(
                centers_agent, float(n_tiles), bool(state.options["paint_vel_info"][0])
            ),
        )

    def copy(self) -> "World":
        """Copies what steps change; the level's layout is shared."""
        return dataclasses.replace(
            self, agent=self.agent.copy(), enemies=self.enemies.copy()
        )

    def arrays(self) -> _Arrays:
        """Returns the arrays that the rules work on, in their order."""
        return (
            self.agent,
            self.enemies,
            self.saws,
            self.crates,
            self.grid,
            self.constants,
        )

    def step(self, action: int) -> int:
        """Takes one action; see `step_world`.

        Args:
            action: 0 to 14, an index into Procgen's combinations of keys.

        Returns:
            RUNNING, COIN or DEAD; RUNNING also at the timeout.
        """
        self.time += 1
        return step_world(*self.arrays(), action)

    def as_seen(self) -> "World":
        """The world as far as the picture tells: hazards outside it are left out.

        Walls and boxes stay. The agent and the level are shared, not copied.
        """
        if not self.view.centers_agent:
            return self
        x, y = self.agent[X], self.agent[Y]
        reach = self.view.n_tiles / 2
        enemies, saws = (
            bodies[
                (np.abs(bodies[:, X] - x) < reach) & (np.abs(bodies[:, Y] - y) < reach)
            ]
            for bodies in (self.enemies, self.saws)
        )
        grid = self.grid
        is_lava = (grid >= LAVA_MID) & (grid <= LAVA_TOP)
        if is_lava.any():
            rows, columns = (np.arange(n) + 0.5 for n in grid.shape)
            hidden = (np.abs(rows - y) > reach)[:, None] | (np.abs(columns - x) > reach)
            grid = np.where(is_lava & hidden, SPACE, grid)
        return dataclasses.replace(self, enemies=enemies, saws=saws, grid=grid)

    def hazards_between(self, left: float, right: float) -> tuple[bool, bool]:
        """Which hazards there are in a span of columns, at any height.

        Args:
            left: tiles from the agent, negative to its left.
            right: tiles from the agent.

        Returns:
            Whether there is a buzzsaw, and whether there is an enemy or lava.
        """
        x = self.agent[X]
        saws, enemies = (
            bool(((bodies[:, X] > x + left) & (bodies[:, X] < x + right)).any())
            for bodies in (self.saws, self.enemies)
        )
        columns = self.grid[:, max(0, int(x + left)) : max(0, int(x + right) + 1)]
        lava = bool(((columns >= LAVA_MID) & (columns <= LAVA_TOP)).any())
        return saws, enemies or lava

    def has_support(self) -> bool:
        """Whether a jump would start now."""
        return bool(supported(self.agent, self.grid))

    def goal(self) -> tuple[int, int] | None:
        """Column and row of the coin, or None where the level has none."""
        return self._goal

    @functools.cached_property
    def _goal(self) -> tuple[int, int] | None:
        rows, columns = np.nonzero(self.grid == GOAL)
        return (int(columns[0]), int(rows[0])) if len(rows) else None


def as_world(state: CoinRunState | bytes | World) -> World:
    """The world of a state, a state's bytes, or of itself."""
    if isinstance(state, World):
        return state
    return World.from_state(
        state if isinstance(state, CoinRunState) else parse_state(state)
    )
