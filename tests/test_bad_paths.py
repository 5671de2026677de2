"""Names that no file can have end in the package's errors, from Python as well."""

import ast
import pathlib

import lucid_rl
import scripts

# pathlib's raise for what os.path's call absent: names too long, links that loop.
_RAISING = {"exists", "is_file", "is_dir", "is_symlink", "stat", "lstat", "resolve"}


def test_questions_about_paths_are_asked_of_os_path():
    found = []
    for package in (lucid_rl, scripts):
        for path in pathlib.Path(package.__path__[0]).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                match node:
                    case ast.Call(func=ast.Attribute(value=owner, attr=name)) if (
                        name in _RAISING and ast.unparse(owner) not in ("os", "os.path")
                    ):
                        found.append(f"{path}:{node.lineno}: .{name}()")
    assert found == []
