"""The data bundle of an interface: written for the page, read back in Python.

docs/bundle_format.md is the contract between this module and the page.
"""

import dataclasses
import os
import pathlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from lucid_rl.errors import BundleError
from lucid_rl.files import PathLike, atomic_open, read_input, read_text
from lucid_rl.interface.parts import Part
from lucid_rl.interface.quantization import LEVELS, dequantize

# The codes, and what they stand for as float32.
_ATTRIBUTION_MEMORY = 6
_ELEMENT = '<script type="application/x-lucid-rl" data-part="'


def part_file(name: str) -> str:
    """A part's file, relative to the page."""
    return f"data/{name.replace('/', '_')}.js"


def policy_parts(part: Part) -> Iterator[Part]:
    """What is common to a layer's attributions of actions, and a part for each action.

    A page so loads the actions it shows and no others.
    """
    maps = [name for name in part.names if name.startswith("attribution/")]
    yield part.pick(part.name, [name for name in part.names if name not in maps])
    for action, name in enumerate(maps):
        yield part.pick(f"{part.name}/{action}", [name])


def write_part(part: Part, directory: PathLike, encoding: str = "windows-1252") -> None:
    """Writes a part's script beside the page, atomically.

    `directory` is where index.html stands; `encoding` is "windows-1252" or
    "base64".

    Raises:
        SaveError: the file cannot be written.
    """
    with atomic_open(pathlib.Path(directory) / part_file(part.name)) as stream:
        stream.write(part.to_script(encoding))


def part_element(part: Part) -> str:
    """The element that holds a part inside a page of a single file."""
    return f'{_ELEMENT}{part.name}">{part.to_element()}</script>\n'


@dataclasses.dataclass
class Bundle:
    """A bundle, read part by part as it is asked for.

    Attributes:
        path: the page's folder, or the page of a single file.
        manifest: meta of the part "manifest" (docs/bundle_format.md).
    """

    path: pathlib.Path
    manifest: dict[str, Any] = dataclasses.field(repr=False)
    _parts: dict[str, Part] = dataclasses.field(repr=False)

    def part(self, name: str) -> Part:
        """A part by name, such as "frames", "model/2b" or "model/2b/policy/7".

        Raises:
            BundleError: it is missing or damaged.
        """
        if name not in self._parts:
            self._parts[name] = _read_script(self.path / part_file(name), name)
        return self._parts[name]

    @property
    def models(self) -> tuple[str, ...]:
        """The models' ids."""
        return tuple(model["id"] for model in self.manifest["models"])

    def layers(self, model: str = "model") -> tuple[str, ...]:
        """The ids of a model's layers, in the page's order."""
        for entry in self.manifest["models"]:
            if entry["id"] == model:
                return tuple(layer["id"] for layer in entry["layers"])
        raise BundleError(f"{self.path} holds no model {model!r}, only {self.models}")

    def observations(self, trajectory: int) -> np.ndarray:
        """The frames of a trajectory, uint8 [T, H, W, 3]."""
        frames = self.frames(trajectory)
        return self.part("frames").array("observations", frames.start, frames.stop)

    def values(self, model: str = "model") -> np.ndarray:
        """The value function at every frame, float32 [S]; S counts all frames."""
        return self.part("manifest").array(f"{model}/values")

    def attribution(
        self,
        layer: str,
        trajectory: int,
        *,
        model: str = "model",
        action: int | None = None,
    ) -> np.ndarray:
        """Attributions by feature, as the page shows them.

        Args:
            layer: "2b", "input", ….
            trajectory: its number.
            model: the model's id.
            action: attributions to this action's logit; to the value function if None.

        Returns:
            float32 [K + 1, T, H, W], the last feature the residual (for "input" the
            gradients by red, green and blue: [3, T, H, W]); within 1/code_levels
            (1/255 by default) of each frame's scale of what was computed.

        Raises:
            BundleError: the bundle holds no such thing, or is damaged.
        """
        name = f"{model}/{layer}" + ("" if action is None else "/policy")
        part = holder = self.part(name)
        array = "attribution" if action is None else f"attribution/{action}"
        if action is not None:
            n_actions = (*part.array("totals").shape, 0)[0]
            if not 0 <= action < n_actions:
                raise BundleError(f"no action {action}; there are {n_actions}, from 0")
            holder = self.part(f"{name}/{action}")
        frames = self.frames(trajectory)
        codes = holder.array(array, frames.start, frames.stop, _ATTRIBUTION_MEMORY)
        scales = part.array("frame_scale")[frames]
        if codes.ndim != 4 or scales.shape != codes.shape[1:2]:
            raise BundleError(f"part {name!r}: scales and attributions do not match")
        levels = part.meta.get("code_levels", LEVELS)
        if type(levels) is not int or not 3 <= levels <= LEVELS:
            raise BundleError(
                f"part {name!r}: {levels!r} code levels, not 3 to {LEVELS}"
            )
        return dequantize(codes, scales, levels)

    def directions(self, layer: str, model: str = "model") -> np.ndarray:
        """The directions of a layer's features, float32 [K, C], as in `NMF`.

        Raises:
            BundleError: the page was made without the model (`live_model=False`).
        """
        return self.part(f"{model}/network").array(f"directions/{layer}")

    def frames(self, trajectory: int) -> slice:
        """Where a trajectory's frames lie among all S frames."""
        lengths = [entry["length"] for entry in self.manifest["trajectories"]]
        start = sum(lengths[: self._check(trajectory)])
        return slice(start, start + lengths[trajectory])

    def _check(self, trajectory: int) -> int:
        count = len(self.manifest["trajectories"])
        if not 0 <= trajectory < count:
            raise BundleError(
                f"no trajectory {trajectory}; the bundle holds {count}, from 0"
            )
        return trajectory


