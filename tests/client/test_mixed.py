"""RQ's form of a call, as type checkers see it. What they make of it is in tests/typing."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator

import pytest

from aioq.client import mixed
from aioq.values.options import OPTION_NAMES

NAMES = ("enqueue", "enqueue_at", "enqueue_in")


def overloads(name: str) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Those of a method, from the source: a method that bears the name of another class loses them."""
    for node in ast.walk(ast.parse(inspect.getsource(mixed))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == name:
            if [ast.unparse(each) for each in node.decorator_list] == ["overload"]:
                yield node


@pytest.mark.parametrize("name", NAMES)
def test_the_form_that_is_refused_is_that_without_any_option(name: str) -> None:
    """Else a call with a new option would be refused, because its arguments do not fit the function."""
    (refused,) = [each for each in overloads(name) if each.args.kwonlyargs]
    never = {each.arg for each in refused.args.kwonlyargs if each.annotation and each.annotation.id == "Never"}
    assert never == OPTION_NAMES | {"args", "kwargs"}, "the fourth overload names each option, with the type Never"
    assert ast.unparse(refused.returns or refused) == "ArgumentsDoNotFit"


@pytest.mark.parametrize("name", NAMES)
def test_the_forms_with_options_follow_those_without(name: str) -> None:
    gives = [ast.unparse(each.returns or each) for each in overloads(name)]
    kinds = ["Job[R]", "Job[list[R]]", "Job[R]"]
    assert gives == [*kinds, "ArgumentsDoNotFit", *kinds, "Job[Any]"]
