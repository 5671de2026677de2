"""The names of `lucid.scratch.rl_util` over lucid_rl's own modules.

Code written for Lucid's rl_util, such as the article's notebook, runs after
`import lucid_rl`, or with its import line changed:

    from lucid_rl.rl_util import *

The original's submodules are there, too: `nmf`, `attribution`, `util`,
`joblib_wrapper`, `arch`.

Signatures and results are the original's, its known faults included where results
depend on them (patch grids off by one, colours above 1). What differs: models may
also be Models or paths, graphs are made once, memory does not grow with the
observations, `load_joblib` runs no code of the file's. Lucid itself is imported when
one of its names is first asked for. See docs/rl_util.md.
"""

import importlib
import sys
from typing import Any

import numpy as np

from lucid_rl.lazy_tensorflow import tf
from lucid_rl.model.lucid_network import gradient_override_map
from lucid_rl.rl_util.arrays import (
    argmax_nd,
    brightness_to_opacity,
    channels_to_rgb,
    concatenate_horizontally,
    conv2d,
    hue_to_rgb,
    norm_filter,
    rescale_opacity,
    zoom_to,
)
from lucid_rl.rl_util.attribution import (
    default_score_fn,
    get_acts,
    get_attr,
    get_grad,
    get_grad_or_attr,
    get_shape,
    get_var,
    maxpool_override,
)
from lucid_rl.rl_util.jd_files import load_joblib, save_joblib
from lucid_rl.rl_util.layer_nmf import LayerNMF
from lucid_rl.rl_util.lucid_names import lucid_name
from lucid_rl.rl_util.multi_path import get_multi_path_attr, get_paths
from lucid_rl.rl_util.showing import show

__all__ = [
    "ChannelReducer",
    "LayerNMF",
    "Model",
    "_display_html",
    "_image_url",
    "all_",
    "argmax_nd",
    "brightness_to_opacity",
    "channels_to_rgb",
    "concatenate_horizontally",
    "conv2d",
    "default_score_fn",
    "get_acts",
    "get_attr",
    "get_grad",
    "get_grad_or_attr",
    "get_multi_path_attr",
    "get_paths",
    "get_shape",
    "get_var",
    "gradient_override_map",
    "hue_to_rgb",
    "load_joblib",
    "lucid_svelte",
    "maxpool_override",
    "norm_filter",
    "np",
    "objectives",
    "param",
    "reload",
    "render",
    "rescale_opacity",
    "save",
    "save_joblib",
    "show",
    "tf",
    "transform",
    "zoom_to",
]


def all_() -> list[str]:
    """Names that `from lucid_rl.rl_util import *` brings."""
    return __all__


def reload(globals_dict: dict[str, Any]) -> None:
    """Reloads this module and puts its names into a dictionary of globals."""
    module = importlib.reload(sys.modules[__name__])
    globals_dict.update({name: getattr(module, name) for name in module.__all__})


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return lucid_name(name)