def read_bundle(path: PathLike) -> Bundle:
    """Opens a bundle for reading.

    Args:
        path: the page's folder, its index.html, or a page of a single file.

    Returns:
        The bundle; parts are read when first asked for.

    Raises:
        BundleError: there is none, or it is damaged or of another version.
    """
    given = pathlib.Path(path)
    folder = given if os.path.isdir(given) else given.parent
    parts = {} if os.path.isdir(given) else _read_page(given)
    if "manifest" not in parts and os.path.exists(folder / part_file("manifest")):
        parts["manifest"] = _read_script(folder / part_file("manifest"), "manifest")
    elif "manifest" not in parts and os.path.isdir(given):
        parts = _read_page(folder / "index.html")
    if "manifest" not in parts:
        raise BundleError(
            f"{given} holds no bundle: neither {part_file('manifest')} nor a page with "
            "the data inside. Make one with `lucid-rl make-page`."
        )
    manifest = parts["manifest"].meta
    try:
        _check_manifest(manifest)
    except ValueError as error:
        raise BundleError(f"{given}: the manifest {error}") from None
    return Bundle(folder, manifest, parts)


def _check_manifest(manifest: dict[str, Any]) -> None:
    """Checks what this module reads of a manifest; ValueError says what is wrong."""
    for key in ("models", "trajectories"):
        if not isinstance(manifest.get(key), list) or not all(
            isinstance(entry, dict) for entry in manifest[key]
        ):
            raise ValueError(f"lists no {key}")
    for entry in manifest["trajectories"]:
        if type(entry.get("length")) is not int or entry["length"] < 0:
            raise ValueError("names a trajectory without a length")
    for model in manifest["models"]:
        layers = model.get("layers")
        named = isinstance(model.get("id"), str) and isinstance(layers, list)
        if not named or not all(
            isinstance(layer, dict) and isinstance(layer.get("id"), str)
            for layer in layers
        ):
            raise ValueError("names a model or layer without an id")


def _read_script(path: pathlib.Path, name: str) -> Part:
    try:
        part = Part.from_script(read_input(path))
    except OSError as error:
        raise BundleError(f"cannot read {path}: {error.strerror}") from None
    except BundleError as error:
        raise BundleError(f"{path}: {error}") from None
    if part.name != name:
        raise BundleError(f"{path} holds part {part.name!r}, expected {name!r}")
    return part


def _read_page(path: pathlib.Path) -> dict[str, Part]:
    try:
        text = read_text(path)
    except OSError as error:
        raise BundleError(f"cannot read {path}: {error}") from None
    parts = {}
    for element in text.split(_ELEMENT)[1:]:
        name, _, rest = element.partition('">')
        content, closing, _ = rest.partition("</script>")
        if not closing:
            raise BundleError(f"{path}: part {name!r} is cut short")
        try:
            parts[name] = Part.from_element(content)
        except BundleError as error:
            raise BundleError(f"{path}: part {name!r}: {error}") from None
    return parts
