"""Makes a model's page, which shows frame by frame what the model detects.

    python -m scripts.make_interface --output_dir=outputs/interface
    python -m scripts.make_interface --model=released:procgen/coinrun
    python -m scripts.make_interface --model=my.jd --policy_layers=2b --single_file
    python -m scripts.make_interface --model=my.jd --mail
    python -m scripts.make_interface --model=my.jd --compare_to=edited.jd

Prints the path of the page, which opens by double click. A second run reuses the
stages that an earlier one finished.
"""

import dataclasses

from absl import flags

from lucid_rl.flags import define_flags
from lucid_rl.interface import InterfaceSettings, make_interface

from . import program, shared_flags

_DEFAULT = InterfaceSettings()
_use_engine = shared_flags.define_engine_flags()
_load = shared_flags.define_model_flags()
_settings = define_flags(
    _DEFAULT,
    skip=("encoding", "observations", "trajectories", "attribution", "nmf", "examples"),
    names={
        "observations.interval": "observation_interval",
        "trajectories.n_envs": "n_trajectories",
        "trajectories.n_steps": "n_steps",
        "nmf.n_features": "n_features",
    },
)
_N_OBSERVATIONS = flags.DEFINE_integer(
    "n_observations",
    _DEFAULT.observations.n_observations,
    "Observations for features and examples; rounded up to whole environments.",
)
_ATTRIBUTION_STEPS = flags.DEFINE_integer(
    "attribution_steps",
    None,
    "Steps of the attributions at every layer, in place of --error_tolerance.",
)
_MAIL = flags.DEFINE_boolean(
    "mail",
    False,
    "A page that mail takes, one file below 18 MB; overrides numbers and sizes.",
)
_QUICK = flags.DEFINE_boolean(
    "quick", False, "A small run, to try things out; overrides numbers and sizes."
)


@program.resumable
def main() -> None:
    """Makes the page that the flags describe."""
    _use_engine()
    settings, steps = _settings(), _ATTRIBUTION_STEPS.value
    observations = settings.observations.resized(_N_OBSERVATIONS.value)
    settings = dataclasses.replace(settings, observations=observations)
    if steps is not None:
        attribution = dataclasses.replace(settings.attribution, n_steps=steps)
        settings = dataclasses.replace(
            settings, attribution=attribution, error_tolerance=0
        )
    if _MAIL.value:
        settings = settings.for_mail()
    model = _load(settings.model, samples=True)
    other = settings.compare_to and _load(settings.compare_to, samples=True)
    settings = settings.quick() if _QUICK.value else settings
    print(make_interface(settings, model=model, compare_to=other))


if __name__ == "__main__":
    program.run(main)
