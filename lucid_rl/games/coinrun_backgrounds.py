"""The same situation of CoinRun before another background."""

from lucid_rl.games.procgen_state import CoinRunState

_BACKGROUND = (
    "use_procgen_background",
    "background_index",
    "bg_tile_ratio",
    "bg_pct_x",
)


def with_background_of(state: CoinRunState, other: CoinRunState) -> CoinRunState:
    """A copy of a state with the background of another: nothing else differs."""
    drawn = state.copy()
    for name in _BACKGROUND:
        drawn.view[name] = other.view[name]
    return drawn
