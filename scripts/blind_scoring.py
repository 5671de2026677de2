"""Makes a page on which raters grade features blindly, and compares their grades.

    python -m scripts.blind_scoring --models=bundled,bundled:100_levels
    python -m scripts.blind_scoring --grades=grades_ada.json,grades_grace.json

The first writes a page (one file, to be sent around) and its key to --output_dir. The
second reads what raters exported from the page, opens the blind with the key, and
prints the percentage of interpretable features by model, with Cohen's kappa.
"""

from absl import flags

from lucid_rl.experiments.blind_scoring import (
    BlindSettings,
    make_blind_page,
    open_blind,
    read_grades,
    read_key,
    report,
)
from lucid_rl.experiments.results_folder import ResultsFolder
from lucid_rl.flags import define_flags
from lucid_rl.model.loading import load

from . import program

_MODELS = flags.DEFINE_list("models", ["bundled"], program.MODELS_HELP)
_GRADES = flags.DEFINE_list("grades", [], "Files that raters exported from the page.")
_output_dir = program.output_dir("outputs/blind_scoring")
_settings = define_flags(
    BlindSettings(),
    skip=("features",),
    names={
        f"features.{name}": name for name in ("layer", "n_features", "n_observations")
    },
)


def main() -> None:
    """Makes a page, or opens the blind."""
    folder = _output_dir()
    if not _GRADES.value:
        models = {spec: load(spec) for spec in program.some_models(_MODELS.value)}
        print(make_blind_page(models, folder, _settings()).absolute())
        return
    key = read_key(folder)
    opened = open_blind(key, [read_grades(path, key) for path in _GRADES.value])
    with ResultsFolder(folder, "blind_scoring").locked() as results:
        results.write(opened, report(opened))
    print(report(opened))


if __name__ == "__main__":
    program.run(main)
