"""Edits of a model by object or by feature (article, Appendix A)."""

import dataclasses
import functools
from typing import Any, Literal

import numpy as np

from lucid_rl.editing.feature_naming import (
    feature_directions,
    measure_features,
    sample_labelled_observations,
)
from lucid_rl.editing.feature_objects import FeatureObjects
from lucid_rl.editing.object_directions import (
    DirectionSettings,
    find_object_directions,
)
from lucid_rl.editing.paired_observations import ERASABLE_OBJECTS, draw_pairs
from lucid_rl.errors import SettingsError
from lucid_rl.games.coinrun_objects import OBJECT_CLASSES
from lucid_rl.games.registry import game_settings
from lucid_rl.interpret.features import fit_features
from lucid_rl.interpret.nmf import NMF, NMFSettings
from lucid_rl.model.loading import load
from lucid_rl.model.model import Model
from lucid_rl.sampling.model_samples import sample_observations
from lucid_rl.sampling.observations import Observations
from lucid_rl.validation import Fraction, Natural, Positive, Settings, check, one_of


@dataclasses.dataclass(frozen=True)
class EditSettings(Settings):
    """What an edit removes."""

    layer: str = "2b"
    """Layer whose activations lose the directions."""
    object: str | None = None
    """The object to remove, of Procgen's CoinRun."""
    features: tuple[int, ...] = ()
    """Numbers of features to remove, from 0 (the page counts from 1)."""
    choose: Literal["directions", "features"] = "directions"
    """What `object` removes: its directions, found from pairs of observations with and
    without it; or the features with the best average precision."""
    strength: Fraction = 1.0
    """1 removes the directions wholly, 0 not at all."""
    n_observations: Positive = 1024
    """Observations sampled to find directions and features."""
    game: str | None = None
    """What the model plays, where its file does not say so."""
    seed: Natural = 0
    """Of sampling and of fitting."""
    nmf: NMFSettings = NMFSettings()
    """How features are fitted."""
    directions: DirectionSettings = DirectionSettings()
    """How directions of an object are found."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.object is not None:
            by_directions = self.choose == "directions"
            known = ERASABLE_OBJECTS if by_directions else OBJECT_CLASSES
            check("object", self.object, one_of(known))


class Edit:
    """An edit of a model; what it needs is sampled and fitted at its first use.

    Attributes:
        settings: what the edit removes.
        original: the model that is edited.
    """

    def __init__(
        self, model: Any, settings: EditSettings, nmf: NMF | None = None
    ) -> None:
        """Checks what can be checked without sampling.

        `model` is a `Model`, or what `load` takes; `nmf` are features of the layer that
        were fitted before.

        Raises:
            ModelError: the layer does not exist.
            InputError: `nmf` is of another layer, or has no feature of such a number.
        """
        self.settings = settings
        self.original = load(model)
        self.original.layer_shape(settings.layer)
        if nmf is not None:
            feature_directions(nmf, settings.features or [0], settings.layer)
            self.nmf = nmf

    @functools.cached_property
    def observations(self) -> Observations:
        """Observations of the model's own play, with the game's states."""
        n, seed = self.settings.n_observations, self.settings.seed
        return sample_labelled_observations(self.original, n, self._game, seed=seed)

    @functools.cached_property
    def nmf(self) -> NMF:
        """Features of the layer: those given, or fitted to the observations."""
        if self._game.name == "coinrun":
            found = self.observations
        else:  # states are for objects, which are not known there
            n, seed = self.settings.n_observations, self.settings.seed
            found = sample_observations(self.original, n, game=self._game, seed=seed)
        return fit_features(
            self.original,
            found.observations,
            self.settings.layer,
            nmf=dataclasses.replace(self.settings.nmf, seed=self.settings.seed),
            model_name=self.original.name,
        )

    @functools.cached_property
    def feature_objects(self) -> FeatureObjects:
        """Average precision of each feature as a detector of each object."""
        return measure_features(self.original, self.nmf, self.observations)

    @functools.cached_property
    def _game(self):
        model = self.original
        return game_settings(
            model.args, model.n_actions, model.image_shape, name=self.settings.game
        )

    @functools.cached_property
    def _removed(self) -> tuple[np.ndarray, dict[str, Any], str]:
        """Directions [k, C], what the edit records, and how they were chosen."""
        settings, numbers = self.settings, list(self.settings.features)
        note: dict[str, Any] = {}
        removed, text = [], ""
        if settings.object and settings.choose == "directions":
            found = find_object_directions(
                self.original,
                draw_pairs(self.observations, self._game),
                settings.object,
                settings.layer,
                settings.directions,
            )
            note, text = {"object": settings.object}, str(found)
            removed.append(found.directions)
        elif settings.object:
            rng = np.random.default_rng(settings.seed)
            choice = self.feature_objects.choose(settings.object, rng)
            numbers = list(dict.fromkeys([*numbers, *choice.features]))
            note = {
                "object": settings.object,
                "average_precisions": list(choice.average_precisions),
            }
            text = str(choice)
        if numbers:
            removed.append(feature_directions(self.nmf, numbers, settings.layer))
        if not removed:
            raise SettingsError("nothing to remove: give an object or features")
        return np.concatenate(removed), {**note, "features": numbers}, text

    def __str__(self) -> str:
        """How the directions were chosen; "" where they were given."""
        return self._removed[2]

    @property
    def model(self) -> Model:
        """The edited model; the edit is recorded in its args.

        Raises:
            SettingsError: there is nothing to remove.
            InputError: the game has no known objects, the object is seen nowhere, or
                there is no feature of such a number.
        """
        directions, note, _ = self._removed
        return self.original.without(
            directions, self.settings.layer, self.settings.strength, note
        )
