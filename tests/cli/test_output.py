"""Tables, ages and texts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

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
        (0, "0s"),
        (59, "59s"),
        (60, "1m"),
        (3_599, "59m"),
        (3_600, "1h"),
        (86_399, "23h"),
        (864_000, "10d"),
        (-90, "in 1m"),
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
    assert output.last_line("Traceback\n  x\nError: y\n\n") == "Error: y"
    assert (output.count(1, "job"), output.count(2, "job")) == ("1 job", "2 jobs")


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
