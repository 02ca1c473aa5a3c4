"""What the docstrings say is what the code does."""

import importlib
import inspect
import re
from pathlib import Path

import pytest

import skfau

ROOT = Path(__file__).parents[1]
ROOMS = [
    importlib.import_module(f"skfau.{path.stem if path.suffix else path.name}")
    for path in sorted((ROOT / "skfau").iterdir())
    if not path.name.startswith("_") and (path.suffix == ".py" or path.is_dir())
]
PUBLIC = {
    f"{room.__name__}.{name}": getattr(room, name)
    for room in ROOMS
    for name in room.__all__
}
CALLABLE = {name: obj for name, obj in PUBLIC.items() if callable(obj)}


def section(docstring, title):
    """Return a numpydoc section's text, "" where there is none."""
    pattern = rf"^{title}\n-+\n(.*?)(?=^\S[^\n]*\n-{{3,}}\n|\Z)"
    found = re.search(pattern, inspect.cleandoc(docstring), re.MULTILINE | re.DOTALL)
    return found[1] if found else ""


def documented(docstring, title="Parameters"):
    """Yield (name, type) pairs of a section."""
    for names, kind in re.findall(
        r"^([\w*, ]+?) : (.+?)$", section(docstring, title), re.MULTILINE
    ):
        for name in names.split(","):
            yield name.strip().lstrip("*"), kind


@pytest.mark.parametrize("name", CALLABLE)
def test_parameters_are_documented_in_order_with_their_defaults(name):
    obj = CALLABLE[name]
    if inspect.isclass(obj) and issubclass(obj, Exception):
        return
    parameters = {
        p: v for p, v in inspect.signature(obj).parameters.items() if p != "self"
    }
    told = dict(documented(obj.__doc__))
    if inspect.isclass(obj) and hasattr(obj, "__dataclass_fields__"):
        told = told or dict(documented(obj.__doc__, "Attributes"))
    if inspect.isclass(obj) and hasattr(obj, "_fields"):
        told = told or dict(documented(obj.__doc__, "Attributes"))
    assert list(told) == list(parameters), name
    for parameter, value in parameters.items():
        default = re.search(r"default=(.+)$", told[parameter])
        if value.default is inspect.Parameter.empty:
            assert default is None, f"{name}: {parameter} has no default"
            continue
        assert default, f"{name}: the default of {parameter} is not documented"
        shown = default[1].strip().replace('"', "'")
        assert shown == repr(value.default), (
            f"{name}: {parameter} is documented {shown}, is {value.default!r}"
        )


@pytest.mark.parametrize("name", CALLABLE)
def test_public_methods_have_docstrings(name):
    obj = CALLABLE[name]
    assert obj.__doc__, name
    if not inspect.isclass(obj):
        return
    for method, function in vars(obj).items():
        if not method.startswith("_") and inspect.isfunction(function):
            assert function.__doc__ or inspect.getdoc(getattr(obj, method)), method


def pages(folder):
    """Return the text of all pages that are written by hand."""
    found = sorted((ROOT / "docs").glob(folder))
    return "\n".join(path.read_text("utf-8") for path in found)


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_name_is_in_the_reference(name):
    short = re.escape(name.rsplit(".", 1)[1])
    assert re.search(rf"`(skfau\.\w+\.)?{short}`", pages("reference/*.rst")), name


@pytest.mark.parametrize("folder", ["examples", "benchmarks"])
def test_every_script_is_in_the_documentation(folder):
    scripts = {path.name for path in (ROOT / folder).glob("[!_]*.py")}
    text = pages("*.rst") + (ROOT / "examples" / "README.rst").read_text("utf-8")
    assert scripts == {name for name in scripts if f"`{name}`" in text}


def test_links_of_the_readme_lead_to_files():
    text = (ROOT / "README.rst").read_text("utf-8")
    linked = re.findall(r"<([\w./]+)>`_|^\.\. image:: (\S+)", text, re.MULTILINE)
    assert len(linked) > 10
    assert [p for pair in linked for p in pair if p and not (ROOT / p).is_file()] == []


def test_headings_stand_on_lines_of_their_own():
    folded = re.compile(r"^ *[A-Z][A-Za-z ]+ -{3,} \S", re.MULTILINE)
    for path in (ROOT / "skfau").rglob("*.py"):
        assert not folded.search(path.read_text("utf-8")), path


def test_modules_inside_a_room_are_private():
    """A public name has one place: the room that exports it."""
    modules = [path.name for path in (ROOT / "skfau").glob("*/**/*.py")]
    assert all(name.startswith("_") for name in modules), sorted(modules)


def test_every_top_level_name_resolves():
    for name in skfau.__all__:
        assert getattr(skfau, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = skfau.nothing


def test_the_project_speaks_of_itself_alone():
    words = re.compile(r"/work/|/root/|\bTODO\b|\bFIXME\b|file://|pypi\.org/simple")
    written = [*(ROOT / "docs").glob("*.rst"), *(ROOT / "docs").glob("[!_]*/*.rst")]
    for path in [*ROOT.glob("*.*"), *written, *(ROOT / "skfau").rglob("*.py")]:
        if path.suffix in {".py", ".rst", ".toml", ".txt"}:
            assert not words.search(path.read_text("utf-8")), path
