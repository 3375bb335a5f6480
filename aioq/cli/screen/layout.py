"""Layout: a view and a state as the lines of a screen. Pure functions: they know no terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from aioq.cli.output import one_line
from aioq.cli.screen.state import ACTION_KEYS, State, offered
from aioq.cli.screen.view import TABS, Column, Line, Page, Row, Section, View, fitting

#: A column that does not grow has at most so many characters, and one that grows at least so many.
WIDEST, NARROWEST = 24, 10

#: Before a selected row, and before all others.
_MARK, _NO_MARK = "> ", "  "

#: The lines on top that do not scroll take at most this share of the screen.
_TOP_SHARE = 3

_HINTS = "j/k move  Enter open  Esc back  1-3 pages  / filter  p pause  ? help  q quit"

#: How the states of jobs look. The words say the same without colours.
STYLES = {"failed": "red", "stopped": "yellow", "expired": "yellow", "started": "green", "paused": "yellow"}

#: The words for what keys do, at the bottom.
_WORDS = {"requeue_all": "requeue all", "delete_all": "delete all"}


def draw(view: View, state: State, width: int, height: int) -> Text:
    """The screen as one text of `height` lines, none wider than `width`."""
    told = [part for each in view.lines for part in _line(each, width)]
    top = [_title(view, state, width), *told[: height // _TOP_SHARE]]
    foot = [_message(state, width), _keys(view, state, width)]
    room = max(0, height - len(top) - len(foot))
    lines, at = _body(view, state, width)
    start = 0 if len(lines) <= room else max(0, min(at - room // 2, len(lines) - room))
    shown = lines[start : start + room]
    shown += [Text()] * (room - len(shown))
    lines = [*top, *shown, *foot][-height:] if height < len(top) + len(foot) else [*top, *shown, *foot]

    return Text("\n", no_wrap=True, overflow="crop").join(lines)


def _title(view: View, state: State, width: int) -> Text:
    """Where one is, and whether the page is up to date."""
    names = [f"[{each}]" if each == state.place.page else str(each) for each in TABS]
    tabs = "  ".join(f"{number} {name}" for number, name in enumerate(names, 1))
    left = f" aioq  {tabs if state.place.page in TABS else '> ' + one_line(view.title)}"
    right = " PAUSED " if state.is_paused else f" {view.read_at} "

    return Text(_cut(left, max(0, width - len(right))) + right[: max(0, width)], style="reverse")


def _message(state: State, width: int) -> Text:
    """What is asked, typed or told."""
    if (question := state.question) is not None:
        # What is typed is seen, however long the question is.
        end = f" {question.typed}_"

        return Text(_fit(question.text, max(0, width - len(end))) + end[:width], style="bold yellow")

    if state.typing:
        return Text(_fit(f"/{state.place.filter}_", width), style="bold")

    if state.trouble:
        return Text(_fit(state.trouble, width), style="bold red")

    if state.notice:
        return Text(_fit(state.notice, width), style="bold")

    return Text(_fit(f"only rows with: {state.place.filter}", width) if state.place.filter else "", style="bold")


def _keys(view: View, state: State, width: int) -> Text:
    """The keys that do something now: those for actions first, since only some of them do."""
    acts = offered(state, view)
    words = [f"{key} {_WORDS.get(acts[key].verb, acts[key].verb)}" for key in ACTION_KEYS if key in acts]

    if not words:
        return Text(_fit(_HINTS, width), style="dim")

    return Text(_fit("  ".join([*words, "| ? help  q quit"]), width), style="dim")


def _body(view: View, state: State, width: int) -> tuple[list[Text], int]:
    """All lines of what scrolls, and which of them is the selected row."""
    lines: list[Text] = []
    number, at = 0, 0

    for section in view.sections:
        rows = fitting(section, state.place.filter)

        if lines:
            lines.append(Text())

        lines.append(Text(_fit(section.title, width), style="bold"))
        widths = column_widths(section.columns, rows, width - len(_MARK))

        if rows and section.columns:
            heads = [each.name for each in section.columns]
            lines.append(Text(_fit(_NO_MARK + _joined(section.columns, widths, heads), width), style="dim"))
        elif not rows:
            nothing = f"No row has the text {state.place.filter}." if section.rows else section.empty
            lines.append(Text(_fit(_NO_MARK + nothing, width), style="dim"))

        for row in rows:
            is_selected = number == state.place.cursor
            at = len(lines) if is_selected else at
            lines.append(_row(section, row, widths, width, is_selected=is_selected))
            number += 1

    return lines, at


def _row(section: Section, row: Row, widths: Sequence[int], width: int, *, is_selected: bool) -> Text:
    text = _joined(section.columns, widths, row.cells) if section.columns else row.cells[0]
    mark = _MARK if is_selected else _NO_MARK
    style = f"{row.style} reverse".strip() if is_selected else row.style

    return Text(_cut(mark + one_line_kept(text), width), style=style)


def one_line_kept(text: str) -> str:
    """The text without controls; spaces at its beginning stay, as in a traceback."""
    return " " * (len(text) - len(text.lstrip(" "))) + one_line_spaced(text.lstrip(" "))


def one_line_spaced(text: str) -> str:
    """The text on one line, with its runs of spaces."""
    return " ".join(one_line(part) for part in text.split(" "))


def column_widths(columns: Sequence[Column], rows: Sequence[Row], width: int) -> list[int]:
    """How wide each column is; 0: there is no room for it."""
    if not columns:
        return []

    natural = [
        max(cell_len(column.name), *(cell_len(one_line(row.cells[at])) for row in rows), 1)
        if rows
        else cell_len(column.name)
        for at, column in enumerate(columns)
    ]
    widths = [
        min(own, NARROWEST) if column.grows else min(own, WIDEST)
        for own, column in zip(natural, columns, strict=True)
    ]

    for at in range(len(columns) - 1, -1, -1):
        if columns[at].is_spare and _needed(widths) > width:
            widths[at] = 0

    left = width - _needed(widths)
    growing = [at for at, column in enumerate(columns) if column.grows]

    while left > 0 and (short := [at for at in growing if widths[at] < natural[at]]):
        for at in short[:left]:
            widths[at] += 1

        left -= len(short[:left])

    return widths


def _needed(widths: Sequence[int]) -> int:
    there = [each for each in widths if each]

    return sum(there) + 2 * max(0, len(there) - 1)


def _joined(columns: Sequence[Column], widths: Sequence[int], cells: Sequence[str]) -> str:
    parts = []

    for column, width, cell in zip(columns, widths, cells, strict=True):
        if width:
            text = _fit(cell, width)
            parts.append(" " * (width - cell_len(text)) + text if column.is_right else _cut(text, width))

    return "  ".join(parts)


def _line(line: Line, width: int) -> list[Text]:
    """A line that does not scroll, on as many lines as it needs."""
    parts = textwrap.wrap(one_line_kept(line.text), max(3, width), subsequent_indent="  ")

    return [Text(_fit(part, width), style=line.style) for part in parts]


def _fit(text: str, width: int) -> str:
    """The text without controls, in at most so many cells; what is left out is shown by an ellipsis."""
    shown = one_line_kept(text)

    return shown if cell_len(shown) <= width else set_cell_size(shown, max(0, width - 1)) + "…"[:width]


def _cut(text: str, width: int) -> str:
    """The text in exactly so many cells."""
    fitted = text if cell_len(text) <= width else set_cell_size(text, max(0, width - 1)) + "…"[:width]

    return set_cell_size(fitted, width)


def help_view() -> View:
    """The page that says what the keys do."""
    moves = (
        ("arrows, j, k", "the next row, the row before; PgUp, PgDn, g and G go further"),
        ("Enter", "open what is selected: a queue, a job, the last job of a failure"),
        ("Esc", "back; it also ends a filter"),
        ("1, 2, 3, Tab", "overview, failures, workers"),
        ("/", "show only rows with a text; Enter keeps it, Esc ends it"),
        ("p", "pause: nothing is read until p, but for pages that you open"),
        ("Ctrl-L", "draw the screen again"),
        ("q, Ctrl-C", "quit"),
    )
    asked = " It asks first."
    acts = tuple((key, f"{text}.{asked if key.isupper() else ''}") for key, text in ACTION_KEYS.items())
    columns = (Column("key"), Column("what it does", grows=True))

    def section(title: str, rows: Sequence[tuple[str, str]]) -> Section:
        return Section(title, tuple(Row(each) for each in rows), columns)

    return View(Page.HELP, (), (section("Keys", moves), section("Actions, on what is selected", acts)))
