"""The rules of the house, read from the source with the standard library alone."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import FunctionType, ModuleType

import pytest

import aioq
from tests import interface

ROOT = Path(aioq.__file__).parent
FILES = sorted(path for path in ROOT.rglob("*.py") if "__pycache__" not in path.parts)

#: No file is longer than this, in lines.
LONGEST_FILE_LINES = 365

#: No function is longer than this, in lines without its docstring. The longest one is mostly options of a command.
LONGEST_FUNCTION_LINES = 51

#: No class of the worker or the store has more public methods and properties.
PUBLIC_METHODS = 20

#: What only Lua has.
LUA = re.compile(r"redis\.p?call\s*\(|\bKEYS\[\d|\bARGV\[\d|\blocal function\b")


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT.parent).with_suffix("").parts

    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), str(path))


#: A test walks through all of these itself. One test for each rule and module would cost more than the rules.
MODULES = {module_name(path): path for path in FILES}


def imports(name: str) -> Iterator[str]:
    """The modules that a module imports anywhere: at its top, in a function, or for types only."""
    path = MODULES[name]
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]

    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = (
                ".".join([*package.split(".")[: len(package.split(".")) - node.level + 1]]) if node.level else ""
            )
            source = ".".join(part for part in (base, node.module) if part)

            for alias in node.names:
                yield f"{source}.{alias.name}" if f"{source}.{alias.name}" in MODULES else source


def literals(name: str) -> Iterator[str]:
    """The texts in a module's code, without its docstrings."""
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree(MODULES[name]))
        if isinstance(node, documented) and node.body and isinstance(node.body[0], ast.Expr)
    }

    for node in ast.walk(tree(MODULES[name])):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            yield node.value
        elif isinstance(node, ast.Constant) and isinstance(node.value, bytes):
            yield node.value.decode(errors="replace")


def functions(body: list[ast.stmt], prefix: str) -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    """The functions and methods of a module whose names are for others."""
    for node in body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield from functions(node.body, f"{prefix}{node.name}.")
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and (
            not node.name.startswith("_") or node.name == "__init__"
        ):
            yield f"{prefix}{node.name}", node


def test_only_the_store_imports_redis() -> None:
    users = {name for name in MODULES for each in imports(name) if each.split(".")[0] in ("redis", "hiredis")}
    assert users
    assert [name for name in users if not name.startswith("aioq.store")] == []


def test_lua_stands_in_lua_files_only() -> None:
    assert [(name, each) for name in MODULES for each in literals(name) if LUA.search(each)] == []


def test_names_of_keys_are_spelled_in_one_place() -> None:
    others = [name for name in MODULES if name != "aioq.store.keys"]
    assert [(name, each) for name in others for each in literals(name) if re.match(r"aioq:(?!/)", each)] == []


def test_bytes_are_turned_into_values_in_one_place() -> None:
    """What is signed is verified there, so nothing else may read what is stored."""
    users = [name for name in MODULES if "aioq.values.serializer" in imports(name) and reads_values(name)]
    assert users == ["aioq.values.signed"]
    assert not [name for name in MODULES if "pickle" in imports(name) and name != "aioq.values.serializer"]


def reads_values(name: str) -> bool:
    return any(
        isinstance(node, ast.ImportFrom) and any(alias.name == "loads" for alias in node.names)
        for node in ast.walk(tree(MODULES[name]))
    )


def test_no_modules_import_each_other_in_a_circle_not_even_for_types() -> None:
    graph = {name: {each for each in imports(name) if each in MODULES and each != name} for name in MODULES}
    seen: dict[str, bool] = {}

    def visit(name: str, path: tuple[str, ...]) -> None:
        if name in path:
            pytest.fail(" → ".join([*path[path.index(name) :], name]))

        if name not in seen:
            for each in sorted(graph[name]):
                visit(each, (*path, name))

            seen[name] = True

    for name in graph:
        visit(name, ())


def test_every_module_says_what_it_is_for() -> None:
    others = [name for name, path in MODULES.items() if path.name != "__main__.py"]
    assert [name for name in others if not ast.get_docstring(tree(MODULES[name]))] == []


def test_every_public_function_is_annotated_in_full() -> None:
    assert [each for name in MODULES for each in not_annotated(name)] == []


