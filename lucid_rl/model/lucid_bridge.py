"""Lucid's functions and models from Python code of this package.

    from lucid_rl.model import lucid_bridge as bridge
    images = bridge.render.render_vis(model, bridge.objectives.channel(...))

`bridge.render`, `.param`, `.objectives`, `.transform`, `.Model` and the other names
of `ATTRIBUTES` are imported at their first use, on current TensorFlow
(`lucid_finder`).
"""

from __future__ import annotations

import importlib
import os
import types
from collections.abc import Sequence
from typing import Any

from lucid_rl.errors import ModelError
from lucid_rl.lazy_tensorflow import tf
from lucid_rl.model import lucid_model
from lucid_rl.model.graph_input import expected_range
from lucid_rl.model.lucid_finder import make_importable

ATTRIBUTES = {
    "render": "lucid.optvis.render",
    "param": "lucid.optvis.param",
    "objectives": "lucid.optvis.objectives",
    "transform": "lucid.optvis.transform",
    "gradient_override": "lucid.misc.gradient_override",
    "Model": "lucid.modelzoo.vision_base:Model",
    "ChannelReducer": "lucid.misc.channel_reducer:ChannelReducer",
    "showing": "lucid.misc.io.showing",
    "rl_util": "lucid.scratch.rl_util",
    "save": "lucid.misc.io:save",
    "lucid_svelte": "lucid.scratch.web.svelte",
    "_image_url": "lucid.misc.io.showing:_image_url",
    "_display_html": "lucid.misc.io.showing:_display_html",
}
"""What the bridge offers: attribute -> "module" or "module:name" of Lucid."""


def import_lucid() -> types.ModuleType:
    """Makes `lucid` importable and imports it.

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
    """Makes a frozen network an instance of the installed Lucid's `Model`.

    Args:
        graph_def: a frozen graph such as `Model.graph_def` gives.
        input_name: the Placeholder of the observations.
        image_shape: (height, width, channels) of one observation.
        image_value_range: what the Placeholder takes for black and for white.
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
        FileFormatError: the file is not a frozen network, or not a safe one.
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
