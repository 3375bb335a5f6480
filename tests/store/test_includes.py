"""What Lua files need: each says what it uses, and it is put in order."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from aioq.store.includes import with_needs
from aioq.store.tables import tables
from aioq.values.states import STATES
from tests.store.lua import FOLDER, LIBRARY, needs, offered, unbound

SOURCES = {path.stem: path.read_text() for path in FOLDER.glob("*.lua")}
TABLES = tables(STATES)


@pytest.mark.parametrize("name", LIBRARY)
def test_every_include_says_first_what_it_is_for_and_is_used(name: str) -> None:
    assert LIBRARY[name].startswith(f"-- {name.rpartition('/')[2]}: ")
    assert any(name in needs(text) for text in [*SOURCES.values(), *LIBRARY.values()])


@pytest.mark.parametrize("path", sorted(FOLDER.rglob("*.lua")), ids=lambda path: str(path.relative_to(FOLDER)))
def test_every_file_needs_what_it_uses_and_nothing_else(path: Path) -> None:
    text = path.read_text()
    makers = {each: offered(lua) for each, lua in (LIBRARY | TABLES).items()}
    asked = unbound(text)
    needed = {each for each, names in makers.items() if names & asked and text != LIBRARY.get(each)}
    checks = {each for each in needs(text) if each.startswith("checks/")}  # they may offer no more than checks

    assert set(needs(text)) - checks == needed - checks
    assert needed <= set(needs(text))


def test_what_a_file_needs_comes_before_it_and_once() -> None:
    texts = {"a": "-- NEEDS: b c\nA", "b": "-- NEEDS: c\nB", "c": "C"}

    assert re.findall(r"^[A-Z]$", with_needs("-- NEEDS: a c\nD", texts), re.MULTILINE) == ["C", "B", "A", "D"]


def test_what_is_needed_inside_a_function_is_put_there_unless_it_is_at_the_top() -> None:
    source = "-- NEEDS: a\nlocal function f()\n  -- NEEDS: b\nend\nlocal function g()\n  -- NEEDS: b\nend"

    assert with_needs(source, {"a": "A", "b": "-- NEEDS: a\nB"}).splitlines() == [
        *("A", "-- NEEDS: a"),
        *("local function f()", "-- NEEDS: a", "B", "end"),
        *("local function g()", "-- NEEDS: a", "B", "end"),
    ]


def test_files_that_need_each_other_are_refused() -> None:
    with pytest.raises(ValueError, match="Lua files need each other: b → c → b"):
        with_needs("-- NEEDS: a", {"a": "-- NEEDS: b", "b": "-- NEEDS: c", "c": "-- NEEDS: b"})


def test_a_file_that_is_not_there_is_refused() -> None:
    with pytest.raises(LookupError, match="lib/a needs 'gone', which is no Lua file or table"):
        with_needs("-- NEEDS: lib/a", {"lib/a": "-- NEEDS: gone"})
