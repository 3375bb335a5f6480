"""Explained: the reply of `explain.lua` as facts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from aioq.store.audit import read_rows
from aioq.store.reply import fields_of, text
from aioq.values.audit import AuditEntry
from aioq.values.facts import JobFacts, LastRun, Parent, Place
from aioq.values.failure import unpack_failure
from aioq.values.figures import unpack_figures
from aioq.values.numbered import LARGEST
from aioq.values.pause import Pause, read_pause
from aioq.values.rate import rate_of
from aioq.values.record import JobRecord
from aioq.values.retry_budget import read_budget
from aioq.values.signature import Signer

#: Up to so many jobs ahead of a queued one are counted; of more the number is estimated.
EXACT = 1_000

#: So many workers, and parents of a deferred job, are told.
MOST = 100

#: In so many rows of the audit it is looked up who has ended a job.
ROWS = 50


def read_facts(queue: str, job_id: str, signer: Signer | None, reply: Sequence[Any]) -> JobFacts:
    """The facts in a reply."""
    now_ms = int(reply[1])

    if reply[0] == b"gone":
        return JobFacts(
            queue,
            JobRecord(job_id, {}, signer),
            now_ms,
            is_there=False,
            is_recent=bool(reply[2]),
            acts=_acts(reply[3], job_id),
        )

    found: dict[str, Any] = {text(name): value for name, value in fields_of(reply[3]).items()}
    workers, names = found["workers"]
    opened, parents = found.get("parents", (0, ()))

    return JobFacts(
        queue,
        JobRecord(job_id, fields_of(reply[2]), signer),
        now_ms,
        pauses=_pauses(found),
        workers=workers,
        names=tuple(map(text, names)),
        last_lease=_last_lease(found.get("last_lease")),
        place=_place(found.get("place")),
        lease_ms=_number(found.get("lease")),
        parents=tuple(Parent(text(name), text(status), unfinished) for name, status, unfinished in parents),
        open=opened,
        budget=read_budget(found["budget"]) if "budget" in found else None,
        last_run=_last_run(found.get("last_run")),
        rate=_rate(found.get("lately", ()), now_ms),
        acts=_acts(found.get("acts", ()), job_id),
    )


def _rate(minutes: Sequence[bytes], now_ms: int) -> float | None:
    return rate_of([unpack_figures(each) for each in minutes], now_ms % 60_000 / 1000)


def _acts(flat: Sequence[bytes], job_id: str) -> tuple[AuditEntry, ...]:
    """What the audit tells of the job, in the order of the rows."""
    return tuple(read_rows(flat, job_id))


def _pauses(found: Mapping[str, Any]) -> tuple[Pause, ...]:
    rows = [(found[name], name == "suspended") for name in ("suspended", "paused") if name in found]
    pauses = [read_pause(value, left, everywhere=everywhere) for (value, left), everywhere in rows]

    return tuple(each for each in pauses if each is not None)


def _last_lease(row: Sequence[bytes] | None) -> tuple[str, int] | None:
    if not row or (ended := _number(row[1])) is None:
        return None

    return text(row[0]), ended


def _place(row: Sequence[Any] | None) -> Place | None:
    if row is None:
        return None

    lane, entry, is_listed, before, counted, reached, newest, waiting = row

    return Place(
        text(lane), text(entry), bool(is_listed), before, counted, text(reached), text(newest), max(0, waiting)
    )


def _last_run(row: Sequence[bytes] | None) -> LastRun | None:
    if row is None:
        return None

    outcome, worker, ended, error = row
    failure = unpack_failure(error.decode(errors="replace")) if error else None

    return LastRun(text(outcome), text(worker), _number(ended), failure)


def _number(value: bytes | None) -> int | None:
    """A moment that is stored as a score or a text, in whole ms; None for what is none."""
    try:
        number = float(value or b"")
    except ValueError:
        return None

    return int(number) if abs(number) <= LARGEST else None
