"""Images that maximize an objective, by gradient ascent on a whole batch at once.

Article, section "Feature visualization". The method is that of Lucid's `render_vis`,
piece by piece (parametrization, transformations, objective, Adam, and gradients that
pass closed ReLUs during the first steps), but a batch is one variable and one Fourier
transform; after the first steps no gradient is redirected any more, so that the
network's plain gradient is run; and where an objective depends on single positions, the
network sees no more of the images than these do.
"""

import dataclasses
from typing import Any

import numpy as np

from lucid_rl import notebook
from lucid_rl.errors import InputError, SettingsError
from lucid_rl.interpret.visualization.networks import Tensors, opened
from lucid_rl.interpret.visualization.objectives import (
    Objective,
    activation_norm,
    as_objective,
    total_variation,
)
from lucid_rl.interpret.visualization.parametrizations import Parametrization
from lucid_rl.interpret.visualization.scores import dataset_scores, score_images
from lucid_rl.interpret.visualization.transformations import Transformations
from lucid_rl.lazy_tensorflow import tf
from lucid_rl.model import lucid_bridge
from lucid_rl.model.lucid_network import gradient_override_map, lucid_model
from lucid_rl.model.model import Model
from lucid_rl.progress import progress
from lucid_rl.sampling.observations import pictures_of
from lucid_rl.validation import (
    Natural,
    NonNegativeFloat,
    Positive,
    PositiveFloat,
    Settings,
)

# Lucid redirects gradients up to and including this value of its step counter.
_REDIRECTED_STEPS = 17


@dataclasses.dataclass(frozen=True)
class VisualizationSettings(Settings):
    """How images are optimized.

    Attributes:
        steps: steps of the optimizer.
        learning_rate: of Adam.
        parametrization: space in which images are optimized.
        transformations: between steps.
        penalty: strength of the L2 norm of `penalty_layer`'s activations, as in the
            article's "Penalizing extremal colors".
        penalty_layer: name of that layer; by default a Model's first one, as in
            the article.
        total_variation: strength of a penalty on differences between neighbouring
            pixels.
        redirect_relu: let gradients through closed ReLUs during the first steps where
            none would pass otherwise, as Lucid does.
        size: (H, W) of the images; by default the model's own.
        seed: of the first noise and the transformations.
    """

    steps: Positive = 512
    learning_rate: PositiveFloat = 0.05
    parametrization: Parametrization = Parametrization()
    transformations: Transformations = Transformations()
    penalty: NonNegativeFloat = 0.0
    penalty_layer: str = ""
    total_variation: NonNegativeFloat = 0.0
    redirect_relu: bool = True
    size: tuple[int, int] | None = None
    seed: Natural = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.size is not None and min(self.size) < 1:
            raise SettingsError(f"size={self.size}: expected at least one pixel")


@dataclasses.dataclass(frozen=True, eq=False)
class Visualization:
    """Optimized images and how far they got; `np.asarray` gives the images.

    Attributes:
        images: f32 [K, H, W, C] in [0, 1], one for each target.
        losses: f32 [steps, K], the negative objective with penalties, of the
            transformed images, before each step.
        activations: f32 [K], the objective that the images reach, without
            transformations or penalties.
        dataset_maxima: f32 [K], the largest that an observation reaches; None where
            no observations were given.
        settings: what they were made with.
    """

    images: np.ndarray
    losses: np.ndarray
    activations: np.ndarray
    dataset_maxima: np.ndarray | None
    settings: VisualizationSettings

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.array(self.images, dtype)

    def __repr__(self) -> str:
        return notebook.summary(self)

    def _repr_html_(self) -> str:
        figures = []
        for k, image in enumerate(pictures_of(self.images)):
            caption = f"reached {self.activations[k]:.3g}"
            if self.dataset_maxima is not None:
                caption += f"\nobservations {self.dataset_maxima[k]:.3g}"
            figures.append(notebook.picture(image, caption))
        return notebook.row(figures)


