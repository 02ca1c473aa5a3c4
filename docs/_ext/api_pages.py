"""One page for each public name, and links to them from any text.

`write_pages` lists the names of every room (``__all__``) and writes
``reference/generated/ROOM.NAME.rst``; nothing of it is committed.
"""

import importlib
import inspect
import re
import shutil
import sys
from pathlib import Path

from sphinx.pycode import ModuleAnalyzer
from sphinx.util.nodes import make_refnode

import skfau

DOCS = Path(__file__).parents[1]
FOLDER = DOCS / "reference" / "generated"
EXAMPLES = sorted((DOCS.parent / "examples").glob("*.py"))
SHORT = 300  # characters of a value that a page shows
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
    shown = repr(value)
    lines = [f".. py:data:: {name}"]
    lines += [f"   :value: {shown}"] if len(shown) < SHORT else []
    return [*lines, "", *(f"   {line}" for line in find_comment(room, name))]


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
    word = re.compile(rf"\b{name}\b")
    using = [path.stem for path in EXAMPLES if word.search(path.read_text("utf-8"))]
    if not using:
        return []
    links = [f"- :doc:`/gallery/{stem}`" for stem in using]
    return ["", ".. rubric:: Examples that use it", "", *links]


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
