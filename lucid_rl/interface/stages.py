"""Finished stages kept on disk, so that a second run need not repeat them.

A stage's result is a `Part`, filed under a hash of everything it was made from.
Files are written atomically and carry a checksum, so an interrupted run leaves
either a whole stage or none, and a damaged one is made again.
"""

import contextlib
import dataclasses
import hashlib
import json
import os
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from lucid_rl.errors import BundleError
from lucid_rl.files import PathLike
from lucid_rl.interface.parts import VERSION, Part
from lucid_rl.version import __version__

_SUFFIX = ".stage"


class StageCache:
    """A folder of finished stages."""

    def __init__(self, directory: PathLike) -> None:
        self.directory = pathlib.Path(directory)
        self.reused: list[str] = []
        self.made: list[str] = []
        self._used: set[pathlib.Path] = set()

    def get(
        self, name: str, inputs: Mapping[str, Any], make: Callable[[], Part]
    ) -> Part:
        """The stage's result, made if it is not there.

        Args:
            name: the stage's name, such as "features/model/2b".
            inputs: everything the result depends on: settings (dataclasses and
                plain values) and digests of arrays.
            make: makes it.
        """
        path = (
            self.directory / f"{name.replace('/', '_')}-{_key(name, inputs)}{_SUFFIX}"
        )
        self._used.add(path)
        with contextlib.suppress(BundleError):
            part = Part.load(path)
            self.reused.append(name)
            return part
        part = make()
        part.save(path)
        self.made.append(name)
        return part

    def prune(self) -> None:
        """Deletes stages that this run did not use."""
        for path in self.directory.glob(f"*{_SUFFIX}"):
            if path not in self._used:
                with contextlib.suppress(OSError):
                    os.unlink(path)


def digest(*arrays: np.ndarray) -> str:
    """A hash of arrays' contents, types and shapes."""
    state = hashlib.sha256()
    for array in arrays:
        state.update(f"{array.dtype.str}{array.shape}".encode())
        state.update(np.ascontiguousarray(array).data)
    return state.hexdigest()


def _key(name: str, inputs: Mapping[str, Any]) -> str:
    versions = {"package": __version__, "parts": VERSION}
    text = json.dumps(
        {"stage": name, "versions": versions, "inputs": dict(inputs)},
        sort_keys=True,
        default=_plain,
    )
    return hashlib.sha256(text.encode()).hexdigest()[:20]


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    raise TypeError(f"a stage's input of type {type(value).__name__} has no plain form")
