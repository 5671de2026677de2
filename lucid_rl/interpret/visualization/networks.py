"""Networks in the graph of an optimization, Lucid's `T` of objectives."""

import difflib
import os
from collections.abc import Sequence
from typing import Any

from lucid_rl.checkpoints.checkpoint import Checkpoint
from lucid_rl.errors import ModelError, SettingsError
from lucid_rl.interpret.visualization.objectives import Objective
from lucid_rl.interpret.visualization.receptive_field import Window, receptive_window
from lucid_rl.lazy_tensorflow import tf
from lucid_rl.model.loading import load
from lucid_rl.model.lucid_network import lucid_model
from lucid_rl.model.model import Model


def opened(model: Any) -> Any:
    """The `Model` that a name, file or checkpoint stands for.

    Models of Lucid's, and `.pb` files, which may hold one, are returned as they are.
    """
    is_path = isinstance(model, str | os.PathLike)
    if isinstance(model, Checkpoint) or (
        is_path and not os.fspath(model).endswith(".pb")
    ):
        return load(model)
    return model


class Tensors:
    """A network's tensors by name, as far as an objective needs them.

    Where the objective depends on single positions, the network sees no more of the
    image than these do; elsewhere its activations are 0.

    Attributes:
        other: the same of a second network, or None.
    """

    def __init__(
        self,
        model: Any,
        objective: Objective,
        image: Any,
        seen: Any,
        *,
        compare_to: Any = None,
        scope: str = "import",
        same_size: bool = True,
    ):
        """Imports a network into the current graph.

        Args:
            model: a Model, a Lucid model, or the path of either.
            objective: what will be asked for.
            image: the tensor that "input" names.
            seen: images f32 [N, H, W, C] that the network sees.
            compare_to: a second model, for objectives that compare two.
            scope: name of the copy; each copy needs its own.
            same_size: whether `seen` has the size that the network was made for.
        """
        self._model, self._image, self._same_size = model, image, same_size
        self._window = None
        if seen.shape[1:3].is_fully_defined():
            size = seen.shape[1:3].as_list()
            self._window = objective_window(model, objective, size)
        cropped = seen if self._window is None else self._window.crop(seen)
        import_graph(model, cropped, scope)
        self._graph, self._scope = tf.get_default_graph(), scope
        self.other: Tensors | None = None
        if compare_to is not None:
            scope = f"other_{scope}"
            self.other = Tensors(
                compare_to, objective, image, seen, scope=scope, same_size=same_size
            )

    def __call__(self, name: str) -> Any:
        """The tensor of this name, [N, ...]."""
        if name == "input":
            return self._image
        node = node_name(self._model, name)
        found = self._graph.get_tensor_by_name(f"{self._scope}/{node}:0")
        if self._window is not None:
            return self._window.restore(node, found)
        if found.shape.rank == 1:  # a single number for each image
            found = found[:, None]
        if found.shape.rank != 4 and not self._same_size:
            raise SettingsError(
                f"{name!r} lies behind a layer that takes images of one size: set "
                "keep_size of the transformations, or no jitter, padding or scaling"
            )
        return found

    def shape(self, name: str) -> tuple[int, ...] | None:
        """The tensor's shape for an image before its transformations, if known."""
        model = self._model
        if isinstance(model, Model) and model.image_shape == self._image.shape[1:]:
            return model.layer_shape(name)
        return None


def objective_window(
    model: Any, objective: Objective, size: Sequence[int]
) -> Window | None:
    """The part of images of a size (H, W) that an objective's layers depend on.

    None where the objective does not name single positions, or where what lies before
    them is not known.
    """
    if not objective.places:
        return None
    places = [(node_name(model, layer), place) for layer, place in objective.places]
    return receptive_window(model, places, (size[0], size[1]))


def import_graph(model: Any, images: Any, scope: str) -> None:
    """Imports any kind of model, with `images` in [0, 1] for its input."""
    lucid_model(model).import_graph(images, scope=scope, forget_xy_shape=True)


def node_name(model: Any, name: str) -> str:
    """Name of a layer's node in the model's own graph.

    Raises:
        ModelError: there is none.
    """
    if isinstance(model, Model):
        return model.node_name(name)
    node = str(name).removesuffix(":0")
    names = [node.name for node in lucid_model(model).graph_def.node]
    if node not in names:
        near = difflib.get_close_matches(node, names, 5, 0.3)
        raise ModelError(
            f"the model has no tensor {name!r}; near it are {', '.join(near)}"
        )
    return node
