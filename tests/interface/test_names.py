"""Files of feature names."""

import json

import pytest

from lucid_rl.errors import FileFormatError
from lucid_rl.interface.names import read_names

_NAMES = {"2b": {"0": "buzzsaw", "3": "coin </script>"}}


@pytest.mark.parametrize(
    "content",
    [_NAMES, {"lucid_rl_feature_names": 1, "model": "coinrun", "names": _NAMES}],
)
def test_names_read_as_exported_and_as_written_by_hand(tmp_path, content):
    path = tmp_path / "names.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    assert read_names(path) == {"2b": {0: "buzzsaw", 3: "coin </script>"}}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "3",
        '{"2b": ["a"]}',
        '{"2b": {"first": "a"}}',
        '{"2b": {"-1": "a"}}',
        '{"2b": {"0": 7}}',
        '{"lucid_rl_feature_names": 2, "names": {}}',
        '{"lucid_rl_feature_names": 1}',
    ],
)
def test_anything_else_is_an_error(tmp_path, text):
    path = tmp_path / "names.json"
    path.write_text(text)
    with pytest.raises(FileFormatError, match=r"names\.json"):
        read_names(path)


def test_a_missing_file_is_an_error(tmp_path):
    with pytest.raises(FileFormatError, match="cannot read"):
        read_names(tmp_path / "none.json")
