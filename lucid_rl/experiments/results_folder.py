"""A folder of one experiment's results: kept parts, JSON, Markdown, and a lock."""

import contextlib
import json
import pathlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

from lucid_rl.bounded import read_json
from lucid_rl.errors import FileFormatError
from lucid_rl.files import PathLike, check_output_folder, write_json, write_text
from lucid_rl.folder_lock import folder_lock
from lucid_rl.reports import command_line

_Value = TypeVar("_Value")


class ResultsFolder:
    """Results of an experiment, and the parts that an interrupted one resumes from.

    Files: `<name>.json` and `<name>.md` with the results, `<name>_parts.json` with the
    parts, `episodes/` with the levels played.

    Attributes:
        path: the folder.
        name: of the experiment.
        episodes: folder of the levels played.
    """

    def __init__(self, path: PathLike, name: str) -> None:
        self.path, self.name = pathlib.Path(path), name
        self.episodes = self.path / "episodes"

    @contextlib.contextmanager
    def locked(self) -> Iterator["ResultsFolder"]:
        """Holds the folder's lock while the block runs."""
        check_output_folder(self.path)
        with folder_lock(self.path, self.name):
            yield self

    def keep(
        self, part: str, identity: Mapping[str, Any], compute: Callable[[], _Value]
    ) -> _Value:
        """Gives a part that was kept, or computes and keeps it; plain values of JSON.

        A part that was kept with another `identity`, plain values that it depends on,
        is computed again.
        """
        wanted = json.loads(json.dumps(identity))
        parts = self._parts()
        kept = parts.get(part)
        if not isinstance(kept, dict) or kept.get("identity") != wanted:
            parts[part] = {"identity": wanted, "value": compute()}
            write_json(self.path / f"{self.name}_parts.json", parts)
            parts = self._parts()
        return parts[part]["value"]

    def write(self, results: Mapping[str, Any], report: str) -> None:
        """Writes results as JSON and the report as Markdown, each with the command."""
        command = command_line()
        write_json(self.path / f"{self.name}.json", {"command": command, **results})
        write_text(self.path / f"{self.name}.md", f"`{command}`\n\n{report}")

    def _parts(self) -> dict[str, Any]:
        try:
            found = read_json(self.path / f"{self.name}_parts.json")
        except FileFormatError:
            return {}  # nothing kept yet, or damaged
        return found if isinstance(found, dict) else {}
