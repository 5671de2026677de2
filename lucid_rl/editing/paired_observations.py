"""Pairs of observations of one state of CoinRun, with and without an object."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from lucid_rl.errors import InputError
from lucid_rl.games.procgen_state import (
    CRATE,
    ENEMY,
    GOAL,
    LAVA,
    SAW,
    SPACE,
    CoinRunState,
    parse_state,
)
from lucid_rl.games.registry import make_game
from lucid_rl.games.vector_game import GameSettings
from lucid_rl.progress import progress
from lucid_rl.sampling.observations import Observations

ERASABLE_OBJECTS = ("buzzsaw", "enemy_left", "enemy_right", "box", "coin", "lava")
"""Classes of objects of which pairs can be drawn."""

_N_ENVS = 64


@dataclasses.dataclass(frozen=True)
class ObservationPairs:
    """Observations, and the same states drawn without each class of objects.

    Attributes:
        observations: u8 [N, 64, 64, 3].
        visible: bool [N] by class: the two pictures differ.
        erased: u8 [sum of visible, 64, 64, 3] by class: the pictures without it.
    """

    observations: np.ndarray
    visible: Mapping[str, np.ndarray]
    erased: Mapping[str, np.ndarray]

    def shown(self, object_class: str) -> np.ndarray:
        """Observations with the class visible, in the order of `erased`."""
        return self.observations[self.visible[object_class]]

    def check(self, object_class: str) -> None:
        """Raises `InputError` if there are no pairs of a class of objects."""
        if object_class not in self.visible:
            raise InputError(
                f"there are no pairs of {object_class!r}: expected one of "
                f"{', '.join(self.visible)}"
            )
        if not self.visible[object_class].any():
            raise InputError(
                f"no {object_class} is visible in {len(self.observations)} "
                "observations: sample more of them"
            )


def draw_pairs(
    sampled: Observations,
    game: GameSettings,
    object_classes: Sequence[str] = ERASABLE_OBJECTS,
) -> ObservationPairs:
    """Renders the states of observations again, without each class of objects.

    `game` are the settings that they were sampled with.

    Returns:
        The pairs. Two pictures of a pair differ only where an object is drawn.

    Raises:
        InputError: observations without states, or an unknown class.
    """
    unknown = [name for name in object_classes if name not in ERASABLE_OBJECTS]
    if unknown or sampled.states is None:
        raise InputError(
            f"pairs of {', '.join(unknown) or 'observations without states'}: expected "
            f"observations with states, and some of {', '.join(ERASABLE_OBJECTS)}"
        )
    visible, erased = {}, {}
    states = [parse_state(state) for state in sampled.states]
    with make_game(game.replace(n_envs=_N_ENVS)) as engine:
        for name in progress(object_classes, "drawing without objects", delay=5):
            pictures = np.empty_like(sampled.observations)
            for start in range(0, len(states), _N_ENVS):
                batch = states[start : start + _N_ENVS]
                environments = list(range(len(batch)))
                changed = [without_object(state, name).to_bytes() for state in batch]
                engine.set_states(changed, environments)
                shown = engine.observe().observations
                pictures[start : start + len(batch)] = shown[: len(batch)]
            visible[name] = (pictures != sampled.observations).any(axis=(1, 2, 3))
            erased[name] = pictures[visible[name]]
    return ObservationPairs(sampled.observations, visible, erased)


def without_object(state: CoinRunState, object_class: str) -> CoinRunState:
    """Copies a state so that it is drawn without a class of objects.

    Enemies, buzzsaws and boxes become transparent. Cells of coin and lava become empty.
    """
    state = state.copy()
    if object_class == "coin":
        state.grid[state.grid == GOAL] = SPACE
    elif object_class == "lava":
        state.grid[np.isin(state.grid, LAVA)] = SPACE
    else:
        kinds, moves_left = state.entities["type"], state.entities["vx"] < 0
        chosen = {
            "buzzsaw": kinds == SAW,
            "enemy_left": (kinds == ENEMY) & moves_left,
            "enemy_right": (kinds == ENEMY) & ~moves_left,
            "box": kinds == CRATE,
        }[object_class]
        state.entities["alpha"][chosen] = 0.0
    return state
