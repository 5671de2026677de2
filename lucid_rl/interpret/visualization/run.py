"""Presets of one model, computed into a folder row by row."""

import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from lucid_rl.files import PathLike
from lucid_rl.interpret.visualization.contact_sheet import ContactSheet, row_key
from lucid_rl.interpret.visualization.figures import (
    Subject,
    check_row,
    make_row,
    observation_numbers,
)
from lucid_rl.interpret.visualization.presets import Preset


def check_presets(presets: Mapping[str, Preset], subject: Subject) -> None:
    """Checks all rows' layers and targets before anything is computed.

    Args:
        presets: figures by name.
        subject: the model and its observations, whose number matters, and, where two
            models are compared, that they tell these apart.

    Raises:
        InputError: channels, features or observations that there are not.
        ModelError: a layer that there is not.
    """
    for preset in presets.values():
        for row in preset.rows:
            check_row(row, subject)


def run_presets(
    presets: Mapping[str, Preset],
    subject: Subject,
    folder: PathLike,
    about: dict[str, Any],
) -> tuple[ContactSheet, pathlib.Path]:
    """Makes figures, skipping rows that an earlier run finished with the same settings.

    Args:
        presets: figures by name.
        subject: the model and its observations.
        folder: where the pictures, numbers and the page go.
        about: what the page says of the whole, such as the model's name; part of what
            tells one run from another.

    Returns:
        The sheet, and the path of its page.

    Raises:
        InputError: channels, features or observations that there are not.
        ModelError: a layer that there is not.
        SaveError: a file cannot be written.
    """
    check_presets(presets, subject)
    sheet = ContactSheet(folder, about, observation_numbers(subject.observations))
    digest = row_key(np.asarray(subject.observations).tobytes())
    layers = subject.layer, subject.first_layer
    context = (about, digest, layers, subject.features_of, subject.nmf)
    order = {}
    for name, preset in presets.items():
        keys = [row_key(row, context) for row in preset.rows]
        sheet.start(name, preset, keys)
        made = []
        for row, key in zip(preset.rows, keys, strict=True):
            if not sheet.is_done(name, key):
                figure_row = make_row(row, subject)
                if figure_row is None:
                    continue
                sheet.add(name, key, figure_row)
            made.append(key)
        order[name] = made
        if not made:
            del sheet.results["figures"][name], order[name]
    return sheet, sheet.write(order)
