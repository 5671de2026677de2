"""Makes the interface of a model: a page that shows what it sees, frame by frame.

    python -m scripts.make_interface --output_dir=outputs/interface
    python -m scripts.make_interface --model=released:coinrun
    python -m scripts.make_interface --model=my.jd --policy_layers=2b --single_file
    python -m scripts.make_interface --model=my.jd --mail
    python -m scripts.make_interface --model=my.jd --compare_to=edited.jd

Prints the path of the page, which opens by double click. A second run reuses the
stages that an earlier one finished.
"""

import dataclasses

from absl import flags

from lucid_rl.interface import InterfaceSettings, make_interface

from . import game_flags, program

_DEFAULT = InterfaceSettings()
flags.adopt_module_key_flags(game_flags)

_MODEL = flags.DEFINE_string(
    "model",
    _DEFAULT.model,
    "A checkpoint (.jd), a .model.pb, 'released:<name>' or 'bundled'.",
)
_COMPARE_TO = flags.DEFINE_string(
    "compare_to", None, "A second model to show on the same trajectories."
)
_OUTPUT_DIR = flags.DEFINE_string(
    "output_dir", str(_DEFAULT.output_dir), "Where the page and its data go."
)
_CACHE_DIR = flags.DEFINE_string(
    "cache_dir", None, "Where finished stages are kept; by default <output_dir>.stages."
)
_TITLE = flags.DEFINE_string("title", None, "The page's title.")
_NAMES = flags.DEFINE_string(
    "names", None, "JSON file of feature names, as the page exports it."
)
_LAYERS = flags.DEFINE_list("layers", [], "Layers to show; all if empty.")
_INPUT_GRADIENTS = flags.DEFINE_boolean(
    "input_gradients", _DEFAULT.input_gradients, "Show gradients of the input, too."
)
_POLICY_LAYERS = flags.DEFINE_list(
    "policy_layers", [], "Layers with attributions of every action."
)
_N_FEATURES = flags.DEFINE_integer(
    "n_features", _DEFAULT.nmf.n_features, "Features of each layer.", lower_bound=1
)
_N_TRAJECTORIES = flags.DEFINE_integer(
    "n_trajectories", _DEFAULT.trajectories.n_envs, "Trajectories.", lower_bound=1
)
_N_STEPS = flags.DEFINE_integer(
    "n_steps", _DEFAULT.trajectories.n_steps, "Steps in each.", lower_bound=1
)
_N_OBSERVATIONS = flags.DEFINE_integer(
    "n_observations",
    _DEFAULT.observations.n_envs * _DEFAULT.observations.n_per_env,
    "Observations for features and examples; rounded up to whole environments.",
    lower_bound=1,
)
_OBSERVATION_INTERVAL = flags.DEFINE_integer(
    "observation_interval",
    _DEFAULT.observations.interval,
    "Steps between two observations of one environment.",
    lower_bound=1,
)
_ERROR_TOLERANCE = flags.DEFINE_float(
    "error_tolerance",
    _DEFAULT.error_tolerance,
    "Error of features' totals, relative to the output's mean change, that each "
    "layer's attributions take as many steps as they need for.",
    lower_bound=0.0,
    upper_bound=1.0,
)
_ATTRIBUTION_STEPS = flags.DEFINE_integer(
    "attribution_steps",
    None,
    "Steps of the attributions at every layer, whatever their error.",
    lower_bound=1,
)
_GAME = flags.DEFINE_string(
    "game", None, "One of Procgen's, or coinrun_original; by default the model's."
)
_DISTRIBUTION_MODE = flags.DEFINE_string(
    "distribution_mode", None, "The game's levels; by default the checkpoint's."
)
_N_LEVELS = flags.DEFINE_integer(
    "n_levels", _DEFAULT.n_levels, "Levels to sample from; 0: unlimited."
)
_START_LEVEL = flags.DEFINE_integer(
    "start_level", _DEFAULT.start_level, "The first of n_levels."
)
_SEED = flags.DEFINE_integer("seed", _DEFAULT.seed, "Seed of everything random.")
_OWN_SAMPLES = flags.DEFINE_boolean(
    "own_samples",
    _DEFAULT.own_samples,
    "Use observations and trajectories that come with the model.",
)
_FULL_RESOLUTION = flags.DEFINE_boolean(
    "full_resolution", False, "Show full-resolution frames beside the observations."
)
_FULL_RESOLUTION_SIZE = flags.DEFINE_integer(
    "full_resolution_size", 256, "Side of these frames in pixels, a divisor of 512."
)
_SINGLE_FILE = flags.DEFINE_boolean(
    "single_file", _DEFAULT.single_file, "Put everything into index.html."
)
_CODE_LEVELS = flags.DEFINE_integer(
    "code_levels",
    _DEFAULT.code_levels,
    "Levels of attributions, an odd number: fewer make a smaller page.",
)
_MAIL = flags.DEFINE_boolean(
    "mail",
    False,
    "A page that mail takes, one file below 18 MB; overrides numbers and sizes.",
)
_QUICK = flags.DEFINE_boolean(
    "quick", False, "A small run, to try things out; overrides numbers and sizes."
)


def _settings() -> InterfaceSettings:
    n_envs = min(_DEFAULT.observations.n_envs, _N_OBSERVATIONS.value)
    settings = InterfaceSettings(
        model=_MODEL.value,
        compare_to=_COMPARE_TO.value,
        output_dir=_OUTPUT_DIR.value,
        cache_dir=_CACHE_DIR.value,
        title=_TITLE.value,
        names=_NAMES.value,
        layers=tuple(_LAYERS.value),
        input_gradients=_INPUT_GRADIENTS.value,
        policy_layers=tuple(_POLICY_LAYERS.value),
        own_samples=_OWN_SAMPLES.value,
        game=_GAME.value,
        distribution_mode=_DISTRIBUTION_MODE.value,
        n_levels=_N_LEVELS.value,
        start_level=_START_LEVEL.value,
        seed=_SEED.value,
        full_resolution=_FULL_RESOLUTION_SIZE.value if _FULL_RESOLUTION.value else 0,
        single_file=_SINGLE_FILE.value,
        code_levels=_CODE_LEVELS.value,
        observations=dataclasses.replace(
            _DEFAULT.observations,
            n_envs=n_envs,
            n_per_env=-(-_N_OBSERVATIONS.value // n_envs),
            interval=_OBSERVATION_INTERVAL.value,
        ),
        trajectories=dataclasses.replace(
            _DEFAULT.trajectories,
            n_envs=_N_TRAJECTORIES.value,
            n_steps=_N_STEPS.value,
        ),
        attribution=dataclasses.replace(
            _DEFAULT.attribution,
            n_steps=_ATTRIBUTION_STEPS.value or _DEFAULT.attribution.n_steps,
        ),
        error_tolerance=0 if _ATTRIBUTION_STEPS.value else _ERROR_TOLERANCE.value,
        nmf=dataclasses.replace(
            _DEFAULT.nmf, n_features=_N_FEATURES.value, seed=_SEED.value
        ),
    )
    if _MAIL.value:
        settings = settings.for_mail()
    return settings.quick() if _QUICK.value else settings


def main() -> None:
    """Makes the interface that the flags describe."""
    game_flags.use_game_flags()
    print(make_interface(_settings()))


if __name__ == "__main__":
    program.run(main, "stopped; the same command goes on with what is finished")
