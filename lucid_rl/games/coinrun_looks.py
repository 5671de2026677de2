"""The same situations of CoinRun, drawn otherwise.

What a level looks like is drawn at random and decides nothing. Who learns from few
situations learns their looks by heart: shown in others, a situation teaches more.
"""

from lucid_rl.games.procgen_state import CoinRunState

_BACKGROUND = (
    "use_procgen_background",
    "background_index",
    "bg_tile_ratio",
    "bg_pct_x",
)


def with_looks_of(state: CoinRunState, other: CoinRunState) -> CoinRunState:
    """A state before the background of another, with its walls and its agent's art.

    Args:
        state: what happens; left alone.
        other: what it is to look like: any state of the same game.

    Returns:
        A state of its own, whose `World` is the first one's.
    """
    drawn = state.copy()
    for name in _BACKGROUND:
        drawn.view[name] = other.view[name]
    drawn.coinrun["wall_theme"] = other.coinrun["wall_theme"]
    drawn.agent["image_theme"] = other.agent["image_theme"]
    return drawn
