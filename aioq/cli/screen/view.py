"""View: what one page of the screen shows, as values. They know no server and no terminal."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal, NamedTuple

#: What a row is about.
Kind = Literal["queue", "job", "failure"]


class Page(StrEnum):
    """The pages. Their values are the titles."""

    OVERVIEW = "Overview"
    FAILURES = "Failures"
    WORKERS = "Workers"
    QUEUE = "Queue"
    JOB = "Job"
    HELP = "Help"


#: The pages that digits and Tab lead to, in their order.
TABS = (Page.OVERVIEW, Page.FAILURES, Page.WORKERS)


class Subject(NamedTuple):
    """What a row, or a page as a whole, is about: what Enter opens, and what keys act on.

    Args:
        kind: queue, job or failure (the failed jobs of a queue that have one fingerprint).
        queue: the name of the queue.
        id: of a job its id, of a failure its fingerprint.
        status: of a job its state; of a queue "paused" if it is paused itself.
        jobs: of a failure its jobs; of a queue its failed jobs.
        opens: of a failure the id of its last job.

    """

    kind: Kind
    queue: str
    id: str = ""
    status: str = ""
    jobs: int = 0
    opens: str = ""

    @property
    def name(self) -> tuple[str, str, str]:
        """What stays the same from look to look."""
        return self.kind, self.queue, self.id


class Line(NamedTuple):
    """A line of text, with a style of rich."""

    text: str
    style: str = ""


class Column(NamedTuple):
    """A column of a section.

    Args:
        name: its head.
        is_right: whether its cells are set to the right.
        grows: whether it takes the room that is left.
        is_spare: whether it is left out of a terminal that is too narrow.

    """

    name: str
    is_right: bool = False
    grows: bool = False
    is_spare: bool = False


class Row(NamedTuple):
    """A row of a section.

    Args:
        cells: its texts, one for each column.
        subject: what it is about; None for a line of text.
        style: of the whole row.

    """

    cells: tuple[str, ...]
    subject: Subject | None = None
    style: str = ""


class Section(NamedTuple):
    """Rows under a title. Without names of columns, each row is a line of text.

    Args:
        title: the title.
        rows: the rows.
        columns: the columns; none: the rows have one cell.
        empty: what is said if there are no rows.

    """

    title: str
    rows: tuple[Row, ...]
    columns: tuple[Column, ...] = ()
    empty: str = ""


class View(NamedTuple):
    """What a page shows.

    Args:
        title: its title.
        lines: what stands on top and does not scroll.
        sections: what scrolls.
        subject: what the page as a whole is about; None if that is no single thing.
        read_at: when it was read, by the server's clock.

    """

    title: str
    lines: tuple[Line, ...] = ()
    sections: tuple[Section, ...] = ()
    subject: Subject | None = None
    read_at: str = ""

    def rows(self, text: str = "") -> list[Row]:
        """The rows that have a text in some cell, from top to bottom."""
        return [row for section in self.sections for row in fitting(section, text)]


def fitting(section: Section, text: str) -> list[Row]:
    """The rows of a section that have a text in some cell, whether its letters are large or small."""
    wanted = text.casefold()

    return [row for row in section.rows if not wanted or any(wanted in each.casefold() for each in row.cells)]
