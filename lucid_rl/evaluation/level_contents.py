"""Hazards of levels, to separate an edit's side effects from its aim."""

from collections.abc import Sequence

import numpy as np

from lucid_rl.errors import SettingsError
from lucid_rl.games.procgen_state import ENEMY, LAVA, SAW, parse_state
from lucid_rl.games.registry import make_game
from lucid_rl.games.vector_game import GameSettings
from lucid_rl.progress import progress

_TYPES = {"buzzsaw": SAW, "enemy": ENEMY}
_N_ENVS = 64


def levels_with(
    settings: GameSettings, level_seeds: Sequence[int] | np.ndarray
) -> dict[str, np.ndarray]:
    """Finds which levels of Procgen's CoinRun have buzzsaws, enemies and lava.

    Returns:
        bool [n levels] for "buzzsaw", "enemy" and "lava".

    Raises:
        SettingsError: the game is another, or has no states.
    """
    if settings.name != "coinrun" or settings.use_generated_assets:
        raise SettingsError(
            "what levels hold is known for Procgen's coinrun without generated assets, "
            f"not for {settings.name!r}"
        )
    seeds = np.asarray(level_seeds)
    found = {name: np.zeros(len(seeds), bool) for name in (*_TYPES, "lava")}
    with make_game(settings.unseen(min(_N_ENVS, len(seeds) or 1))) as game:
        starts = range(0, len(seeds), game.n_envs)
        for start in progress(starts, "contents of levels"):
            batch = seeds[start : start + game.n_envs]
            environments = list(range(len(batch)))
            game.start_levels(environments, batch.tolist())
            game.act(np.zeros(game.n_envs, np.int32))
            for i, state in enumerate(game.get_states(environments), start):
                level = parse_state(state)
                for name, kind in _TYPES.items():
                    found[name][i] = len(level.entities_of_type(kind)) > 0
                found["lava"][i] = np.isin(level.grid, LAVA).any()
    return found


def kinds_of_levels(contents: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Groups levels by the hazards that `levels_with` found, bool [n] by kind of level.

    A level with enemies and lava is in both groups.
    """
    saws, enemies, lava = (contents[name] for name in ("buzzsaw", "enemy", "lava"))
    return {
        "no hazard": ~saws & ~enemies & ~lava,
        "buzzsaws only": saws & ~enemies & ~lava,
        "with enemies": enemies,
        "with lava": lava,
    }
