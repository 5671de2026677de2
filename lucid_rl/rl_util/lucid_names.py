"""Lucid's own names that rl_util passes on."""

import importlib
from typing import Any

from lucid_rl.model import lucid_bridge
from lucid_rl.rl_util.jd_files import local_file

SOURCES = {
    "Model": "lucid.modelzoo.vision_base:Model",
    "ChannelReducer": "lucid.misc.channel_reducer:ChannelReducer",
    "param": "lucid.optvis.param",
    "objectives": "lucid.optvis.objectives",
    "render": "lucid.optvis.render",
    "transform": "lucid.optvis.transform",
    "save": "lucid.misc.io:save",
    "_image_url": "lucid.misc.io.showing:_image_url",
    "_display_html": "lucid.misc.io.showing:_display_html",
    "lucid_svelte": "lucid.scratch.web.svelte",
}
"""Name -> "module" or "module:name" of Lucid."""


def lucid_name(name: str) -> Any:
    """One of `SOURCES`, from whichever Lucid is installed.

    `Model.load`, which Lucid has since 0.3.9, is there with earlier ones too; it then
    takes a path or an address of a frozen network.
    """
    lucid_bridge.import_lucid()
    module_name, _, member = SOURCES[name].partition(":")
    try:
        module = importlib.import_module(module_name)
    except NameError:
        # The original's own way out where Lucid's Svelte needs a notebook.
        return None
    value: Any = getattr(module, member) if member else module
    if name == "Model" and not hasattr(value, "load"):
        value = type("Model", (value,), {"load": staticmethod(_load_model)})
    return value


def _load_model(url_or_path: Any) -> Any:
    with local_file(url_or_path) as path:
        return lucid_bridge.load_model(path)
