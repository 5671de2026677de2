"""Objectives' scores of given images, without optimization or transformations."""

from typing import Any

import numpy as np

from lucid_rl.errors import InputError
from lucid_rl.interpret.visualization.networks import Tensors
from lucid_rl.interpret.visualization.objectives import Objective, as_objective
from lucid_rl.lazy_tensorflow import tf
from lucid_rl.model.batching import batch_slices
from lucid_rl.model.observations import to_floats
from lucid_rl.progress import progress

_BATCH = 16


def score_images(
    model: Any, objective: Any, images: np.ndarray, compare_to: Any = None
) -> np.ndarray:
    """Scores f32 [N] of images, floats in [0, 1] [N, H, W, C], image i for target i.

    An objective of one target scores all images for it.
    """
    images = np.asarray(images, np.float32)
    objective = as_objective(objective)
    with tf.Graph().as_default(), tf.Session() as session:
        batch = tf.placeholder(tf.float32, images.shape)
        tensors = Tensors(model, objective, batch, batch, compare_to=compare_to)
        found = session.run(objective(tensors), {batch: images})
    # An objective of Lucid's may give one score for the whole batch.
    return np.broadcast_to(found, len(images)).astype(np.float32)


def dataset_scores(
    model: Any, objective: Objective, observations: np.ndarray, compare_to: Any = None
) -> np.ndarray:
    """Scores f32 [N, n_targets] of every observation for every target.

    Observations are uint8 or floats in [0, 1], [N, H, W, C].

    Raises:
        InputError: no observations, or an objective of Lucid's own.
    """
    observations = np.asarray(observations)
    if observations.ndim != 4 or not len(observations):
        raise InputError(
            f"expected observations [N, H, W, C], got shape {observations.shape}"
        )
    with tf.Graph().as_default(), tf.Session() as session:
        batch = tf.placeholder(tf.float32, (None, *observations.shape[1:]))
        tensors = Tensors(model, objective, batch, batch, compare_to=compare_to)
        scores = objective.every_pair(tensors)
        found = []
        slices = list(batch_slices(len(observations), _BATCH))
        for rows in progress(slices, "the dataset's own scores"):
            fed = to_floats(observations[rows], rows.start)
            found.append(session.run(scores, {batch: fed}))
    return np.concatenate(found)
