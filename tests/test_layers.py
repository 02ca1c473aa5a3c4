"""Imports point down, heavy packages stay in their rooms, files stay short."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "skfau"
SOURCES = sorted(PACKAGE.rglob("*.py"))
# Lower may never import higher. Rooms of equal height do not see each other, but
# for the pairs in BESIDE.
HEIGHT = {
    "exceptions": 0,
    "facs": 0,
    "faces": 1,
    "datasets": 2,
    "preprocessing": 3,
    "metrics": 3,
    "model_selection": 3,
    "nn": 3,
    "losses": 3,
    "estimators": 4,
    "inspection": 5,
    "protocols": 5,
}
BESIDE = {("model_selection", "metrics")}
# Private files at the top level belong to the room they serve.
SERVES = {
    "_arrays": "exceptions",
    "_random": "exceptions",
    "_rows": "faces",
    "_facs_table": "facs",
    "_columns": "faces",
    "_stores": "faces",
    "_validation": "datasets",
}
MAY_IMPORT = {
    "torch": {"nn", "losses", "estimators"},
    "skorch": {"estimators/_training"},
    "cv2": {"faces", "datasets", "preprocessing"},
    "matplotlib": {"inspection", "_demo"},
}


def room_of(path):
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return SERVES.get(parts[0], parts[0])


def imports(path):
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno} is a relative import"
            yield node.module, node
            yield from ((f"{node.module}.{a.name}", node) for a in node.names)


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_point_down(path):
    room = room_of(path)
    if room not in HEIGHT:
        assert room in {"__init__", "__main__", "_demo"}, f"{room} is in no room"
        return
    for name, node in imports(path):
        if not name.startswith("skfau."):
            continue
        target = name.split(".")[1]
        target = SERVES.get(target, target)
        if target == room or target not in HEIGHT or (room, target) in BESIDE:
            continue
        assert HEIGHT[target] < HEIGHT[room], (
            f"{path}:{node.lineno}: {room} must not import {name}"
        )


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_heavy_packages_stay_in_their_rooms(path):
    own = {room_of(path), path.relative_to(PACKAGE).with_suffix("").as_posix()}
    for name, node in imports(path):
        package = name.split(".")[0]
        allowed = MAY_IMPORT.get(package)
        assert allowed is None or own & allowed, (
            f"{path}:{node.lineno}: {package} belongs in {sorted(allowed)}"
        )
        private = package == "sklearn" and "._" in name
        assert not private or path.name == "_validation.py", (
            f"{path}:{node.lineno}: private {name} belongs in _validation.py"
        )
    if room_of(path) in {"nn", "losses"}:
        outside = {name.split(".")[0] for name, _ in imports(path)}
        assert not outside & {"sklearn", "skorch", "cv2"}


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_files_and_functions_stay_short(path):
    text = path.read_text("utf-8")
    assert text.count("\n") <= 400, f"{path} is over 400 lines"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            length = node.end_lineno - node.lineno + 1
            assert length <= 60, f"{path}:{node.lineno} {node.name}: {length} lines"


def test_matplotlib_is_imported_only_inside_functions():
    for path in SOURCES:
        for node in ast.parse(path.read_text("utf-8")).body:
            names = [a.name for a in getattr(node, "names", [])]
            module = getattr(node, "module", "") or ""
            assert not any(n.startswith("matplotlib") for n in [module, *names]), path
