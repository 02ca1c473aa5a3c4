"""What is around the code: the source distribution, the command, the guides."""

import ast
import re
import runpy
import subprocess
import sys
import tarfile
import tomllib
from importlib.metadata import entry_points, packages_distributions
from pathlib import Path

import pytest

import skfau

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
BUILD = "from setuptools import build_meta; print(build_meta.build_sdist({folder!r}))"


def test_the_source_distribution_holds_tests_examples_and_benchmarks(tmp_path):
    pytest.importorskip("setuptools")
    files = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True
    ).stdout.split()
    if not files:
        pytest.skip("not a working copy of git, whose files tell what belongs in")
    for name in files:
        target = tmp_path / "copy" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.symlink_to(ROOT / name)
    build = [sys.executable, "-c", BUILD.format(folder=str(tmp_path))]
    subprocess.run(build, cwd=tmp_path / "copy", check=True, capture_output=True)
    (archive,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(archive) as opened:
        packed = {name.partition("/")[2] for name in opened.getnames()}
    assert {name for name in files if name != ".gitignore"} <= packed


def test_the_command_is_installed_by_name():
    (command,) = entry_points(group="console_scripts", name="skfau")
    assert command.load().__module__ == "skfau.__main__"


def test_the_citation_has_the_package_version():
    cited = re.search(r"^version: (.+)$", (ROOT / "CITATION.cff").read_text(), re.M)
    assert cited[1] == PROJECT["version"] == skfau.__version__


def test_the_workflow_runs_the_tests_on_every_python_that_is_promised():
    workflow = (ROOT / ".github" / "workflows" / "ci.yml").read_text()
    assert "run: bash .ci/run" in workflow
    matrix = re.search(r"python: \[(.+)\]", workflow)[1].replace('"', "").split(", ")
    prefix = "Programming Language :: Python :: 3."
    promised = [c for c in PROJECT["classifiers"] if c.startswith(prefix)]
    assert matrix == [name.rpartition(" ")[2] for name in promised]


def test_the_guide_for_contributors_names_files_that_are_there():
    text = (ROOT / "CONTRIBUTING.rst").read_text()
    named = re.findall(r"``((?:tests|examples|skfau|benchmarks)/[\w/.]+)``", text)
    assert len(named) > 4
    missing = [n for n in named if not (ROOT / n).exists() and "_my.py" not in n]
    assert missing == []


def packages_of(requirements):
    """Return the names without their versions."""
    return {re.match(r"[\w.-]+", each)[0].lower() for each in requirements}


def floors():
    """Return {package: lowest version} of what the tests need."""
    needed = [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["test"]]
    return dict(each.split(">=") for each in needed)


@pytest.mark.parametrize("name", ["constraints.txt", "constraints-lowest.txt"])
def test_both_constraints_hold_every_package_and_the_lower_one_its_floor(name):
    text = (ROOT / name).read_text()
    pinned = dict(re.findall(r"^([\w.-]+)==(.+)$", text, re.M))
    assert set(pinned) >= set(floors())
    if name == "constraints-lowest.txt":
        assert set(pinned) == set(floors())
        others = {
            package: (version, floors()[package])
            for package, version in pinned.items()
            if not f"{version}.".startswith(f"{floors()[package]}.")
        }
        assert others == {}


def imported(path):
    """Yield the packages that a file imports anywhere."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (each.name.partition(".")[0] for each in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module.partition(".")[0]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_runs_after_the_first_command_or_says_what_it_needs(
    path, monkeypatch
):
    first = re.search(r"^    pip install .*", (ROOT / "README.rst").read_text(), re.M)
    assert first[0].endswith('".[plot]"')
    extras = PROJECT["optional-dependencies"]
    there = packages_of([*PROJECT["dependencies"], *extras["plot"], "skfau"])
    for module in set(imported(path)) - sys.stdlib_module_names:
        names = {name.lower() for name in packages_distributions().get(module, ())}
        if not names & there:
            monkeypatch.setitem(sys.modules, module, None)
            with pytest.raises(SystemExit, match=f"needs {module}: pip install"):
                runpy.run_path(str(path))
