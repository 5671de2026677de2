"""Paths of the original CoinRun's engine, which the user builds.

The package neither contains, fetches nor builds that engine. The two paths are a
matter of the machine and not of an experiment, so they are kept in environment
variables, which every process of the program inherits, and in no settings.
"""

import dataclasses
import hashlib
import os
import pathlib

from lucid_rl.errors import GameError
from lucid_rl.files import PathLike, expand_user, read_input

NAME = "coinrun_original"
LIBRARY_VARIABLE = "LUCID_RL_COINRUN_LIBRARY"
ASSETS_VARIABLE = "LUCID_RL_COINRUN_ASSETS"

# What upstream's Makefile calls the library, and where; others have prefixed it.
_LIBRARY_NAMES = ("coinrun_cpp.so", "libcoinrun_cpp.so")
# A picture that every level with a saw needs.
_ANY_PICTURE = "kenney/Enemies/sawHalf.png"


@dataclasses.dataclass(frozen=True)
class EngineFiles:
    """The engine's files, which exist.

    Attributes:
        library: the shared library that upstream's Makefile builds.
        assets: upstream's folder `coinrun/assets`.
    """

    library: pathlib.Path
    assets: pathlib.Path


def use_engine_files(library: PathLike | None, assets: PathLike | None) -> None:
    """Sets the paths for this process and those that it starts.

    Args:
        library: path of the shared library; None leaves it as it is.
        assets: path of the folder of pictures; None leaves it as it is.

    Raises:
        GameError: no file can have such a name.
        InputError: it is in a home folder that is not known.
    """
    for variable, path in ((LIBRARY_VARIABLE, library), (ASSETS_VARIABLE, assets)):
        if path is not None:
            try:
                os.environ[variable] = str(expand_user(path).absolute())
            except ValueError as error:
                raise GameError(f"no file is called {path!r}: {error}") from error


def engine_files() -> EngineFiles:
    """The engine's files.

    Raises:
        GameError: a path is not given, or there is no such file or folder.
    """
    library = _given(LIBRARY_VARIABLE, "--coinrun_library", "the engine's library")
    assets = _given(ASSETS_VARIABLE, "--coinrun_assets", "the engine's pictures")
    # A folder that has the library, or its other name, is accepted, too.
    folder = library if os.path.isdir(library) else library.parent
    if not os.path.isfile(library):
        for name in _LIBRARY_NAMES:
            if os.path.isfile(folder / name):
                library = folder / name
    if not os.path.isfile(library):
        raise GameError(
            f"there is no file {library}: give the shared library that the original "
            "CoinRun's Makefile builds, coinrun/.build-release/coinrun_cpp.so"
        )
    if not os.path.isfile(assets / _ANY_PICTURE):
        raise GameError(
            f"{assets} is not the original CoinRun's asset folder, as it holds no "
            f"{_ANY_PICTURE}: give the folder coinrun/assets of its sources"
        )
    return EngineFiles(library, assets)


def library_version() -> str:
    """The engine and the start of its library's SHA-256, for a results file."""
    library = engine_files().library
    try:
        digest = hashlib.sha256(read_input(library)).hexdigest()
    except OSError as error:
        raise GameError(f"cannot read {library}: {error.strerror}") from error
    return f"{NAME} {digest[:16]}"


def _given(variable: str, flag: str, what: str) -> pathlib.Path:
    value = os.environ.get(variable)
    if not value:
        raise GameError(
            f"{NAME} needs {what}: give its path as {flag} or in the environment "
            f"variable {variable} (docs/released_models.md)"
        )
    return pathlib.Path(value)