def not_annotated(name: str) -> Iterator[str]:
    """Public functions of a module, with their parameters that have no annotation."""
    for where, node in functions(tree(MODULES[name]).body, f"{name}."):
        given = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs, node.args.vararg, node.args.kwarg]
        missing = [
            each.arg for each in given if each and each.annotation is None and each.arg not in ("self", "cls")
        ]

        if missing or node.returns is None:
            yield f"{where}({', '.join(missing)})"


def test_the_public_names_are_sorted_and_there() -> None:
    assert list(aioq.__all__) == sorted(set(aioq.__all__))

    for name in aioq.__all__:
        assert getattr(aioq, name, None) is not None


def test_every_public_name_of_the_package_is_announced() -> None:
    found = {
        name
        for name, value in vars(aioq).items()
        if not name.startswith("_") and not isinstance(value, ModuleType) and name != "annotations"
    }

    assert found == set(aioq.__all__)


def test_dir_shows_what_the_package_is_for() -> None:
    shown = dir(aioq)
    assert {name for name in shown if not name.startswith("__")} == set(aioq.__all__)
    assert {"__version__", "__all__", "__doc__"} <= set(shown)


def test_every_public_name_is_documented() -> None:
    for name in aioq.__all__:
        value = getattr(aioq, name)
        own = value.__doc__ if inspect.isclass(value) or inspect.isfunction(value) else inspect.getdoc(value)

        assert own, name
        assert own.strip()[0].isupper(), name


def test_help_has_a_line_for_every_public_method_and_property() -> None:
    described = (FunctionType, property, classmethod, staticmethod)
    bare = [
        (kind, each)
        for kind in interface.OWNERS
        for base in kind.__mro__[:-1]
        for each, value in vars(base).items()
        if base.__module__.startswith("aioq.") and not each.startswith("_")
        if isinstance(value, described) and not value.__doc__
    ]

    assert bare == []


def test_every_module_can_be_imported_alone() -> None:
    for name in MODULES:
        if not name.endswith("__main__"):
            importlib.import_module(name)


def test_an_application_that_only_enqueues_does_not_load_the_worker() -> None:
    code = "import sys, aioq; print('aioq.worker.worker' in sys.modules, aioq.Worker.__module__)"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout

    assert said.split() == ["False", "aioq.worker.worker"]


def test_a_name_that_aioq_does_not_have_is_an_error() -> None:
    with pytest.raises(AttributeError, match="'aioq' has no attribute 'Wroker'"):
        aioq.Wroker


def test_no_file_is_too_long() -> None:
    lines = {path: len(path.read_text().splitlines()) for path in [*FILES, *ROOT.rglob("*.lua")]}
    assert {path: number for path, number in lines.items() if number > LONGEST_FILE_LINES} == {}


def length(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of a function without its docstring."""
    first = node.body[0]
    assert node.end_lineno is not None
    assert first.end_lineno is not None
    documented = first.end_lineno - first.lineno + 1 if ast.get_docstring(node) is not None else 0

    return node.end_lineno - node.lineno + 1 - documented


def test_no_function_is_too_long() -> None:
    found = [
        (name, node)
        for name, path in MODULES.items()
        for node in ast.walk(tree(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    assert [(name, node.name) for name, node in found if length(node) > LONGEST_FUNCTION_LINES] == []


def test_no_class_of_the_worker_or_the_store_does_too_much() -> None:
    methods = {
        (name, node.name): len(list(functions(node.body, "")))
        for name, path in MODULES.items()
        if name.startswith(("aioq.worker", "aioq.store"))
        for node in ast.walk(tree(path))
        if isinstance(node, ast.ClassDef)
    }
    assert {each: number for each, number in methods.items() if number > PUBLIC_METHODS} == {}


def test_pre_commit_runs_what_make_check_runs() -> None:
    """Both name the same commands in the same order."""
    makefile = (ROOT.parent / "Makefile").read_text()
    recipe = re.search(r"^check:.*\n((?:\t.+\n)+)", makefile, re.MULTILINE)
    assert recipe
    checks = recipe[1].replace("$(VENV)", ".venv").replace("\t", "").splitlines()
    hooks = re.findall(r"^ +entry: (.+)$", (ROOT.parent / ".pre-commit-config.yaml").read_text(), re.MULTILINE)

    assert hooks == checks
