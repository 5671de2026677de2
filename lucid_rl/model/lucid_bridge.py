"""Lucid on current TensorFlow, leaving the user's TensorFlow alone.

Lucid (0.3.8 and 0.3.10) was written for TensorFlow 1: it says `import tensorflow`
and means graph mode with `tensorflow.contrib`. Here a finder loads Lucid's modules
with their own `__import__`, for which `tensorflow` is `tensorflow.compat.v1` with
the pieces of contrib that Lucid uses. Nobody else's imports change: `sys.modules`
keeps the real TensorFlow, eager execution stays on, and Lucid's imports inside
functions work whenever they run.

    from lucid_rl.model import lucid_bridge as bridge
    images = bridge.render.render_vis(model, bridge.objectives.channel(...))

`bridge.render`, `.param`, `.objectives`, `.transform`, `.Model` and the other names
of `ATTRIBUTES` are imported when first asked for. After `import_lucid()`, plain
`import lucid.optvis.render` works too.
"""

from __future__ import annotations

import builtins
import functools
import importlib
import importlib.abc
import importlib.machinery
import logging
import os
import sys
import types
import warnings
from collections.abc import Sequence
from typing import Any

from lucid_rl.errors import ModelError
from lucid_rl.lazy_tensorflow import tf
from lucid_rl.model import lucid_contrib, lucid_model
from lucid_rl.model.graph_input import expected_range

ATTRIBUTES = {
    "render": "lucid.optvis.render",
    "param": "lucid.optvis.param",
    "objectives": "lucid.optvis.objectives",
    "transform": "lucid.optvis.transform",
    "gradient_override": "lucid.misc.gradient_override",
    "Model": "lucid.modelzoo.vision_base:Model",
    "ChannelReducer": "lucid.misc.channel_reducer:ChannelReducer",
    "rl_util": "lucid.scratch.rl_util",  # in Lucid 0.3.10 only
}
"""What the bridge offers: attribute -> "module" or "module:name" of Lucid."""


def make_importable() -> None:
    """Lets `import lucid` and its submodules work; imports nothing itself."""
    if not any(isinstance(finder, _LucidFinder) for finder in sys.meta_path):
        # What was imported without the bridge holds the wrong TensorFlow.
        for name in [name for name in sys.modules if _is_lucid(name)]:
            del sys.modules[name]
        sys.meta_path.insert(0, _LucidFinder())


def import_lucid() -> types.ModuleType:
    """Makes `lucid` importable and imports it.

    Returns:
        The package `lucid`.

    Raises:
        ModelError: Lucid is not installed.
    """
    make_importable()
    try:
        return importlib.import_module("lucid")
    except ModuleNotFoundError as error:
        raise ModelError("Lucid is not installed; run `pip install lucid`.") from error


def as_lucid_model(
    graph_def: tf.GraphDef,
    input_name: str = "Placeholder",
    image_shape: Sequence[int] = (64, 64, 3),
    image_value_range: tuple[float, float] = (0.0, 1.0),
) -> Any:
    """Makes a frozen network a model that Lucid's functions take.

    Args:
        graph_def: a frozen graph such as `Model.graph_def` gives.
        input_name: the Placeholder of the observations.
        image_shape: (height, width, channels) of one observation.
        image_value_range: what the Placeholder takes for black and for white.

    Returns:
        An instance of Lucid's `Model`, of whichever version is installed.
    """
    model_class = __getattr__("Model")
    attributes = {
        "model_path": None,
        "input_name": input_name,
        "image_shape": list(image_shape),
        "image_value_range": tuple(image_value_range),
        "layers": [],
    }
    model = type("FrozenNetwork", (model_class,), attributes)()
    # A lazily loaded property since Lucid 0.3.9, a plain attribute before.
    lazy = isinstance(getattr(model_class, "graph_def", None), property)
    setattr(model, "_graph_def" if lazy else "graph_def", graph_def)
    return model


def load_model(path: str | os.PathLike) -> Any:
    """Loads a `.model.pb` as Lucid's `Model.load` of 0.3.10 does, on any version.

    Raises:
        FileFormatError: the file is no frozen network, or not a safe one.
    """
    graph_def, metadata = lucid_model.read_model_and_metadata(path)
    pixels, _ = expected_range(
        graph_def, metadata.input_name, None, metadata.image_value_range
    )
    return as_lucid_model(graph_def, metadata.input_name, metadata.image_shape, pixels)


def __getattr__(name: str) -> Any:
    if name not in ATTRIBUTES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import_lucid()
    module_name, _, member = ATTRIBUTES[name].partition(":")
    module = importlib.import_module(module_name)
    return getattr(module, member) if member else module


def _is_lucid(module_name: str) -> bool:
    return module_name == "lucid" or module_name.startswith("lucid.")


class _LucidFinder(importlib.abc.MetaPathFinder):
    """Finds Lucid's modules where they are, to be loaded by `_LucidLoader`."""

    def find_spec(self, fullname, path=None, target=None):
        if not _is_lucid(fullname):
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        if spec is not None and isinstance(
            spec.loader, importlib.machinery.SourceFileLoader
        ):
            spec.loader = _LucidLoader(fullname, spec.loader.path)
        return spec


class _LucidLoader(importlib.machinery.SourceFileLoader):
    """Runs a module of Lucid with imports of its own."""

    def exec_module(self, module: types.ModuleType) -> None:
        module.__dict__["__builtins__"] = _BUILTINS
        root = logging.getLogger()
        handlers, level = root.handlers[:], root.level
        with warnings.catch_warnings():
            # Old syntax and old names in Lucid are not the user's to mend.
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
def _tensorflow_1() -> _Extended:
    """TensorFlow as Lucid knows it."""
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
        return _tensorflow_1()
    found: Any = _tensorflow_1()
    try:
        for part in filter(None, rest.split(".")):
            found = getattr(found, part)
    except AttributeError:
        # TensorFlow's inner modules are no part of compat.v1.
        return builtins.__import__(name, globals, locals, fromlist, level)
    return found


_BUILTINS = {**vars(builtins), "__import__": _lucid_import}
