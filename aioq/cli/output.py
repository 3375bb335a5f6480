"""How output looks: tables and progress bars on a terminal, plain stable lines in a pipe."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from io import TextIOWrapper
from typing import TYPE_CHECKING, Any, NamedTuple
from unicodedata import category

import typer

from aioq.values import numbers
from aioq.values.durations import in_two_units

if TYPE_CHECKING:
    from rich.table import Table as RichTable

#: The General_Category of characters that stored texts may hold and that must not reach a terminal. A terminal
#: obeys controls (Cc), shows nothing or turns the direction of writing at formats (Cf: U+202E, U+200B), and begins
#: a line at separators (Zl, Zp).
#: https://www.unicode.org/reports/tr44/#General_Category_Values
_UNSHOWN = frozenset(("Cc", "Cf", "Zl", "Zp"))

#: Letters and marks without a width, by Default_Ignorable_Code_Point of Unicode.
_ROOMLESS = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u3164\uffa0")

count = numbers.count


#: Colours of states and levels. The words say the same without colours.
_COLOURS = {
    "failed": "red",
    "stopped": "yellow",
    "expired": "yellow",
    "started": "green",
    "busy": "green",
    "stopping": "yellow",
    "PROBLEM": "red",
    "WARNING": "yellow",
}

#: Columns of states, and columns of numbers of jobs in a state.
_STATES, _NUMBERS = ("status", "state"), ("failed",)

_MARKED = re.compile(r"^(status: +)(\w+)$|^()(WARNING|PROBLEM)\b", re.MULTILINE)


class Table(NamedTuple):
    """Rows under columns. Numbers are set to the right; None is an empty cell.

    wraps: the columns that may take several lines on a terminal that is too narrow.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[str | int | None]]
    wraps: Collection[str] = ()


