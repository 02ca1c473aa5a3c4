"""Imports point down, heavy packages stay in their rooms, files stay short."""

import ast
import io
import tokenize
from collections import defaultdict
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
    "cli": 6,
}
BESIDE = {("model_selection", "metrics")}
# Private files at the top level belong to the room they serve.
SERVES = {
    "_arrays": "exceptions",
    "_forks": "exceptions",
    "_image_objects": "exceptions",
    "_image_size": "exceptions",
    "_limits": "exceptions",
    "_progress": "exceptions",
    "_pandas": "exceptions",
    "_random": "exceptions",
    "_parallel": "exceptions",
    "_warn": "exceptions",
    "_unwrap": "exceptions",
    "_rows": "faces",
    "_kept": "faces",
    "_small_views": "faces",
    "_facs_table": "facs",
    "_landmark_layouts": "facs",
    "_columns": "faces",
    "_stores": "faces",
    "_decoder_warnings": "faces",
    "_concat": "faces",
    "_pixels": "faces",
    "_cache_files": "exceptions",
    "_files": "exceptions",
    "_video_index": "faces",
    "_video_store": "faces",
    "_single_au": "datasets",
    "_tables": "datasets",
    "_subjects": "datasets",
    "_validation": "datasets",
}
MAY_IMPORT = {
    "torch": {"nn", "losses", "estimators"},
    "skorch": {"estimators/_training", "estimators/_callbacks"},
    "cv2": {"faces", "datasets", "preprocessing", "cli"},
    "onnx": {"estimators/_onnx"},
    "onnxscript": {"estimators/_onnx"},
    "matplotlib": {"inspection", "cli", "_demo"},
}
# Limits count lines of code: to cut a file for its docstrings would help nobody.
NO_CODE = {
    *(tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE),
    *(tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER),
}
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef)


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


def code_lines(text):
    """Return the numbers of the lines that hold code.

    Docstrings and comments hold none, and a signature is one line however many its
    types or bases need.
    """
    lines = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in NO_CODE:
            lines.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, DOCUMENTED) and ast.get_docstring(node) is not None:
            docstring = node.body[0]
            lines -= set(range(docstring.lineno, docstring.end_lineno + 1))
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            lines -= set(range(node.lineno + 1, node.body[0].lineno))
    return lines


def test_lines_of_code_are_those_that_run():
    text = '"""Of a\nmodule."""\n\n# Why.\nx = (\n    1,\n)  # One.\n\n\n'
    text += 'def f():\n    """Of f."""\n    return """a\n\nb"""\n'
    text += "def g(\n    x: int,\n) -> int:\n    return x\n"
    assert sorted(code_lines(text)) == [5, 6, 7, 10, 12, 13, 14, 15, 18]


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_files_and_functions_stay_short(path):
    text = path.read_text("utf-8")
    lines = code_lines(text)
    assert len(lines) <= 300, f"{path} has {len(lines)} lines of code, more than 300"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            length = len(lines & set(range(node.lineno, node.end_lineno + 1)))
            assert length <= 60, f"{path}:{node.lineno} {node.name}: {length} lines"


def test_matplotlib_is_imported_only_inside_functions():
    for path in SOURCES:
        for node in ast.parse(path.read_text("utf-8")).body:
            names = [a.name for a in getattr(node, "names", [])]
            module = getattr(node, "module", "") or ""
            assert not any(n.startswith("matplotlib") for n in [module, *names]), path


def test_files_of_one_name_are_one_system():
    rooms = defaultdict(set)
    for path in SOURCES:
        if path.stem != "__init__":
            rooms[path.stem].add(room_of(path))
    systems = {"nn", "losses", "estimators"}
    assert not {name for name, own in rooms.items() if len(own) > 1 and own - systems}
