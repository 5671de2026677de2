"""Averages of parameters over updates, in which their noise averages out."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from lucid_rl.training.engine import Parameters


class ParameterAverages:
    """The mean of parameters over the first updates, then a running one.

    Iterates of stochastic gradient descent wander about where they go to; their mean
    is nearer to it (Polyak and Juditsky, 1992).

    Attributes:
        n_added: how often parameters were added.
        parameters: the means, float32; empty before the first were added.
    """

    def __init__(self) -> None:
        """Begins with nothing."""
        self.n_added = 0
        self.parameters: Parameters = {}

    def add(self, parameters: Mapping[str, np.ndarray], n_updates: int) -> None:
        """Moves the means by 1/k of the way, k going from 1 to `n_updates`.

        Args:
            parameters: after an update, by checkpoint name.
            n_updates: over about how many the means are taken, at least 1.
        """
        self.n_added += 1
        share = np.float32(1 / min(self.n_added, n_updates))
        # New arrays: those of the last state may still have to be saved.
        self.parameters = {
            name: value + (1 - share) * (self.parameters.get(name, value) - value)
            for name, value in parameters.items()
        }

    def get_state(self) -> dict[str, Any]:
        """Returns what `set_state` restores."""
        return {"n_added": self.n_added, "parameters": self.parameters}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Goes on from what `get_state` returned."""
        self.n_added = state["n_added"]
        self.parameters = dict(state["parameters"])
