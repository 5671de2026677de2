"""Each room imports only what docs/architecture.md allows, lazily or not."""

import ast
import graphlib
import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).parents[1]
PACKAGE = ROOT / "lucid_rl"
NO_TENSORFLOW = ("base", "checkpoints", "games")


def module_name(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in PACKAGE.rglob("*.py")}
FRONT_DOOR = "lucid_rl"


def imported(path):
    """Names of everything that a module imports, at its top or in a function."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield inner if inner in MODULES else node.module


def room_of(module):
    parts = module.split(".")
    is_folder = len(parts) > 1 and (PACKAGE / parts[1]).is_dir()
    return parts[1] if is_folder else "base"


def allowed_imports():
    """The table of docs/architecture.md: what each room may import."""
    table = {}
    for line in (ROOT / "docs" / "architecture.md").read_text().splitlines():
        cells = [cell.strip() for cell in line.split("|")]
        if len(cells) == 5 and cells[1].startswith("`"):
            table[cells[1].strip("`/")] = set(re.findall(r"`(\w+)`", cells[3]))
    return table


@pytest.fixture(scope="module")
def inner_imports():
    return {
        name: {found for found in imported(path) if found in MODULES}
        for name, path in MODULES.items()
        if name != FRONT_DOOR
    }


def test_the_table_names_every_room():
    assert set(allowed_imports()) == {room_of(name) for name in MODULES}


def test_rooms_import_what_the_table_allows(inner_imports):
    table = allowed_imports()
    wrong = [
        f"{name} imports {found}"
        for name, everything in inner_imports.items()
        for found in everything
        if room_of(found) not in {room_of(name), "base", *table[room_of(name)]}
    ]
    assert not wrong


def test_no_room_uses_the_front_door(inner_imports):
    """Imports of it would run back up."""
    assert not [n for n, found in inner_imports.items() if FRONT_DOOR in found]


def test_rooms_have_an_order():
    graphlib.TopologicalSorter(allowed_imports()).prepare()


def test_modules_import_one_another_in_no_circle(inner_imports):
    packages = {name for name, path in MODULES.items() if path.name == "__init__.py"}
    graph = {n: found - packages for n, found in inner_imports.items()}
    graphlib.TopologicalSorter(graph).prepare()


def test_formats_and_games_know_no_tensorflow():
    for name, path in MODULES.items():
        if room_of(name) in NO_TENSORFLOW and name != "lucid_rl.lazy_tensorflow":
            assert not [f for f in imported(path) if f.split(".")[0] == "tensorflow"]


def test_nothing_imports_scripts_or_tests():
    for path in MODULES.values():
        assert not [
            f for f in imported(path) if f.split(".")[0] in ("scripts", "tests")
        ]


def test_optional_packages_are_imported_where_they_are_needed():
    """So that every program starts, and says what is missing, as users install it."""
    optional = {
        *("ale_py", "cv2", "gymnasium", "imageio_ffmpeg", "jax", "nbclient"),
        *("nbformat", "onnx", "playwright", "pytest", "ray"),
    }
    root = pathlib.Path(__file__).parents[1]
    for path in [*root.glob("scripts/*.py"), *root.glob("lucid_rl/**/*.py")]:
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and not node.level:
                names = [str(node.module)]
            else:
                continue
            assert not {name.partition(".")[0] for name in names} & optional, path
