"""Flags that several scripts share: where the original CoinRun lies."""

from absl import flags

from lucid_rl.games.coinrun_original_files import (
    ASSETS_VARIABLE,
    LIBRARY_VARIABLE,
    use_engine_files,
)

_LIBRARY = flags.DEFINE_string(
    "coinrun_library",
    None,
    f"The original CoinRun's shared library, for coinrun_original; {LIBRARY_VARIABLE} "
    "by default.",
)
_ASSETS = flags.DEFINE_string(
    "coinrun_assets",
    None,
    f"The original CoinRun's folder of pictures; {ASSETS_VARIABLE} by default.",
)


def use_game_flags() -> None:
    """Has the games of this program use the engine that the flags name."""
    use_engine_files(_LIBRARY.value, _ASSETS.value)
