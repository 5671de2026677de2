"""Any of Lucid's models as one graph and one session, made once and reused.

Unlike a `Model`, it needs no policy and value function. `LucidNetwork` computes
activations of tensors by name, and gradients of a score with respect to a tensor that
is fed, so that nothing before that tensor is recomputed.
"""

import contextlib
import difflib
import os
import pathlib
import weakref
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from lucid_rl.errors import InputError, ModelError
from lucid_rl.lazy_tensorflow import tf
from lucid_rl.model import lucid_bridge
from lucid_rl.model.batching import batch_slices
from lucid_rl.model.graph_bounds import make_session, tensorflow_errors
from lucid_rl.model.loading import load
from lucid_rl.model.model import INPUT, Model

Score = Callable[[Any], Any]
Override = Mapping[str, Any]

_SCOPE = "import"
BATCH_SIZE = 64
"""Observations of one pass."""

MAX_SCORES = 16
"""Graphs grow with each new score function; past this many they are made anew."""

_MAX_OVERRIDES = 4

# Networks by model, kept as long as the model.
_kept_for: "weakref.WeakKeyDictionary[Any, dict]" = weakref.WeakKeyDictionary()
_models_of_files: dict[tuple, Any] = {}


def lucid_model(model: Any) -> Any:
    """Makes an object that Lucid's functions take out of any kind of model.

    A Lucid model (anything with `import_graph`), a Model, or the path of a `.model.pb`
    or a checkpoint. The same object or unchanged file gives the same result.

    Raises:
        FileFormatError: the file holds no model.
        InputError: the argument is none of these.
    """
    if isinstance(model, str | os.PathLike):
        return lucid_model(_model_of_file(pathlib.Path(model)))
    if hasattr(model, "import_graph"):
        return model
    if not isinstance(model, Model):
        raise InputError(
            "expected a Lucid model (with import_graph), a Model or a path, got "
            f"{type(model).__name__}"
        )
    kept = _kept_for.setdefault(model, {})
    if not kept:
        kept["lucid_model"] = lucid_bridge.as_lucid_model(
            model.graph_def(), model.node_name(INPUT), model.image_shape
        )
    return kept["lucid_model"]


def network_of(model: Any, override: Override | None = None) -> "LucidNetwork":
    """The network of a model, made at the first call and kept as long as the model.

    A new `graph_def` is noticed, a change within it is not. `override` has gradient
    functions by the type of operation they replace, as for `gradient_override_map`.
    """
    model = lucid_model(model)
    kept = _kept_for.setdefault(model, {})
    key = tuple(sorted((override or {}).items(), key=lambda item: item[0]))
    network = kept.get(key)
    if network is None or network.graph_def is not getattr(model, "graph_def", None):
        if len(kept) >= _MAX_OVERRIDES:
            kept.pop(next(iter(kept)))
        kept[key] = network = LucidNetwork(model, override)
    return network


