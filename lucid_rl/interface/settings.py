"""Everything that decides what an interface shows."""

import dataclasses
import pathlib
from typing import Annotated

from lucid_rl.files import PathLike
from lucid_rl.interface.encoding import ENCODINGS
from lucid_rl.interface.quantization import check_levels
from lucid_rl.interpret.attribution import AttributionSettings
from lucid_rl.interpret.nmf import NMFSettings
from lucid_rl.sampling.observations import ObservationSettings
from lucid_rl.sampling.trajectories import TrajectorySettings
from lucid_rl.validation import Fraction, Natural, Positive, Settings, one_of

INPUT_LAYER = "input"


@dataclasses.dataclass(frozen=True)
class ExampleSettings(Settings):
    """Which dataset examples the legend offers for each feature.

    Attributes:
        thumbnail_side: patches along each side of a feature's picture in the legend.
        map_multiples: cells of the spatially-aware maps for each position of the
            layer, along each axis; maps finer than the observation's pixels, or of
            less than one cell, are left out.
        positions: examples are chosen among as many observations, spread evenly, as
            hold this many positions of the layer, such as 1,000 of 64 x 64.
    """

    thumbnail_side: Positive = 4
    map_multiples: tuple[float, ...] = (0.25, 0.5, 1.0, 2.0)
    positions: Positive = 4_096_000


@dataclasses.dataclass(frozen=True)
class InterfaceSettings(Settings):
    """What to make an interface of, how, and where.

    Attributes:
        model: a .jd, .onnx, .model.pb, a file of PyTorch's or Stable-Baselines3's,
            "released:<name>" or "bundled".
        compare_to: a second model to show on the same trajectories, as `model`.
        output_dir: where the page goes; it holds nothing else.
        cache_dir: where finished stages are kept, so that the next run need not
            repeat them; by default `<output_dir>.stages`. It may be deleted.
        title: the page's title; by default it names the models.
        names: a JSON file of feature names (docs/bundle_format.md).
        layers: layers to show, by short name; if empty all that the value function
            reads.
        input_gradients: whether to add the input as a layer, with gradients in
            place of attributions.
        policy_layers: layers for which every action's attributions are computed
            too; each costs up to 8 times what it costs without.
        share_features: whether a compared model is seen through the first one's
            features; None: if most of its parameters are the first one's, as in a
            model made by editing.
        own_samples: use observations and trajectories that come with the model
            (released models) where there are any, as far as the sampling settings
            ask for.
        samples: a file of recorded data, `.npz`, `.npy` or `.jd`, to show in place of
            a game (`lucid_rl.load_samples` says what it holds).
        game: the game to sample in; by default what the model's file says.
        distribution_mode: the game's levels, "hard" or "easy"; by default what the
            checkpoint says, else "hard".
        wrappers: "atari" for Gymnasium's standard preprocessing (Gymnasium only).
        n_levels: levels to sample from, from `start_level` on; 0: unlimited.
        start_level: the first level.
        seed: of the levels and of the agent's actions.
        full_resolution: side, in pixels, of the full-resolution frames shown beside
            the observations; 0: none. They are stored with loss.
        single_file: put everything into index.html.
        code_levels: levels of stored attributions, an odd number up to 255: what is
            shown errs by at most 1/code_levels of a frame's largest. Fewer make a
            smaller page.
        encoding: of the data files, "windows-1252", or "base64" where only ASCII may
            pass.
        live_model: put the model into the page, which then shows what it would do
            with a changed observation or scaled features; about 2 MB.
        observations: how observations for features and examples are sampled.
        trajectories: how trajectories are sampled.
        attribution: how attributions are computed.
        error_tolerance: largest error of features' totals, relative to the target's
            mean change; each layer's attributions take as many steps as that needs, up
            to `max_steps`. 0: `attribution.n_steps` steps. The page states the error.
        max_steps: steps of attributions at most; early layers of some models would
            take very many.
        max_side: early layers' maps are stored with this many positions along each
            axis at most, neighbours summed (gradients averaged).
        early_page: write a page of the middle layer first, and the whole one later.
        nmf: how features are found.
        fit_positions: positions whose attributions features are fitted to, at most;
            NMF itself samples `nmf.max_rows` of them.
        examples: the legend's examples.
    """

    model: str = "bundled"
    compare_to: str | None = None
    output_dir: PathLike = "outputs/interface"
    cache_dir: PathLike | None = None
    title: str | None = None
    names: PathLike | None = None
    layers: tuple[str, ...] = ()
    input_gradients: bool = True
    policy_layers: tuple[str, ...] = ()
    share_features: bool | None = None
    own_samples: bool = True
    samples: PathLike | None = None
    game: str | None = None
    distribution_mode: str | None = None
    wrappers: str | None = None
    n_levels: Natural = 0
    start_level: Natural = 0
    seed: Natural = 0
    full_resolution: Natural = 0
    single_file: bool = False
    # Finer than the error of the integral, 1 to 4 % of a picture's brightest point.
    code_levels: int = 81
    encoding: Annotated[str, one_of(ENCODINGS)] = "windows-1252"
    live_model: bool = True
    # The article: 32 environments, 128 each, 128 steps apart. More environments reach
    # as many levels in a fraction of the steps, which dominate the cost; 128 steps are
    # about a whole level, so that its end is seen as often as its beginning.
    observations: ObservationSettings = ObservationSettings(128, 32, interval=4)
    trajectories: TrajectorySettings = TrajectorySettings()
    attribution: AttributionSettings = AttributionSettings(n_steps=4)
    error_tolerance: Fraction = 0.05
    max_steps: Positive = 5
    max_side: Positive = 32
    early_page: bool = True
    nmf: NMFSettings = NMFSettings(order="fraction")
    fit_positions: Positive = 500_000
    examples: ExampleSettings = ExampleSettings()

    def __post_init__(self) -> None:
        check_levels(self.code_levels)
        super().__post_init__()

    @property
    def cache_path(self) -> pathlib.Path:
        """Where finished stages are kept."""
        if self.cache_dir is not None:
            return pathlib.Path(self.cache_dir)
        output = pathlib.Path(self.output_dir)
        return output.with_name(f"{output.name}.stages")

    def for_mail(self) -> "InterfaceSettings":
        """A page that mail takes: one file of less than 18 MB.

        8 trajectories of 128 steps, 2,048 observations, attributions at 31 levels, no
        gradients of the input, no model. Common services take letters of 25 MB, which
        hold files of 18, since these travel as text. Attributions of actions and frames
        at full resolution come on top, where they are asked for.
        """
        return dataclasses.replace(
            self,
            observations=dataclasses.replace(
                self.observations, n_envs=128, n_per_env=16, interval=8
            ),
            trajectories=dataclasses.replace(self.trajectories, n_envs=8, n_steps=128),
            input_gradients=False,
            live_model=False,
            single_file=True,
            code_levels=31,
        )

    def quick(self) -> "InterfaceSettings":
        """A small run: 2 trajectories of 64 steps, 256 observations, 2 steps."""
        return dataclasses.replace(
            self,
            observations=dataclasses.replace(
                self.observations, n_envs=16, n_per_env=16, interval=32
            ),
            trajectories=dataclasses.replace(self.trajectories, n_envs=2, n_steps=64),
            attribution=dataclasses.replace(self.attribution, n_steps=2),
            error_tolerance=0,
            fit_positions=100_000,
        )
