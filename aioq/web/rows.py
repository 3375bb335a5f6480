"""Rows: a job as lists show it. Nothing of it is imported, called or unpickled."""

from __future__ import annotations

from typing import Any, NamedTuple

from aioq.values.calltext import CUT, LONGEST, argument_texts, call_text
from aioq.values.record import JobRecord
from aioq.values.summary import printable
from aioq.web.board import Board
from aioq.web.words import milliseconds

#: The word for a record whose state is none.
DAMAGED = "damaged"


class JobRow(NamedTuple):
    """A job in a list.

    Args:
        id: its id.
        queue: its queue.
        status: its state; "damaged" for what is none.
        call: its call as one line.
        note: its error, its description, or what it waits for.
        worker: who runs it, or ran it last; "" if nobody did.
        attempt: how many attempts there were.
        at_ms: when it came into its state; of a scheduled job, when it is due. 0: not known.
        took_ms: how long its last run took; -1: it has not ended, or never ran.

    """

    id: str
    queue: str
    status: str
    call: str
    note: str
    worker: str
    attempt: int
    at_ms: int
    took_ms: int


def job_row(board: Board, queue: str, record: JobRecord) -> JobRow:
    """The row of a job."""
    return JobRow(
        record.id,
        queue,
        status_of(record),
        shown_call(board, record),
        _note(board, record),
        record.worker or "",
        record.attempt,
        _since(record),
        _took(record),
    )


def status_of(record: JobRecord) -> str:
    """The state of a job, or a word for what is none."""
    stored = record.fields.get(b"status", b"").decode(errors="replace")

    return stored if stored in _SINCE else DAMAGED


def shown_call(board: Board, record: JobRecord) -> str:
    """The call of a job as one line, as it may leave the process."""
    if b"cut" in record.fields:
        return f"{printable(record.func_name)}({CUT})"

    if not board.hides:
        return call_text(record)

    found = argument_texts(record)
    shown = [
        board.shown(record, name, text) if name.isdecimal() else f"{name}={board.shown(record, name, text)}"
        for name, text in found or [("0", CUT)]
    ]
    line = ", ".join(shown if found != [] else [])

    return f"{printable(record.func_name)}({line if len(line) <= LONGEST else line[:LONGEST] + CUT})"


def _note(board: Board, record: JobRecord) -> str:
    if (failure := record.failure) is not None:
        return printable(board.shown(record, "error", failure.line))

    if record.edges and record.fields.get(b"status") == b"deferred":
        return f"after {', '.join(name for _, name in record.edges[:3])}"

    return printable(board.shown(record, "description", record.description or record.reason or ""))


#: The fields that say since when a job has been in its state, the first one that is there.
_SINCE: dict[str, tuple[str, ...]] = {
    "queued": ("enqueued_at", "created_at"),
    "scheduled": ("due_at", "created_at"),
    "deferred": ("created_at",),
    "started": ("started_at",),
    **dict.fromkeys(("finished", "failed", "canceled", "stopped", "expired"), ("ended_at",)),
}

#: The states that a run leads to. A job that is canceled or expires may have run long before.
_ENDED_BY_RUN = ("finished", "failed", "stopped")


def _since(record: JobRecord) -> int:
    found: Any = 0

    for name in _SINCE.get(status_of(record), ("created_at",)):
        found = found or milliseconds(getattr(record, name))

    return int(found)


def _took(record: JobRecord) -> int:
    began, ended = milliseconds(record.started_at), milliseconds(record.ended_at)

    return ended - began if status_of(record) in _ENDED_BY_RUN and 0 < began <= ended else -1
