"""Names that a person gave to features."""

import json
import pathlib

from lucid_rl.errors import FileFormatError
from lucid_rl.files import PathLike

Names = dict[str, dict[int, str]]
_VERSION_KEY = "lucid_rl_feature_names"


def read_names(path: PathLike) -> Names:
    """Reads a file of names, as the page exports it or written by hand.

    Args:
        path: JSON, `{"lucid_rl_feature_names": 1, "names": {"2b": {"0": "buzzsaw"}}}`
            or the inner object alone; features count from 0.

    Returns:
        Names by layer and feature.

    Raises:
        FileFormatError: the file is missing or something else.
    """
    try:
        content = json.loads(pathlib.Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise FileFormatError(f"cannot read {path}: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise FileFormatError(f"{path} is not JSON: {error}") from None
    try:
        if _VERSION_KEY in content:
            if content[_VERSION_KEY] != 1:
                raise ValueError(f"version {content[_VERSION_KEY]!r}, not 1")
            content = content["names"]
        return {
            str(layer): {_index(key): _text(name) for key, name in names.items()}
            for layer, names in content.items()
        }
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise FileFormatError(
            f'{path} holds no names of features ({error}); expected {{"2b": {{"0": '
            '"buzzsaw"}}, as the page exports them'
        ) from None


def _index(key: str) -> int:
    index = int(key)
    if index < 0:
        raise ValueError(f"feature {key}")
    return index


def _text(name: object) -> str:
    if not isinstance(name, str):
        raise TypeError(f"name {name!r}")
    return name
