r"""Lists, fetches and checks the article's released models.

    python -m scripts.released_models
    python -m scripts.released_models --refresh
    python -m scripts.released_models --fetch=coinrun --check
    python -m scripts.released_models --all --check

A model's files can then be used by name, as in `--model=released:coinrun`.
"""

import sys

from absl import flags

from lucid_rl.checkpoints import released, released_index
from lucid_rl.errors import InputError, LucidRLError

from . import program

_REFRESH = flags.DEFINE_bool(
    "refresh", False, "Read the names from the server's index first."
)
_FETCH = flags.DEFINE_multi_string(
    "fetch", [], "Name of a model to fetch with all its files; may be repeated."
)
_ALL = flags.DEFINE_bool("all", False, "Fetch every model that is listed.")
_CHECK = flags.DEFINE_bool(
    "check", False, "Verify each fetched model completely and print a report."
)
_CACHE_DIR = flags.DEFINE_string(
    "cache_dir", None, "Where to keep the files; LUCID_RL_CACHE or the user's cache."
)
_BASE_URL = flags.DEFINE_string(
    "base_url", None, "Address of the server; LUCID_RL_RELEASED_URL or OpenAI's."
)


def _fetch(name: str) -> bool:
    """Fetches one model, checks it if asked to, and says what came of it."""
    model = released.fetch_released(
        name, cache_dir=_CACHE_DIR.value, base_url=_BASE_URL.value
    )
    if not _CHECK.value:
        print(f"{name}: {model.checkpoint}")
        return True
    # TensorFlow takes long to import.
    from lucid_rl.model.released_check import check_model

    report = check_model(model)
    print(report)
    return report.passed


def main() -> None:
    """Lists, fetches and checks; exit status 1 where a model fails."""
    names = released_index.released_names(
        _REFRESH.value, cache_dir=_CACHE_DIR.value, base_url=_BASE_URL.value
    )
    wanted = list(dict.fromkeys(_FETCH.value + (names if _ALL.value else [])))
    if not wanted:
        if _CHECK.value:
            raise InputError("--check needs --fetch=<name> or --all")
        print("\n".join(names))
        return
    failed = []
    for name in wanted:
        try:
            sound = _fetch(name)
        except LucidRLError as error:
            print(f"error: {name}: {error}", file=sys.stderr)
            sound = False
        if not sound:
            failed.append(name)
    if len(wanted) > 1 or _CHECK.value:
        print(f"{len(wanted) - len(failed)} of {len(wanted)} models are sound.")
        for name in failed:
            print(f"  not sound: {name}")
    if failed:
        sys.exit(1)


if __name__ == "__main__":
    program.run(main, "stopped; what was fetched whole is kept")
