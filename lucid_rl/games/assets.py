"""CoinRun's sprites with some objects made transparent.

Both CoinRun engines draw an object from picture files of the same names. Where
these are fully transparent the object is not drawn, and nothing else changes:
levels, physics and rewards are those of the visible game.
"""

import contextlib
import os
import pathlib
import shutil
import tempfile
from collections.abc import Iterator, Sequence

from PIL import Image

from lucid_rl.errors import GameError, SettingsError
from lucid_rl.files import PathLike

_WALKING_ENEMIES = (
    "slimeBlock",
    "slimePurple",
    "slimeBlue",
    "slimeGreen",
    "mouse",
    "snail",
    "ladybug",
    "wormGreen",
    "wormPink",
)
# Objects that can be made invisible, and the pictures that show them.
INVISIBLE_OBJECTS: dict[str, tuple[str, ...]] = {
    "buzzsaw": ("kenney/Enemies/sawHalf.png", "kenney/Enemies/sawHalf_move.png"),
    "enemy": tuple(
        f"kenney/Enemies/{enemy}{pose}.png"
        for enemy in _WALKING_ENEMIES
        for pose in ("", "_move")
    ),
    "coin": ("kenney/Items/coinGold.png",),
}


def check_objects(objects: Sequence[str]) -> None:
    """Raises `SettingsError` unless all `objects` can be made invisible."""
    unknown = [name for name in objects if name not in INVISIBLE_OBJECTS]
    if unknown:
        raise SettingsError(
            f"cannot make {', '.join(map(repr, unknown))} invisible: expected "
            f"{', '.join(INVISIBLE_OBJECTS)}"
        )


@contextlib.contextmanager
def invisible_assets(
    objects: Sequence[str], source: PathLike
) -> Iterator[pathlib.Path]:
    """A temporary asset folder in which some objects are fully transparent.

    Yields:
        The folder. The other pictures are links to those in `source`, so it takes
        next to no room. An engine that has read it no longer needs it.

    Raises:
        SettingsError: an object is not one of the three.
        GameError: `source` lacks an object's pictures.
    """
    check_objects(objects)
    source = pathlib.Path(source).absolute()
    with tempfile.TemporaryDirectory(prefix="lucid_rl_assets_") as temporary:
        folder = pathlib.Path(temporary) / "assets"
        try:
            shutil.copytree(source, folder, copy_function=os.symlink)
            for name in objects:
                for file in INVISIBLE_OBJECTS[name]:
                    _make_transparent(folder / file)
        except (OSError, shutil.Error) as error:
            raise GameError(
                f"cannot make {', '.join(objects)} invisible: {source} is not an "
                f"asset folder of CoinRun ({error})"
            ) from error
        yield folder


def _make_transparent(picture: pathlib.Path) -> None:
    with Image.open(picture) as image:
        size = image.size
    # What is there is a link to the engine's own picture.
    picture.unlink()
    Image.new("RGBA", size, (0, 0, 0, 0)).save(picture)
