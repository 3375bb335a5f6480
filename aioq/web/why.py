"""Why: what explains a job, as its page shows it. Commands stand apart, so that they can be copied."""

from __future__ import annotations

from typing import NamedTuple

from aioq.client.explained import explain_job
from aioq.store import Store
from aioq.values.explanation import Reason, ReasonKind
from aioq.values.record import JobRecord
from aioq.values.states import FINAL, JobStatus
from aioq.web.board import Board

#: Reasons whose text may hold nothing that a job has said: who runs the queue, who has ended the job, and what it
#: waits for.
_HARMLESS = frozenset(
    {
        ReasonKind.SUSPENDED,
        ReasonKind.PAUSED,
        ReasonKind.NO_WORKER,
        ReasonKind.NOT_CLAIMING,
        ReasonKind.BUSY,
        ReasonKind.AHEAD,
        ReasonKind.TTL,
        ReasonKind.DUE,
        ReasonKind.RETRY_BUDGET,
        ReasonKind.REPEAT,
        ReasonKind.PARENT,
        ReasonKind.RUNS,
        ReasonKind.LEASE_ENDED,
        ReasonKind.FINISHED,
        ReasonKind.CANCELED,
        ReasonKind.STOPPED,
    }
)


class Part(NamedTuple):
    """A part of a remedy: words, or a command."""

    text: str
    is_command: bool


class Why(NamedTuple):
    """A reason as the page shows it."""

    text: str
    remedy: list[Part]


async def why(board: Board, store: Store, record: JobRecord) -> list[Why]:
    """The reasons of a job: one call, and for a job that waits for a worker two."""
    found = await explain_job(store, record.id)

    return [Why(_text(board, record, each), parts_of(each.remedy)) for each in found.reasons]


def heading(status: str) -> str:
    """What stands above the reasons of a job in this state."""
    if status in list(JobStatus) and JobStatus(status) in FINAL:
        return "How it ended"

    return "Where it stands" if status == "started" else "Why it does not run"


def parts_of(remedy: str) -> list[Part]:
    """A remedy in its parts.

    Example:
        >>> [part.text for part in parts_of("Start one: `aioq worker mail`") if part.is_command]
        ['aioq worker mail']

    """
    return [Part(text, bool(at % 2)) for at, text in enumerate(remedy.split("`")) if text]


def _text(board: Board, record: JobRecord, reason: Reason) -> str:
    return reason.text if reason.kind in _HARMLESS else board.shown(record, "error", reason.text)
