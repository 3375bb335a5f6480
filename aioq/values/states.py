"""The states of a job and the only ways between them.

The table is the truth: what the scripts know of states is printed from it (store/tables.py), and the diagram in
docs/design.md is drawn from it. A job is in exactly one state, and in the one index that belongs to that
state; only a script changes either. A verb that the table does not allow is answered, not raised.

queued     waits in a lane of the queue for a worker
scheduled  waits for a moment: enqueue_at, enqueue_in, or the pause before a retry or a repeat
deferred   waits for the ends of the jobs that it depends on
started    a worker runs it; its fence tells which claim is the valid one
finished   its function returned
failed     its function raised, it ran out of time or attempts, or its workers died too often
canceled   someone took it back
stopped    someone ended its run
expired    it waited in its lane for longer than its ttl, or for other jobs for longer than its deferred_ttl
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class JobStatus(StrEnum):
    """Where a job stands. The text is what the server stores."""

    QUEUED = "queued"
    SCHEDULED = "scheduled"
    DEFERRED = "deferred"
    STARTED = "started"
    FINISHED = "finished"
    FAILED = "failed"
    CANCELED = "canceled"
    STOPPED = "stopped"
    EXPIRED = "expired"

    @property
    def is_final(self) -> bool:
        """Whether the job has ended (a requeue can still bring it back)."""
        return self in FINAL


@dataclass(frozen=True, slots=True)
class Row:
    """What the table says of a state.

    Args:
        verbs: what can happen to a job in this state, and the states that each verb can lead to.
        kept_ms: of a final state, for how long in ms a job usually stays in its registry; None for any other
            state, which has no registry.

    """

    verbs: Mapping[str, tuple[JobStatus, ...]]
    kept_ms: int | None = None


S = JobStatus

_HOUR_MS, _DAY_MS = 3_600_000, 86_400_000

#: The table. Everything that lists states follows from it. The times are part of the stored data.
STATES: dict[JobStatus, Row] = {
    S.QUEUED: Row({"claim": (S.STARTED,), "expire": (S.EXPIRED,), "fail": (S.FAILED,), "cancel": (S.CANCELED,)}),
    S.SCHEDULED: Row({"promote": (S.QUEUED,), "cancel": (S.CANCELED,)}),
    S.DEFERRED: Row(
        {
            "release": (S.QUEUED, S.SCHEDULED),
            "expire": (S.EXPIRED,),
            "fail": (S.FAILED,),
            "cancel": (S.CANCELED,),
        }
    ),
    S.STARTED: Row(
        {
            "finish": (S.FINISHED,),
            "fail": (S.FAILED,),
            "retry": (S.QUEUED, S.SCHEDULED),
            "repeat": (S.QUEUED, S.SCHEDULED),
            "give_back": (S.QUEUED,),
            "reclaim": (S.QUEUED, S.FAILED),
            "cancel": (S.CANCELED,),
            "stop": (S.STOPPED,),
        }
    ),
    S.FINISHED: Row({}, kept_ms=500_000),  # RQ's default
    S.FAILED: Row(  # RQ's default
        {"requeue": (S.QUEUED,), "defer": (S.DEFERRED,), "cancel": (S.CANCELED,)}, kept_ms=365 * _DAY_MS
    ),
    S.CANCELED: Row(  # long enough to see it, and to requeue it
        {"requeue": (S.QUEUED,), "defer": (S.DEFERRED,)}, kept_ms=_DAY_MS
    ),
    S.STOPPED: Row({"requeue": (S.QUEUED,)}, kept_ms=365 * _DAY_MS),  # as long as a failed one
    S.EXPIRED: Row({"requeue": (S.QUEUED,)}, kept_ms=_HOUR_MS),  # long enough to notice that it was never run
}

#: What `enqueue` can make of nothing, or of a job that has ended.
BORN: tuple[JobStatus, ...] = (S.QUEUED, S.SCHEDULED, S.DEFERRED)

#: The usual retention in ms of each final state; a job stays there until it has passed.
KEPT_MS: dict[JobStatus, int] = {state: row.kept_ms for state, row in STATES.items() if row.kept_ms is not None}

FINAL: frozenset[JobStatus] = frozenset(KEPT_MS)


def allows(status: JobStatus, verb: str) -> bool:
    """Whether the table lets `verb` happen to a job in `status`."""
    return verb in STATES[status].verbs


def diagram() -> str:
    """The table as a Mermaid state diagram, one arrow for each verb and pair of states."""
    arrows = [f"    [*] --> {state}: enqueue" for state in BORN]
    arrows += [
        f"    {state} --> {target}: {verb}"
        for state, row in STATES.items()
        for verb, targets in row.verbs.items()
        for target in targets
    ]
    arrows += [f"    {state} --> [*]: retention over" for state in KEPT_MS]

    return "\n".join(["stateDiagram-v2", *arrows])
