"""Makes `import lucid` work on current TensorFlow, leaving the user's alone.

Lucid (0.3.8 and 0.3.10) was written for TensorFlow 1: it says `import tensorflow`
and means graph mode with `tensorflow.contrib`. The finder here loads Lucid's modules
with their own `__import__`, for which `tensorflow` is `tensorflow.compat.v1` with
the pieces of contrib that Lucid uses. Other imports do not change: `sys.modules`
keeps the real TensorFlow, eager execution stays on, and Lucid's imports inside
functions work whenever they run.
"""

from __future__ import annotations

import builtins
import functools
import importlib
import importlib.abc
import importlib.machinery
import logging
import sys
import types
import warnings
from collections.abc import Mapping
from typing import Any

_supplied: dict[str, str] = {}


def make_importable(supplied: Mapping[str, str] | None = None) -> None:
    """Lets `import lucid` and its submodules work; imports nothing itself.

    `supplied` maps modules of Lucid to modules that replace them where the installed
    version lacks them: pip installs 0.3.8, and code written for 0.3.10 asks for more.
    """
    _supplied.update(supplied or {})
    if not any(isinstance(finder, _LucidFinder) for finder in sys.meta_path):
        # Modules that were imported before use the wrong TensorFlow.
        for name in [name for name in sys.modules if _is_lucid(name)]:
            del sys.modules[name]
        sys.meta_path.insert(0, _LucidFinder())


def _is_lucid(module_name: str) -> bool:
    return module_name == "lucid" or module_name.startswith("lucid.")


class _LucidFinder(importlib.abc.MetaPathFinder):
    """Finds Lucid's modules where they are, to be loaded by `_LucidLoader`."""

    def find_spec(self, fullname, path=None, target=None):
        if not _is_lucid(fullname):
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        if spec is None and fullname in _supplied:
            loader = _SuppliedLoader(_supplied[fullname])
            return importlib.machinery.ModuleSpec(fullname, loader)
        if spec is not None and isinstance(
            spec.loader, importlib.machinery.SourceFileLoader
        ):
            spec.loader = _LucidLoader(fullname, spec.loader.path)
        return spec


class _SuppliedLoader(importlib.abc.Loader):
    """Puts another module in the place of one that the installed Lucid lacks."""

    def __init__(self, replacement: str):
        self._replacement = replacement

    def exec_module(self, module: types.ModuleType) -> None:
        sys.modules[module.__name__] = importlib.import_module(self._replacement)


class _LucidLoader(importlib.machinery.SourceFileLoader):
    """Runs a module of Lucid with imports of its own."""

    def exec_module(self, module: types.ModuleType) -> None:
        module.__dict__["__builtins__"] = _BUILTINS
        root = logging.getLogger()
        handlers, level = root.handlers[:], root.level
        with warnings.catch_warnings():
            # Warnings of old syntax and names in Lucid are of no use to users.
            warnings.simplefilter("ignore")
            super().exec_module(module)
        # Lucid configures the root logger when imported; that is the user's choice.
        root.handlers[:] = handlers
        root.setLevel(level)


class _Extended(types.ModuleType):
    """A module with some names replaced."""

    def __init__(self, name: str, original: Any, **replacements: Any):
        super().__init__(name)
        self.__dict__.update(replacements)
        self._original = original

    def __getattr__(self, name: str) -> Any:
        return getattr(self._original, name)

    def __dir__(self) -> list[str]:
        return sorted({*dir(self._original), *self.__dict__})


@functools.cache
def tensorflow_1() -> types.ModuleType:
    """TensorFlow 1 with the parts of `contrib` that Lucid uses."""
    from lucid_rl.model import lucid_contrib

    module = importlib.import_module("tensorflow.compat.v1")
    # Lucid's own calls of these two would log that they are deprecated.
    image = _Extended(
        "tensorflow.image", module.image, resize_bilinear=lucid_contrib.resize_bilinear
    )
    return _Extended(
        "tensorflow",
        module,
        contrib=lucid_contrib,
        image=image,
        to_float=lucid_contrib.to_float,
    )


def _lucid_import(name, globals=None, locals=None, fromlist=(), level=0):
    """`__import__` as Lucid's modules see it."""
    package, _, rest = name.partition(".")
    if level or package != "tensorflow":
        return builtins.__import__(name, globals, locals, fromlist, level)
    if not fromlist:
        return tensorflow_1()
    found: Any = tensorflow_1()
    try:
        for part in filter(None, rest.split(".")):
            found = getattr(found, part)
    except AttributeError:
        # TensorFlow's inner modules are not part of compat.v1.
        return builtins.__import__(name, globals, locals, fromlist, level)
    return found


_BUILTINS = {**vars(builtins), "__import__": _lucid_import}
