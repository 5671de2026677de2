"""Settings of the article's experiments."""

import dataclasses
from collections.abc import Mapping
from typing import Literal

from lucid_rl.editing.object_directions import DirectionSettings
from lucid_rl.errors import SettingsError
from lucid_rl.experiments.verdicts import ROWS
from lucid_rl.games.coinrun_original_files import NAME as ORIGINAL_COINRUN
from lucid_rl.games.registry import game_settings, saves_states
from lucid_rl.games.vector_game import GameSettings
from lucid_rl.interpret.nmf import NMFSettings
from lucid_rl.model.model import Model
from lucid_rl.validation import Natural, Positive, Settings

ALL_ROWS = ("original", *ROWS)
EDIT_ROWS = tuple(name for name, row in ROWS.items() if row.is_edit)


@dataclasses.dataclass(frozen=True)
class GivenFeatures:
    """Features of a layer, by number from 0, that an edit is to remove."""

    layer: str
    features: tuple[int, ...]

    @classmethod
    def parse(cls, text: str) -> "GivenFeatures":
        """Reads "2b/4" or, of several features, "2b/4+7".

        Raises:
            SettingsError: the text is of another form.
        """
        layer, _, numbers = text.rpartition("/")
        features = numbers.split("+")
        if not layer or not all(n.isascii() and n.isdecimal() for n in features):
            raise SettingsError(
                f"features {text!r}: expected a layer and numbers of its features, as "
                "in 2b/4 or 2b/4+7"
            )
        return cls(layer, tuple(map(int, features)))


@dataclasses.dataclass(frozen=True)
class ComparisonSettings(Settings):
    """How the article's experiments are repeated."""

    n_levels: Positive = 10_000
    """Levels for each row of the table; the article's number."""
    rows: tuple[str, ...] = ALL_ROWS
    """Which rows; "original" is always among them."""
    remove: Mapping[str, GivenFeatures] = dataclasses.field(default_factory=dict)
    """Features that edits remove instead, by row. The original CoinRun has no states,
    so that all must be named there."""
    layers: tuple[str, ...] = ("2b",)
    """Layers whose features are fitted. Directions are removed from the first, features
    from the one whose features detect the object best; attribution is measured at the
    first. The article's is 2b."""
    choose: Literal["directions", "features"] = "directions"
    """What edits remove: "directions" of the object, found from pairs of observations
    with and without it; or NMF "features", by average precision."""
    directions: DirectionSettings = DirectionSettings()
    """How directions of objects are found."""
    nmf: NMFSettings = NMFSettings()
    """How features are found."""
    n_observations: Positive = 2048
    """Observations from which features are found and named."""
    game: GameSettings | None = None
    """The game that is played; None: the model's own."""
    seed: Natural = 0
    """Of sampling, levels and actions; every row plays the same levels."""
    bfloat16: bool = False
    """Play with convolutions in bfloat16; about 1.7 times as fast."""

    def __post_init__(self) -> None:
        unknown = [row for row in self.rows if row not in ALL_ROWS]
        if unknown:
            raise SettingsError(
                f"unknown row {unknown[0]!r}; known are {', '.join(ALL_ROWS)}"
            )
        super().__post_init__()
        if not self.layers:
            raise SettingsError("no layers given: name one or more, such as 2b")
        for row, given in self.remove.items():
            self._check_given(row, given)
        if self.game is not None:
            self._check_game(self.game)

    @property
    def played(self) -> GameSettings:
        """The game; `for_model` fills in a model's own.

        Raises:
            SettingsError: none is given.
        """
        if self.game is None:
            raise SettingsError("game=None: name a game, or call for_model(model)")
        return self.game

    def for_model(self, model: Model) -> "ComparisonSettings":
        """These settings, with the model's own game where none is given."""
        if self.game is not None:
            return self
        own = game_settings(model.args, model.n_actions, model.image_shape)
        return dataclasses.replace(self, game=own)

    def _check_game(self, game: GameSettings) -> None:
        if game.name not in ("coinrun", ORIGINAL_COINRUN):
            raise SettingsError(
                "the article's experiments are on coinrun or coinrun_original; got the "
                f"game {game.name!r}"
            )
        unnamed = [
            row for row in EDIT_ROWS if row in self.rows and row not in self.remove
        ]
        if unnamed and not saves_states(game):
            raise SettingsError(
                f"{game.name} has no readable states, so that the "
                f"features to remove for {' and '.join(unnamed)} must be named: fit "
                "and draw them with --features_only, look at features_<layer>.html in "
                f"the output folder, and give --remove={unnamed[0]}=<layer>/<feature>, "
                "or other --rows"
            )

    def _check_given(self, row: str, given: GivenFeatures) -> None:
        if row not in EDIT_ROWS:
            raise SettingsError(
                f"features to remove for {row!r}: expected {' or '.join(EDIT_ROWS)}"
            )
        if given.layer not in self.layers:
            raise SettingsError(
                f"features to remove of layer {given.layer!r}: features are fitted at "
                f"{', '.join(self.layers)}; name the layer there, too"
            )
        n = self.nmf.n_features
        wrong = [k for k in given.features if k < 0 or (n != "auto" and k >= n)]
        if wrong or not given.features:
            last = "the last" if n == "auto" else n - 1
            raise SettingsError(
                f"features to remove for {row}: got {list(given.features)}, expected "
                f"numbers from 0 to {last}"
            )
