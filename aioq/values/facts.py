"""Facts: what explains why a job does not run, or how it ended. `lua/explain.lua` collects them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from aioq.values.audit import AuditEntry
from aioq.values.failure import Failure
from aioq.values.pause import Pause
from aioq.values.record import JobRecord
from aioq.values.retry_budget import RetryBudget


class Place(NamedTuple):
    """Where a queued job stands.

    lane: the name of its lane. entry: its entry there. is_listed: whether the lane has that entry. before: how
    many jobs wait in the lanes that are served first. counted: how many entries of its own lane were counted, up
    to its own at most, and the last of them is `reached`. newest: the last entry of the lane. waiting: how many
    wait there.
    """

    lane: str
    entry: str
    is_listed: bool
    before: int
    counted: int
    reached: str
    newest: str
    waiting: int

    @property
    def is_exact(self) -> bool:
        """Whether all jobs ahead of it were counted."""
        return self.reached == self.entry or not self.is_listed

    @property
    def ahead(self) -> int:
        """How many jobs are ahead of it; an estimate if that is not exact.

        The entries between the last one that was counted and the newest one are taken to have come evenly.
        """
        if self.is_exact:
            return self.before + max(0, self.counted - 1)

        first, own, last = map(_moment, (self.reached, self.entry, self.newest))
        share = (own - first) / (last - first) if last > first else 1
        rest = max(0, self.waiting - self.counted)

        return self.before + self.counted + round(rest * min(1.0, max(0.0, share)))


class Parent(NamedTuple):
    """A job that a deferred one waits for.

    name: its id; of a job of another queue `<id>@<queue>`. status: its state, or "gone"; "" of one of another
    queue, since this one does not know it. unfinished: how many of its children have not finished.
    """

    name: str
    status: str
    unfinished: int = 0


class LastRun(NamedTuple):
    """The last run that ended and did not end the job.

    outcome: how it ended, as in the history. ended_ms: when; None if that is not known.
    """

    outcome: str
    worker: str
    ended_ms: int | None
    failure: Failure | None


class LiveWorker(NamedTuple):
    """What a worker with a lease tells of itself. allow: patterns of the functions that it may run; none: all."""

    name: str
    state: str
    running: int
    concurrency: int
    allow: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class JobFacts:
    """What explains a job, at one moment of the server's clock.

    Args:
        queue: the name of its queue.
        record: some of its fields: neither the call nor a result.
        now_ms: the server's clock.
        is_there: whether there is a record.
        is_recent: of one that is gone: whether that was so lately that its enqueue may still be sent again.
        pauses: what keeps all workers from the queue.
        workers: how many workers have a lease on the queue.
        names: their names, not all if there are many.
        last_lease: if there are none, the worker whose lease ended last, and when in ms; None: that is not known.
        described: what these workers tell of themselves, as far as it was asked for and is known.
        place: of a queued job; None if its record names no entry of a lane.
        lease_ms: of a started job: until when its worker counts as alive; None: that worker has no lease.
        parents: of a deferred job, those that it waits for; not all if there are many.
        open: how many these are.
        budget: of a scheduled job, the retry budget of the queue.
        last_run: of a job that has run before.
        rate: of a queued job, how many jobs a second have begun lately in its queue; None: that is not known.
        acts: of a job that was canceled, stopped or deleted, what the audit tells of it.

    """

    queue: str
    record: JobRecord
    now_ms: int
    is_there: bool = True
    is_recent: bool = False
    pauses: Sequence[Pause] = ()
    workers: int = 0
    names: Sequence[str] = ()
    last_lease: tuple[str, int] | None = None
    described: Sequence[LiveWorker] = ()
    place: Place | None = None
    lease_ms: int | None = None
    parents: Sequence[Parent] = ()
    open: int = 0
    budget: RetryBudget | None = None
    last_run: LastRun | None = None
    rate: float | None = None
    acts: Sequence[AuditEntry] = ()


def deaths_of(record: JobRecord) -> list[tuple[int, str]]:
    """The dead workers that a job was on: how many other jobs each had, and its name."""
    lines = record.fields.get(b"deaths", b"").decode(errors="replace").split("\n")
    pairs = [line.partition(" ")[::2] for line in lines if line]

    return [(int(beside) if len(beside) < 10 and beside.isdecimal() else 0, name) for beside, name in pairs]


def _moment(entry: str) -> float:
    """The place of an entry in time, from its id `<ms>-<turn>`; 0 for what is none."""
    ms, _, turn = entry.partition("-")

    try:
        return int(ms) + min(int(turn), 999_999) / 1_000_000
    except ValueError:
        return 0
