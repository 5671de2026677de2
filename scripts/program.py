"""How every program runs: what was mistyped or goes wrong is one clear line."""

import sys
from collections.abc import Callable, Sequence

from absl import app

from lucid_rl.errors import LucidRLError


def run(work: Callable[[], None], stopped: str = "stopped") -> None:
    """Parses the flags, does the work, and ends the process.

    Errors of this package and an interruption end it with a line on standard error and
    exit status 1; so does, with the usage, an argument that is no flag.

    Args:
        work: what the program does, once flags have their values.
        stopped: what to say when it is interrupted.
    """

    def main(argv: list[str]) -> None:
        if len(argv) > 1:
            raise app.UsageError(
                f"unexpected argument {argv[1]!r}: every setting is a --flag=value"
            )
        try:
            work()
        except LucidRLError as error:
            sys.exit(f"error: {error}")
        except KeyboardInterrupt:
            sys.exit(stopped)

    app.run(main)


def model_names(specs: Sequence[str]) -> dict[str, str]:
    """Names for folders of what models make, all different.

    Args:
        specs: paths of models, released:<name>, bundled.

    Returns:
        Each spec by its name.
    """
    names: dict[str, str] = {}
    for spec in specs:
        stem = spec.removeprefix("released:").removesuffix(".jd")
        stem = stem.replace("/", "-").replace(":", "-").strip("-")
        name, number = stem, 1
        while name in names:
            number += 1
            name = f"{stem}-{number}"
        names[name] = spec
    return names
