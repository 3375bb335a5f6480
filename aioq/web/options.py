"""Options: what a job was told, as a page shows it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from aioq.values.durations import FOREVER
from aioq.values.options import ROWS
from aioq.values.record import JobRecord
from aioq.values.summary import printable
from aioq.web.words import duration

#: The most characters of an option's value.
LONGEST = 300


def option_rows(record: JobRecord) -> list[tuple[str, str]]:
    """The options of a job that are shown, each as its name and its value. What is damaged is left out."""
    found: dict[str, str] = {}

    for row in ROWS:
        if row.shown is None or found.get(row.shown.name):
            continue

        try:
            value = record.option(row)
            shown = value if value is None or row.shown.value is None else row.shown.value(value)
            text = "" if shown is None else _WORDS.get(row.shown.words, _plain)(shown)
        except (
            ValueError,
            TypeError,
            LookupError,
            ArithmeticError,
            AttributeError,
        ):  # the stored value is damaged
            continue

        if text and row.shown.name != "description":
            found[row.shown.name] = printable(text[:LONGEST])

    return list(found.items())


def _limit(seconds: float) -> str:
    return "no limit" if seconds == FOREVER else duration(seconds * 1000)


def _retention(seconds: float) -> str:
    return "for ever" if seconds == FOREVER else duration(seconds * 1000) if seconds else "not kept"


def _rule(rule: Mapping[str, Any]) -> str:
    """The rule of a retry or of a series, word by word. What ends in `_ms` is a duration."""
    return ", ".join(f"{name.removesuffix('_ms')} {_part(name, value)}" for name, value in rule.items())


def _part(name: str, value: object) -> str:
    if isinstance(value, list | tuple):
        return " then ".join(_part(name, each) for each in value)

    if name.endswith("_ms") and isinstance(value, int | float):
        return duration(value)

    return str(value)


def _plain(value: object) -> str:
    return "" if value in (None, "", [], {}) else str(value)


_WORDS: dict[str, Callable[[Any], str]] = {
    "limit": _limit,
    "duration": lambda seconds: duration(seconds * 1000),
    "retention": _retention,
    "retry": _rule,
    "repeat": _rule,
}
