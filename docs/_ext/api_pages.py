"""One page for each public name, and links to them from any text.

`write_pages` lists the names of every room (``__all__``) and writes
``reference/generated/ROOM.NAME.rst``; nothing of it is committed.
"""

import ast
import importlib
import inspect
import shutil
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from pprint import pformat

from sphinx.pycode import ModuleAnalyzer
from sphinx.util.nodes import make_refnode

import skfau

DOCS = Path(__file__).parents[1]
FOLDER = DOCS / "reference" / "generated"
EXAMPLES = sorted((DOCS.parent / "examples").glob("*.py"))
LONG = 40  # lines of a constant that a page does not show
ROOMS = [
    importlib.import_module(f"skfau.{path.stem}")
    for path in sorted(Path(skfau.__file__).parent.iterdir())
    if not path.name.startswith("_") and (path.suffix == ".py" or path.is_dir())
]
# Where a name is described: its room, whatever else exports it.
PLACES = {name: f"{room.__name__}.{name}" for room in ROOMS for name in room.__all__}


def setup(app):
    """Register both with Sphinx."""
    app.connect("builder-inited", write_pages)
    app.connect("autodoc-skip-member", skip_foreign)
    app.connect("missing-reference", find_public_name)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def write_pages(app):
    """Write the pages afresh."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir()
    for name, place in PLACES.items():
        room = sys.modules[place.rpartition(".")[0]]
        lines = [name, "=" * len(name), "", f".. currentmodule:: {room.__name__}", ""]
        lines += describe(room, name) + list_examples(name)
        (FOLDER / f"{place}.rst").write_text("\n".join(lines) + "\n", "utf-8")


def describe(room, name):
    """Return the directive that describes a name."""
    value = getattr(room, name)
    if inspect.isclass(value) and issubclass(value, BaseException):
        return [f".. autoexception:: {name}"]
    if inspect.isclass(value):
        return [f".. autoclass:: {name}"]
    if inspect.isroutine(value):
        return [f".. autofunction:: {name}"]
    told = [*find_comment(room, name), "", *show_value(value)]
    return [f".. py:data:: {name}", "", *(f"   {line}" for line in told)]


def show_value(value):
    """Return a block of code with a constant, nothing where it fills a page."""
    shown = dict(value) if isinstance(value, Mapping) else value
    lines = pformat(shown, width=80, compact=True, sort_dicts=False).splitlines()
    if len(lines) > LONG:
        return []
    return [".. code-block:: python", "", *(f"   {line}" for line in lines)]


def find_comment(room, name):
    """Return the lines of the comment ``#:`` above a constant, in whatever file."""
    inside = [m for m in sys.modules if f"{m}.".startswith(f"{room.__name__}.")]
    for module in sorted(inside):
        comments = ModuleAnalyzer.for_module(module).find_attr_docs()
        if ("", name) in comments:
            return comments["", name]
    raise LookupError(f"{room.__name__}.{name} has no comment '#:' above it")


def list_examples(name):
    """Return links to the examples that use a name."""
    using = [path.stem for path in EXAMPLES if name in taken_from_skfau(path)]
    if not using:
        return []
    links = [f"- :doc:`/gallery/{stem}`" for stem in using]
    return ["", ".. rubric:: Examples that use it", "", *links]


@cache
def taken_from_skfau(path):
    """Return the names that a script imports from skfau, or takes from its rooms."""
    rooms = {room.__name__.rpartition(".")[2] for room in ROOMS} | {"skfau"}
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module.startswith("skfau"):
            found |= {each.name for each in node.names}
        if isinstance(node, ast.Attribute) and getattr(node.value, "id", "") in rooms:
            found.add(node.attr)
    return found


def skip_foreign(app, what, name, obj, skip, options):
    """Leave out what scikit-learn and torch describe, such as ``set_params``."""
    home = getattr(obj, "__module__", None) or "skfau"
    return True if not home.startswith("skfau") else None


def find_public_name(app, env, node, contnode):
    """Link `Faces`, `Faces.concat` or `fine_tune.py` to its page, from any text."""
    if (example := DOCS.parent / "examples" / node.get("reftarget", "")) in EXAMPLES:
        page = f"gallery/{example.stem}"
        return make_refnode(app.builder, node["refdoc"], page, None, contnode)
    first, dot, rest = node.get("reftarget", "").removeprefix("skfau.").partition(".")
    if node.get("refdomain") != "py" or first not in PLACES:
        return None
    return env.domains.python_domain.resolve_xref(
        *(env, node["refdoc"], app.builder, "obj", PLACES[first] + dot + rest),
        *(node, contnode),
    )
