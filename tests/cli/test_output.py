"""Tables, ages and texts."""

from __future__ import annotations

import unicodedata
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aioq.cli import output


def test_a_plain_table() -> None:
    table = output.Table(["name", "number", "empty"], [["a", 7, None], ["longer name", 1234567, "x\ny"]])
    assert output.plain_table(table) == [
        "name          number  empty",
        "a                  7",
        "longer name  1234567  x y",
    ]


def test_a_table_without_rows_is_its_head() -> None:
    assert output.plain_table(output.Table(["a", "b"], [])) == ["a  b"]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s ago"),
        (59, "59s ago"),
        (60, "1m ago"),
        (61, "1m 1s ago"),
        (3_599, "59m 59s ago"),
        (3_600, "1h ago"),
        (3_661, "1h 1m ago"),
        (86_399, "23h 59m ago"),
        (864_000, "10d ago"),
        (-90, "in 1m 30s"),
        (-7_170, "in 1h 59m"),
    ],
)
def test_ages(seconds: int, text: str) -> None:
    # Half a second is the time that the test may take.
    assert output.age(datetime.now(UTC) - timedelta(seconds=seconds + (0.01 if seconds >= 0 else -0.5))) == text


def test_the_age_of_no_moment() -> None:
    assert output.age(None) == ""
    assert output.moment(None) is None


def test_texts() -> None:
    assert output.clean("a\x00b\x1b[1m\x9b\tc\nd\r") == "a\\x00b\\x1b[1m\\x9b\tc\nd\\x0d"
    assert output.one_line(" a\n  b ") == "a b"
    assert (output.count(1, "job"), output.count(2, "job")) == ("1 job", "2 jobs")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("paid \u202etsuj\u200b", "paid \\u202etsuj\\u200b"),
        ("\u2066a\u2069\ufeff\u00ad", "\\u2066a\\u2069\\ufeff\\xad"),
        ("a\u2028b\u2029c\x85", "a\\u2028b\\u2029c\\x85"),
        ("\U000e0041\U000e0001", "\\U000e0041\\U000e0001"),
        ("\u3164\u115f\u034f", "\\u3164\\u115f\\u034f"),
        ("\x7f\x9f", "\\x7f\\x9f"),
        ("Grüße, 東京 ❤️ 🎉", "Grüße, 東京 ❤️ 🎉"),
    ],
)
def test_no_character_reaches_the_terminal_that_it_would_obey_or_not_show(text: str, shown: str) -> None:
    assert output.clean(text) == shown


@given(st.text())
def test_what_is_shown_is_one_line_that_can_be_seen(text: str) -> None:
    line = output.one_line(text)

    assert len(line.splitlines()) <= 1
    assert not {unicodedata.category(each) for each in line} & {"Cc", "Cf", "Zl", "Zp"}


def test_a_cell_makes_no_lines_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    table = output.Table(["name", "job"], [["a\nworker b", "call\nnote"]], wraps=["job"])
    (row,) = zip(*(column.cells for column in output.rich_table(table).columns), strict=True)

    assert [str(cell) for cell in row] == ["a worker b", "call\nnote"]


@pytest.mark.parametrize(
    ("column", "value", "style"),
    [
        ("status", "failed", "red"),
        ("status", "started", "green"),
        ("status", "queued", ""),
        ("state", "busy", "green"),
        ("failed", 2, "red"),
        ("failed", 0, "dim"),
        ("finished", 2, ""),
        ("job", "failed", ""),
    ],
)
def test_colours_of_cells(column: str, value: str | int, style: str) -> None:
    (found,) = (next(iter(each.cells)) for each in output.rich_table(output.Table([column], [[value]])).columns)
    assert str(found.style) == style


def test_marked_lines_have_no_colours_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    output.say_marked("status:  failed\nPROBLEM x\x1b")
    assert capsys.readouterr().out == "status:  failed\nPROBLEM x\\x1b\n"


class Broken:
    def __repr__(self) -> str:
        raise RuntimeError


def test_values_that_json_does_not_have() -> None:
    loop: list[object] = []
    loop.append(loop)
    assert output.as_json({"a": [1, None]}) == {"a": [1, None]}
    assert output.as_json({(1, 2): 3}) == "{(1, 2): 3}"
    assert output.as_json(float("inf")) == "inf"
    assert output.as_json(loop) == "[[...]]"
    assert output.as_json(Broken()) == "<Broken>"
