"""The interface: its data bundle, the page, and the main job that makes both.

Bundles are read without TensorFlow; the main job imports it when asked for.
"""

from typing import TYPE_CHECKING, Any

from lucid_rl.interface.bundle import Bundle, read_bundle

if TYPE_CHECKING:
    from lucid_rl.interface.pipeline import make_interface
    from lucid_rl.interface.settings import InterfaceSettings

__all__ = ["Bundle", "InterfaceSettings", "make_interface", "read_bundle"]


def __getattr__(name: str) -> Any:
    if name == "make_interface":
        from lucid_rl.interface.pipeline import make_interface

        return make_interface
    if name == "InterfaceSettings":
        from lucid_rl.interface.settings import InterfaceSettings

        return InterfaceSettings
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
