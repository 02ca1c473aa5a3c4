"""Every public signature has types, which are those of the docstring."""

import ast
import inspect
import os
import re
import subprocess
import sys

import pytest

import skfau
from tests.test_docs import PUBLIC, ROOT, documented

SPECIAL = {"__init__", "__call__", "__len__", "__getitem__", "__iter__", "__array__"}


def members(cls):
    """Yield (function, docstring of its parameters) of what a class shows."""
    for name in dir(cls):
        member = inspect.getattr_static(cls, name)
        member = getattr(member, "__func__", getattr(member, "fget", member))
        public = not name.startswith("_") or name in SPECIAL
        if public and inspect.isfunction(member):
            yield member, cls.__doc__ if name == "__init__" else member.__doc__


def signatures():
    """Return {name: (signature, {parameter: documented type})} of this package."""
    found = {}
    for obj in PUBLIC.values():
        if inspect.isclass(obj):
            functions = list(members(obj))
        else:
            functions = [(obj, obj.__doc__)] if inspect.isfunction(obj) else []
        for function, docstring in functions:
            function = inspect.unwrap(function)
            if function.__module__.startswith("skfau"):
                name = f"{function.__module__}.{function.__qualname__}"
                told = dict(documented(docstring or ""))
                found.setdefault(name, (inspect.signature(function), told))
    return found


SIGNATURES = signatures()


def test_signatures_are_found():
    assert len(SIGNATURES) > 300


def test_every_parameter_and_result_has_a_type():
    bare = [
        f"{name}: {parameter.name}"
        for name, (signature, _) in SIGNATURES.items()
        for parameter in signature.parameters.values()
        if parameter.annotation is parameter.empty
        and parameter.name not in {"self", "cls", "_cls"}
    ]
    bare += [
        f"{name}: what it returns"
        for name, (signature, _) in SIGNATURES.items()
        if signature.return_annotation is signature.empty
        and not name.endswith("__init__")
    ]
    assert bare == []


def literals(text):
    return set(re.findall(r"""["']([^"']*)["']""", text))


def contradicts(parameter, told):
    """Return whether a hint allows another None, choice or plain type than told."""
    hint = str(parameter.annotation)
    if "Any" in hint:
        return False
    told = told.partition("default=")[0]
    plain = re.match(r"(int|float|bool|str|Faces)\b", told)
    return (
        ("None" in hint) != ("None" in told or parameter.default is None)
        or ("Literal" in hint and literals(hint) != literals(told))
        or (plain is not None and not re.search(rf"\b{plain[1]}\b", hint))
    )


def test_types_are_those_of_the_docstring():
    wrong = [
        f"{name}: {parameter} : {told[parameter]} is typed {value.annotation}"
        for name, (signature, told) in SIGNATURES.items()
        for parameter, value in signature.parameters.items()
        if parameter in told and contradicts(value, told[parameter])
    ]
    assert wrong == []


def test_type_checkers_see_every_top_level_name():
    tree = ast.parse((ROOT / "skfau" / "__init__.py").read_text("utf-8"))
    (seen,) = (node for node in tree.body if isinstance(node, ast.If))
    names = {alias.asname: node.module for node in seen.body for alias in node.names}
    expected = {name: f"skfau.{room}" for name, room in skfau._EXPORTS.items()}
    assert names == expected | dict.fromkeys(skfau._SUBMODULES, "skfau")


def test_mypy_has_no_complaint():
    pytest.importorskip("mypy", reason="mypy is in the extra test")
    mypy = [sys.executable, "-m", "mypy", "--cache-dir", os.devnull]
    done = subprocess.run(mypy, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
