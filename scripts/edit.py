"""Removes an object or features from what a model detects (article, Appendix A).

Examples:
  python -m scripts.edit --list     # which object each feature responds to
  python -m scripts.edit --object=buzzsaw --output=outputs/buzzsaw_blind.jd
  python -m scripts.edit --features=0,3 --factorization=outputs/features_2b.npz \
      --output=outputs/edited.jd
"""

import pathlib

from absl import flags

from lucid_rl.editing.edit import Edit, EditSettings
from lucid_rl.errors import InputError
from lucid_rl.flags import define_flags
from lucid_rl.interpret.nmf import NMF

from . import program, shared_flags

_MODEL = flags.DEFINE_string("model", "bundled", program.MODEL_HELP)
_load = shared_flags.define_model_flags("wrappers", "distribution_mode")
_OUTPUT = flags.DEFINE_string(
    "output", None, "File of the edited model, of the same kind as --model."
)
_FACTORIZATION = flags.DEFINE_string(
    "factorization", None, "File of fitted features; without one they are fitted here."
)
_SAVE_FACTORIZATION = flags.DEFINE_string(
    "save_factorization", None, "Where the features are written."
)
_LIST = flags.DEFINE_bool(
    "list", False, "Print which object each feature responds to, and edit nothing."
)
_settings = define_flags(
    EditSettings(),
    skip=("nmf",),
    names={"nmf.n_features": "n_features"},
    flat=("directions",),
)


def main() -> None:
    """Lists features, or edits, as the flags say."""
    settings, output = _settings(), _OUTPUT.value
    path = _FACTORIZATION.value
    edit = Edit(_load(_MODEL.value), settings, NMF.load(path) if path else None)
    if _LIST.value and output:
        raise InputError("--list edits nothing: leave --output out, or --list")
    if _LIST.value:
        print(edit.feature_objects.table())
    elif not output:
        raise InputError("give --output, the file for the edited model (or --list)")
    elif not (settings.features or settings.object):
        raise InputError("give --features or --object: what is to be removed?")
    else:
        edit.model.save(output)
        print(edit)
        print(f"edited model: {pathlib.Path(output).absolute()}")
    if _SAVE_FACTORIZATION.value:
        edit.nmf.save(_SAVE_FACTORIZATION.value)


if __name__ == "__main__":
    program.run(main)
