"""Names that a person gave to features."""

from lucid_rl.bounded import check_schema, read_json
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
    content = read_json(path, dict)
    if _VERSION_KEY in content:
        if content[_VERSION_KEY] != 1:
            version = f"{content[_VERSION_KEY]!r:.60}"
            raise FileFormatError(f"{path} is of version {version}: expected 1.")
        check_schema(content, {"names": dict}, str(path))
        content = content["names"]
    try:
        check_schema(content, {str: {str: str}}, str(path))
        return {
            layer: {_index(key, path): name for key, name in names.items()}
            for layer, names in content.items()
        }
    except FileFormatError as error:
        raise FileFormatError(
            f'{error}. Names of features are {{"2b": {{"0": "buzzsaw"}}}}, as the page '
            "exports them."
        ) from None


def _index(key: str, path: PathLike) -> int:
    if not key.isdecimal() or len(key) > 9:
        raise FileFormatError(f"{path}: feature {key!r:.60} is no number")
    return int(key)