class LucidNetwork:
    """A frozen network whose tensors can be read, fed and differentiated."""

    def __init__(self, model: Any, override: Override | None = None):
        """Makes the graph of a Lucid model; `override` as in `network_of`."""
        self.graph_def = getattr(model, "graph_def", None)
        # The cache's values must not keep its keys alive.
        self._model = weakref.ref(model)
        self._override = dict(override or {})
        self._build()

    def _build(self) -> None:
        model: Any = self._model()
        self._gradients: dict[tuple, Any] = {}
        self.graph = tf.Graph()
        with (
            self.graph.as_default(),
            gradient_override_map(self._override),
            tensorflow_errors("the graph cannot be used"),
        ):
            self._observations = tf.placeholder(tf.float32, (None,) * 4)
            model.import_graph(self._observations, scope=_SCOPE, forget_xy_shape=True)
            self._direction = tf.placeholder(tf.float32, (None,))
            self._positions = tf.placeholder(tf.int32, (None, 2))
        self._session = make_session(self.graph)

    def tensor(self, name: str | None) -> Any:
        """A tensor by its name in the network's own graph, without ":0".

        "input" or None is the observations.

        Raises:
            ModelError: there is none; the message lists the nearest names.
        """
        if name in (None, INPUT):
            return self._observations
        try:
            return self.graph.get_tensor_by_name(f"{_SCOPE}/{name}:0")
        except (KeyError, ValueError) as error:
            names = [
                operation.name.removeprefix(f"{_SCOPE}/")
                for operation in self.graph.get_operations()
                if operation.name.startswith(f"{_SCOPE}/")
            ]
            near = difflib.get_close_matches(str(name), names, 5, 0.3) or names[:20]
            raise ModelError(
                f"the model has no tensor {name!r}; near it are {', '.join(near)}"
            ) from error

    def constant(self, name: str) -> np.ndarray:
        """Value of a tensor that does not depend on observations."""
        return self._session.run(self.tensor(name))

    def activations(self, name: str, observations: np.ndarray) -> np.ndarray:
        """Values f32 [N, ...] of a tensor for observations [N, H, W, C]."""
        tensor = self.tensor(name)
        batches = [
            self._session.run(tensor, {self._observations: batch})
            for _, batch in _batches(observations)
        ]
        return np.concatenate(batches)

    def gradient(
        self,
        target: str,
        source: str | None,
        observations: np.ndarray,
        points: np.ndarray,
        *,
        score: Score,
        direction: np.ndarray | None = None,
        positions: np.ndarray | None = None,
    ) -> np.ndarray:
        """Gradient f32 of the sum of scores with respect to a tensor, at given values.

        Args:
            target: tensor that is scored.
            source: tensor that is fed with `points`; None for the observations.
            observations: floats [N, H, W, C], for what depends on them otherwise.
            points: f32 [N, ...], values of the source.
            score: TensorFlow function from the target [N, ...] (its values at
                `positions` where these are given) to scores [N, ...]. Pass the same
                object again to reuse its graph.
            direction: f32 [C], multiplied into the target's channels.
            positions: int [N, 2], row and column of the target for each observation.
        """
        fetch = self._gradient(
            target, source, score, direction is not None, positions is not None
        )
        feed: dict[Any, Any] = {}
        if direction is not None:
            feed[self._direction] = direction
        gradients = np.empty(points.shape, np.float32)
        for rows, batch in _batches(observations):
            feed[self._observations] = batch
            feed[self.tensor(source)] = points[rows]
            if positions is not None:
                feed[self._positions] = positions[rows]
            gradients[rows] = self._session.run(fetch, feed)
        return gradients

    def _gradient(
        self,
        target: str,
        source: str | None,
        score: Score,
        with_direction: bool,
        with_positions: bool,
    ) -> Any:
        key = (target, source, score, with_direction, with_positions)
        if key in self._gradients:
            return self._gradients[key]
        if len(self._gradients) >= MAX_SCORES:
            self._session.close()
            self._build()
        with self.graph.as_default(), gradient_override_map(self._override):
            scored, variable = self.tensor(target), self.tensor(source)
            if with_direction:
                scored = self._direction * scored
            if with_positions:
                n = tf.shape(self._positions)[0]
                index = tf.concat([tf.range(n)[:, None], self._positions], axis=1)
                scored = tf.gather_nd(scored, index)
            scores = score(scored)
            if scores.shape.rank == 0:
                raise InputError(
                    "the score function reduces the batch; it must return one score "
                    "(or several) for each observation"
                )
            with tensorflow_errors(f"no gradient of {target!r}"):
                (gradient,) = tf.gradients(tf.reduce_sum(scores), [variable])
        if gradient is None:
            raise ModelError(f"{target!r} does not depend on {source or INPUT!r}")
        self._gradients[key] = gradient
        return gradient


@contextlib.contextmanager
def gradient_override_map(overrides: Override) -> Iterator[None]:
    """Replaces gradients of operations made in the default graph within a block.

    By type of operation, such as "MaxPool": a function (operation, gradient) ->
    gradients, or the name of a registered one.
    """
    names = {
        operation_type: function
        if isinstance(function, str)
        else _registered_name(function)
        for operation_type, function in overrides.items()
    }
    with tf.get_default_graph().gradient_override_map(names):
        yield


_registered: dict[Callable, str] = {}


def _registered_name(function: Callable) -> str:
    if function not in _registered:
        name = (
            f"lucid_rl_{getattr(function, '__name__', 'gradient')}_{len(_registered)}"
        )
        tf.RegisterGradient(name)(function)
        _registered[function] = name
    return _registered[function]


def _batches(observations: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
    observations = np.asarray(observations)
    if observations.ndim != 4 or not len(observations):
        raise InputError(
            f"expected observations [N, H, W, C], at least one, got shape "
            f"{observations.shape}"
        )
    if observations.dtype.kind != "f":
        raise InputError(
            f"observations are {observations.dtype}: expected floats in [0, 1]; "
            "divide uint8 by 255"
        )
    for rows in batch_slices(len(observations), BATCH_SIZE):
        batch = observations[rows].astype(np.float32, copy=False)
        if not np.isfinite(batch).all():
            raise InputError("observations hold NaN or infinity")
        yield rows, batch


def _model_of_file(path: pathlib.Path) -> Any:
    key: tuple = (path,)
    with contextlib.suppress(OSError, ValueError):
        status = os.stat(path)
        key = (os.path.realpath(path), status.st_mtime_ns, status.st_size)
    if key not in _models_of_files:
        _models_of_files[key] = (
            lucid_bridge.load_model(path) if path.suffix == ".pb" else load(path)
        )
    return _models_of_files[key]
