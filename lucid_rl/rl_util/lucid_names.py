"""Lucid's own names that rl_util passes on."""

from typing import Any

from lucid_rl.model import lucid_bridge
from lucid_rl.rl_util.jd_files import local_file


def lucid_name(name: str) -> Any:
    """One of `lucid_bridge.ATTRIBUTES`, from whichever Lucid is installed.

    `Model.load`, which Lucid has since 0.3.9, is there with earlier ones too; it then
    takes a path or an address of a frozen network.
    """
    try:
        value = getattr(lucid_bridge, name)
    except NameError:
        # Lucid's Svelte needs a notebook; the original ignores this, too.
        return None
    if name == "Model" and not hasattr(value, "load"):
        value = type("Model", (value,), {"load": staticmethod(_load_model)})
    return value


def _load_model(url_or_path: Any) -> Any:
    with local_file(url_or_path) as path:
        return lucid_bridge.load_model(path)