def prepare() -> None:
    """Print characters that the terminal's encoding lacks as escapes."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def replace_missing_streams() -> None:
    """Replace standard streams that the process was started without. Text written to them is dropped."""
    for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, mode, closefd=False))  # noqa: SIM115 - it is open until the end


def say(text: str) -> None:
    """Print text on stdout."""
    typer.echo(clean(text))


def warn(text: str) -> None:
    """Print text on stderr. If stderr has no reader, the text is dropped."""
    with suppress(OSError):
        typer.echo(clean(text), err=True)


def say_marked(text: str) -> None:
    """Print text on stdout. On a terminal, a state after `status:` and a level that begins a line have colours."""
    shown = clean(text)
    typer.echo(_MARKED.sub(_coloured, shown) if _has_colours() else shown)


def say_json(document: object) -> None:
    """Print one JSON document on stdout."""
    typer.echo(json.dumps(document, indent=2))


def say_table(table: Table) -> None:
    """Print a table on stdout."""
    if sys.stdout.isatty():
        from rich.console import Console  # noqa: PLC0415 - rich takes longer to import than most commands to run

        Console().print(rich_table(table))
    else:
        for line in plain_table(table):
            say(line)


def clean(text: str) -> str:
    r"""The text with escapes for characters that a terminal would obey or not show.

    Example:
        >>> print(clean("paid \u202etsuj"))
        paid \u202etsuj

    """
    return text if text.isascii() and text.isprintable() else "".join(map(_shown, text))


def _shown(character: str) -> str:
    if character in "\n\t" or not (category(character) in _UNSHOWN or character in _ROOMLESS):
        return character

    return character.encode("unicode-escape").decode() if ord(character) > 31 else f"\\x{ord(character):02x}"


def one_line(text: str) -> str:
    """The text on one line."""
    return clean(" ".join(text.split()))


def as_json(value: object) -> object:
    """The value if JSON can hold it, else its representation."""
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        return as_text(value)

    return value


def as_text(value: object) -> str:
    """The representation of a value from user code, even if its `__repr__` fails."""
    try:
        return repr(value)
    except Exception:  # noqa: BLE001 - it must not hide the job that it belongs to
        return f"<{type(value).__name__}>"


def moment(value: datetime | None) -> str | None:
    """A time for JSON: ISO 8601, UTC."""
    return None if value is None else value.astimezone(UTC).isoformat(timespec="milliseconds")


def age(value: datetime | None) -> str:
    """How long ago a time was, or how far ahead it is, in two units: "28s ago", "in 1h 59m"."""
    if value is None:
        return ""

    seconds = int((datetime.now(UTC) - value).total_seconds())
    shown = in_two_units(abs(seconds))

    return f"in {shown}" if seconds < 0 else f"{shown} ago"


def plain_table(table: Table) -> list[str]:
    """The lines of a table for a pipe: columns of equal width, two spaces apart, nothing cut short."""
    cells = [[one_line(_cell(value)) for value in row] for row in (table.columns, *table.rows)]
    right = _numbers(table)
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = [
        "  ".join(
            cell.rjust(width) if at in right else cell.ljust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in cells
    ]

    return [line.rstrip() for line in lines]


def rich_table(table: Table) -> RichTable:
    """The table for a terminal."""
    from rich.table import Table as RichTable  # noqa: PLC0415 - as in say_table
    from rich.text import Text  # noqa: PLC0415 - as in say_table

    grid = RichTable(box=None, padding=(0, 2, 0, 0), header_style="bold", pad_edge=False)
    right = _numbers(table)

    for at, name in enumerate(table.columns):
        grid.add_column(
            Text(name),
            justify="right" if at in right else "left",
            no_wrap=name not in table.wraps,
            overflow="fold",
        )

    for row in table.rows:
        cells = zip(table.columns, row, strict=True)
        grid.add_row(*(Text(_shown_cell(table, *cell), style=_style(*cell)) for cell in cells))

    return grid


@contextmanager
def progress(total: int, label: str, *, err: bool = False) -> Iterator[Callable[[int], None]]:
    """A progress bar on a terminal; in a pipe a line for each quarter, and nothing on stderr.

    Nothing else may be printed meanwhile.

    Args:
        total: the number of steps.
        label: what is being done.
        err: show it on stderr.

    """
    stream = sys.stderr if err else sys.stdout

    if stream.isatty():
        from rich.console import Console  # noqa: PLC0415 - as in say_table
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn  # noqa: PLC0415

        columns = TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn()

        with Progress(
            *columns, console=Console(file=stream), redirect_stdout=False, redirect_stderr=False
        ) as bars:
            task = bars.add_task(label, total=total)
            yield lambda steps: bars.advance(task, steps)
    else:
        yield _ignore if err else _quarters(total, label)


def _quarters(total: int, label: str) -> Callable[[int], None]:
    done = 0

    def advance(steps: int) -> None:
        nonlocal done
        before, done = done, done + steps

        if total and before * 4 // total < done * 4 // total:
            say(f"{label}: {done} of {total}")

    return advance


def _ignore(_: int) -> None:
    pass


def _numbers(table: Table) -> set[int]:
    """The columns that hold numbers only."""
    return {
        at
        for at in range(len(table.columns))
        if table.rows and all(isinstance(row[at], int) for row in table.rows)
    }


def _style(column: str, value: Any) -> str:
    """The style of a cell. rich omits the colours if NO_COLOR is set."""
    if value == 0:
        return "dim"

    if column in _NUMBERS and isinstance(value, int):
        return _COLOURS["failed"]

    return _COLOURS.get(str(value), "") if column in _STATES else ""


def _has_colours() -> bool:
    """Whether stdout is a terminal with colours, and the user wants them: https://no-color.org/"""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def _coloured(found: re.Match[str]) -> str:
    head, word = (found[1], found[2]) if found[2] else (found[3], found[4])

    return head + (typer.style(word, fg=_COLOURS[word]) if word in _COLOURS else word)


def _shown_cell(table: Table, column: str, value: Any) -> str:
    """The text of a cell. Only a column that wraps may have several lines; a stored text must not add lines."""
    return clean(_cell(value)) if column in table.wraps else one_line(_cell(value))


def _cell(value: Any) -> str:
    return "" if value is None else str(value)
