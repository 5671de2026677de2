"""The command `lucid-rl`: `lucid-rl <script> --flag=value` runs one of the scripts.

lucid-rl make-page --model=agent.jd
lucid-rl evaluate --help
"""

import ast
import importlib
import pathlib
import re
import sys

from absl import flags

from lucid_rl.version import __version__

from . import program

_NO_COMMANDS = ("__init__", "cli", "program", "shared_flags")


def commands() -> dict[str, str]:
    """Module names of the scripts by command, "find-moments" for instance."""
    modules = sorted(path.stem for path in pathlib.Path(__file__).parent.glob("*.py"))
    found = {m.replace("_", "-"): m for m in modules if m not in _NO_COMMANDS}
    return dict(sorted((found | {"make-page": "make_interface"}).items()))


def main() -> None:
    """Runs the script that the first argument names."""
    known = commands()
    command = sys.argv[1].replace("_", "-") if len(sys.argv) > 1 else "--help"
    if command in ("--help", "-h", "help"):
        print("usage: lucid-rl <command> [--help] [--flag=value ...]\n")
        for name, module in known.items():
            if name != "make-interface":  # the script's own name for make-page
                print(f"  {name:24}{_summary(module)}")
        return
    if command == "--version":
        print(f"lucid-rl {__version__}")
        return
    if command not in known:
        sys.exit(f"error: no command {command!r}: expected one of {', '.join(known)}")
    script = importlib.import_module(f".{known[command]}", __package__)
    sys.argv = [f"lucid-rl {command}", *sys.argv[2:]]
    # absl's --help shows the docstring of the module __main__, and the flags of the
    # module whose name is the program's.
    sys.modules["__main__"].__doc__ = re.sub(
        r"python -m scripts\.\w+", sys.argv[0], script.__doc__ or ""
    )
    for flag in flags.FLAGS.get_key_flags_for_module(script.__name__):
        flags.FLAGS.register_key_flag_for_module(sys.argv[0], flag)
    program.run(script.main)


def _summary(module: str) -> str:
    """The first line of a script's docstring, read without importing the script."""
    source = pathlib.Path(__file__).with_name(f"{module}.py").read_text()
    return (ast.get_docstring(ast.parse(source)) or "").partition("\n")[0]


if __name__ == "__main__":
    main()
