"""docs/reliability.md names, for each fault, who has seen it: faults and tests that there are."""

from __future__ import annotations

import ast
import re

import pytest

from .__main__ import PAGE
from .nemesis import FAULTS, OF_ITS_OWN
from .promises import BY_A_JOB
from .topology import KINDS, ROOT

ROWS = [
    [cell.strip() for cell in line.strip("|").split(" | ")]
    for line in PAGE.read_text().partition("## Faults, and what happens")[2].splitlines()
    if line.startswith("| ")
][1:]


def names_of_tests() -> set[str]:
    """The names of all tests."""
    return {
        node.name
        for file in (ROOT / "tests").rglob("test_*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
    }


def test_the_table_is_there() -> None:
    assert len(ROWS) >= 48
    assert all(len(row) == 3 for row in ROWS)


def test_whoever_is_named_is_there() -> None:
    named = {name for *_, seen in ROWS for name in re.findall(r"`([^`]+)`", seen)}
    assert named - names_of_tests() - {*FAULTS, OF_ITS_OWN, BY_A_JOB} == set()
    assert {*FAULTS, BY_A_JOB} - named == set()


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_server_is_named(kind: str) -> None:
    assert f"`{kind}`" in PAGE.read_text()