def visualize(
    model: Any,
    objective: Any,
    settings: VisualizationSettings | None = None,
    *,
    observations: np.ndarray | None = None,
    compare_to: Any = None,
    description: str = "",
) -> Visualization:
    """Optimizes an image for each target of an objective, like Lucid's `render_vis`.

    Args:
        model: a `Model`, what `load` takes, or a model of Lucid's.
        objective: what to maximize: "layer:channel", such as "2b:7", (layer,
            direction or directions), or any of `objectives`. Lucid's own objectives
            make one image.
        settings: how; by default the article's for a first layer.
        observations: uint8 or floats in [0, 1], [N, H, W, C], whose largest scores
            are given beside those of the images.
        compare_to: a second model, for objectives that compare two.
        description: for the progress line.

    Returns:
        The images. The same seed gives the same bytes on the same machine.

    Raises:
        ModelError: no such layer.
        InputError: a channel, direction, reference or position that does not fit.
        SettingsError: settings that do not fit the model.

    Example:
        >>> image = np.asarray(visualize(model, "2b:7"))[0]
    """
    model = opened(model)
    compare_to = None if compare_to is None else opened(compare_to)
    settings = settings or VisualizationSettings()
    objective = as_objective(objective)
    size, channels = _image_size(model, settings)
    n_images = objective.n_targets
    maxima = None
    if observations is not None and objective.scores_every_pair:
        scores = dataset_scores(model, objective, observations, compare_to)
        maxima = scores.max(axis=0)
    losses = np.empty((settings.steps, n_images), np.float32)
    with tf.Graph().as_default() as graph:
        tf.set_random_seed(settings.seed)
        images = settings.parametrization.param_f(
            n_images, size, settings.seed, channels
        )()
        loss, first_step, step = _train_steps(
            model, objective, settings, images, compare_to
        )
        with tf.Session(graph=graph) as session:
            session.run(tf.global_variables_initializer())
            description = description or objective.name
            for i in progress(range(settings.steps), description):
                update = first_step if i < _REDIRECTED_STEPS else step
                losses[i] = session.run([loss, update])[0]
            found = session.run(images)
    if not np.isfinite(found).all():
        raise InputError(
            f"{objective.name}: the images diverged; lower the learning rate or the "
            "penalties"
        )
    reached = score_images(model, objective, found, compare_to)
    return Visualization(found, losses, reached, maxima, settings)


def _train_steps(
    model: Any,
    objective: Objective,
    settings: VisualizationSettings,
    images: Any,
    compare_to: Any,
) -> tuple[Any, Any, Any]:
    """Tensors of the loss [K], and of a step with redirected gradients and without."""
    size = tuple(images.shape[1:3].as_list())
    seen = images
    for transformation in settings.transformations.functions(size, settings.seed):
        seen = transformation(seen)
    penalized = objective
    if settings.penalty:
        layer = settings.penalty_layer or _first_layer(model)
        penalized -= settings.penalty * activation_norm(layer)
    if settings.total_variation:
        penalized -= settings.total_variation * total_variation()
    optimizer = tf.train.AdamOptimizer(settings.learning_rate)

    def network(scope: str) -> Tensors:
        return Tensors(
            model,
            penalized,
            images,
            seen,
            compare_to=compare_to,
            scope=scope,
            same_size=not settings.transformations.change_size,
        )

    loss = -penalized(network("import"))
    step = optimizer.minimize(loss)
    if not settings.redirect_relu:
        return loss, step, step
    # Lucid's function reads this counter, too.
    counter = tf.train.get_or_create_global_step()
    overrides = {
        "Relu": lucid_bridge.render.redirected_relu_grad,
        "Relu6": lucid_bridge.render.redirected_relu6_grad,
    }
    with gradient_override_map(overrides):
        redirected = network("redirected")
    first_step = optimizer.minimize(-penalized(redirected), global_step=counter)
    return loss, first_step, step


def _first_layer(model: Any) -> str:
    if not isinstance(model, Model):
        raise SettingsError("a penalty on this model needs penalty_layer, its name")
    return model.layers[0]


def _image_size(
    model: Any, settings: VisualizationSettings
) -> tuple[tuple[int, int], int]:
    """Height and width of images, and their channels."""
    height, width, channels = lucid_model(model).image_shape
    if settings.size is not None:
        height, width = settings.size
    if not height or not width:
        raise SettingsError("the model takes images of any size: set size=(H, W)")
    return (int(height), int(width)), int(channels)
