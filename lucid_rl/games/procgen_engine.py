"""Procgen's engine: which games and modes it has, and how it is started."""

import contextlib
import importlib.metadata
import io
import pathlib
from typing import Any

from lucid_rl.errors import GameError, SettingsError
from lucid_rl.games.assets import check_objects, invisible_assets
from lucid_rl.games.vector_game import GameSettings

# The modes that each game has; any other ends the whole process.
MODES: dict[str, tuple[str, ...]] = {
    "bigfish": ("easy", "hard"),
    "bossfight": ("easy", "hard"),
    "caveflyer": ("easy", "hard", "memory", "exploration"),
    "chaser": ("easy", "hard", "extreme"),
    "climber": ("easy", "hard", "exploration"),
    "coinrun": ("easy", "hard", "exploration"),
    "dodgeball": ("easy", "hard", "extreme", "memory"),
    "fruitbot": ("easy", "hard"),
    "heist": ("easy", "hard", "memory", "exploration"),
    "jumper": ("easy", "hard", "memory", "exploration"),
    "leaper": ("easy", "hard", "extreme", "exploration"),
    "maze": ("easy", "hard", "memory", "exploration"),
    "miner": ("easy", "hard", "memory"),
    "ninja": ("easy", "hard", "exploration"),
    "plunder": ("easy", "hard"),
    "starpilot": ("easy", "hard", "extreme"),
}
NAMES: tuple[str, ...] = tuple(MODES)
N_ACTIONS = 15
# Level seeds of an unlimited game lie in [0, N_LEVEL_SEEDS).
N_LEVEL_SEEDS = 2**31 - 1

# Objects that the engine of this process was started with; it reads its pictures
# once, for its first game.
_process_invisible: tuple[str, ...] | None = None


def check_settings(settings: GameSettings) -> None:
    """Raises `SettingsError` if Procgen has no such game or options."""
    if settings.name not in MODES:
        raise SettingsError(
            f"Procgen has no game {settings.name!r}: there are {', '.join(NAMES)}"
        )
    if settings.distribution_mode not in MODES[settings.name]:
        raise SettingsError(
            f"{settings.name} has no mode {settings.distribution_mode!r}: expected "
            f"one of {', '.join(MODES[settings.name])}"
        )
    if settings.distribution_mode == "exploration" and settings.n_levels:
        raise SettingsError(
            "mode 'exploration' has one fixed level: leave n_levels at 0"
        )
    if settings.invisible and settings.name != "coinrun":
        raise SettingsError(
            f"invisible objects are CoinRun's, but the game is {settings.name}"
        )
    check_objects(settings.invisible)
    if settings.invisible and (
        settings.use_monochrome_assets or settings.use_generated_assets
    ):
        raise SettingsError(
            "invisible objects need the game's own pictures: leave "
            "use_monochrome_assets and use_generated_assets off"
        )
    if settings.full_resolution and settings.use_generated_assets:
        raise SettingsError(
            "full_resolution draws saved states, which do not exist with "
            "use_generated_assets"
        )


def make_engine(settings: GameSettings, render_mode: str | None = None) -> Any:
    """Starts Procgen's engine, a `ProcgenGym3Env`, with checked settings.

    With the `render_mode` "rgb_array" it renders 512x512 frames at each step.

    Raises:
        GameError: Procgen is not installed, or this process has drawn other
            objects invisible before.
    """
    global _process_invisible
    if _process_invisible not in (None, settings.invisible):
        raise GameError(
            "this process's Procgen has already read its pictures, with "
            f"{_process_invisible or 'no objects'} invisible; for "
            f"{settings.invisible or 'none'} use make_game, which starts another"
        )
    options: dict[str, Any] = {}
    if settings.distribution_mode != "exploration":
        options = {"num_levels": settings.n_levels, "start_level": settings.start_level}
    engine_class = _import_procgen().ProcgenGym3Env
    with contextlib.ExitStack() as stack:
        if settings.invisible and _process_invisible is None:
            source = procgen_assets()
            folder = stack.enter_context(invisible_assets(settings.invisible, source))
            options["resource_root"] = f"{folder}/"
        engine = engine_class(
            num=settings.n_envs,
            env_name=settings.name,
            distribution_mode=settings.distribution_mode,
            rand_seed=settings.seed,
            num_threads=settings.n_threads,
            render_mode=render_mode,
            paint_vel_info=settings.paints_velocity,
            center_agent=settings.center_agent,
            use_backgrounds=settings.use_backgrounds,
            use_monochrome_assets=settings.use_monochrome_assets,
            restrict_themes=settings.restrict_themes,
            use_generated_assets=settings.use_generated_assets,
            debug_mode=settings.debug_mode,
            **options,
        )
    _process_invisible = settings.invisible
    return engine


def installed_version() -> str:
    """The package that Procgen came in and its version, "none" without one.

    Its two packages draw slightly different pictures of the same states.
    """
    for package in ("procgen-mirror", "procgen"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            return f"{package} {importlib.metadata.version(package)}"
    return "none"


def procgen_assets() -> pathlib.Path:
    """The folder of pictures inside the installed Procgen package."""
    return pathlib.Path(_import_procgen().__file__).parent / "data" / "assets"


def _import_procgen() -> Any:
    try:
        # Procgen imports gym, which prints an advertisement.
        with contextlib.redirect_stderr(io.StringIO()):
            import procgen
    except ImportError as error:
        raise GameError(
            f"Procgen cannot be imported ({error}): install procgen (Python 3.10) "
            "or procgen-mirror (3.11, 3.12)"
        ) from error
    return procgen
