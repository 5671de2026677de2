"""The command `lucid-rl`: `lucid-rl <script> --flag=value` runs one of the scripts.

lucid-rl make-interface --model=agent.jd
lucid-rl evaluate --help
"""

import importlib
import pathlib
import sys

from absl import flags

from . import program

_NO_COMMANDS = ("__init__", "cli", "game_flags", "model_flags", "program")


def commands() -> dict[str, str]:
    """Module names of the scripts by command, "make-interface" for instance."""
    modules = sorted(path.stem for path in pathlib.Path(__file__).parent.glob("*.py"))
    found = {m.replace("_", "-"): m for m in modules if m not in _NO_COMMANDS}
    return {**found, "make-page": "make_interface"}


def main() -> None:
    """Runs the script that the first argument names."""
    known = commands()
    command = sys.argv[1].replace("_", "-") if len(sys.argv) > 1 else "--help"
    if command in ("--help", "-h", "help"):
        print(
            "usage: lucid-rl <command> [--help] [--flag=value ...]", *known, sep="\n  "
        )
        return
    if command not in known:
        program.fail(f"no command {command!r}: expected one of {', '.join(known)}")
    script = importlib.import_module(f".{known[command]}", __package__)
    sys.argv = [f"lucid-rl {command}", *sys.argv[2:]]
    # absl shows the docstring and the flags of the main module.
    sys.modules["__main__"].__doc__ = script.__doc__
    flags.adopt_module_key_flags(script, flags.FLAGS)
    program.run(script.main)


if __name__ == "__main__":
    main()
