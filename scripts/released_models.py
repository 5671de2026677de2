r"""Lists, fetches and checks the article's released models.

    python -m scripts.released_models
    python -m scripts.released_models --refresh
    python -m scripts.released_models --fetch=coinrun --check
    python -m scripts.released_models --all --check

A model's files can then be used by name, as in `--model=released:coinrun`.
"""

import dataclasses
import sys

from lucid_rl.checkpoints import released, released_index
from lucid_rl.errors import InputError, LucidRLError
from lucid_rl.flags import define_flags

from . import program


@dataclasses.dataclass(frozen=True)
class Wanted:
    """What is listed, fetched and checked."""

    refresh: bool = False
    """Read the names from the server's index first."""
    fetch: tuple[str, ...] = ()
    """Names of models to fetch with all their files."""
    all: bool = False
    """Fetch every model that is listed."""
    check: bool = False
    """Verify each fetched model completely and print a report."""
    cache_dir: str | None = None
    """Where to keep the files; LUCID_RL_CACHE or the user's cache."""
    base_url: str | None = None
    """Address of the server; LUCID_RL_RELEASED_URL or OpenAI's."""


_settings = define_flags(Wanted())


def _fetch(name: str, wanted: Wanted) -> bool:
    """Fetches one model, checks it if asked to, and prints the outcome."""
    try:
        model = released.fetch_released(
            name, cache_dir=wanted.cache_dir, base_url=wanted.base_url
        )
        if not wanted.check:
            print(f"{name}: {model.checkpoint}")
            return True
        # TensorFlow takes long to import.
        from lucid_rl.sampling.released_check import check_model

        report = check_model(model)
        print(report)
        return report.passed
    except LucidRLError as error:
        print(f"error: {program.one_line(f'{name}: {error}')}", file=sys.stderr)
        return False


@program.resumable
def main() -> None:
    """Lists, fetches and checks; exit status 1 where a model fails."""
    wanted = _settings()
    listed = released_index.released_names(
        wanted.refresh, cache_dir=wanted.cache_dir, base_url=wanted.base_url
    )
    names = list(dict.fromkeys([*wanted.fetch, *(listed if wanted.all else ())]))
    if not names:
        if wanted.check:
            raise InputError("--check needs --fetch=<name> or --all")
        print("\n".join(listed))
        return
    failed = [name for name in names if not _fetch(name, wanted)]
    if len(names) > 1 or wanted.check:
        print(f"{len(names) - len(failed)} of {len(names)} models are sound.")
        for name in failed:
            print(f"  not sound: {name}")
    if failed:
        sys.exit(1)


if __name__ == "__main__":
    program.run(main)
