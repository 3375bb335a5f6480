"""The states of a job and the only ways between them.

The table is the truth: `lua/lib/transition.lua` repeats it, a test proves the two equal, and the diagram in
docs/design.md is drawn from it. A job is in exactly one state, and in the one index that belongs to that
state; only a script changes either. A verb that the table does not allow is answered, not raised.

queued     waits in a lane of the queue for a worker
scheduled  waits for a moment: enqueue_at, enqueue_in, or the pause before a retry
started    a worker runs it; its fence tells which claim is the valid one
finished   its function returned
failed     its function raised, ran out of time or attempts, or its workers died too often
canceled   someone took it back
stopped    someone ended its run
expired    it waited in its lane for longer than its ttl
"""

from __future__ import annotations

from enum import StrEnum


class JobStatus(StrEnum):
    """Where a job stands. The text is what the server stores."""

    QUEUED = "queued"
    SCHEDULED = "scheduled"
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


S = JobStatus

#: state -> verb -> the states that the verb can lead to.
NEXT: dict[JobStatus, dict[str, tuple[JobStatus, ...]]] = {
    S.QUEUED: {"claim": (S.STARTED,), "expire": (S.EXPIRED,), "cancel": (S.CANCELED,)},
    S.SCHEDULED: {"promote": (S.QUEUED,), "cancel": (S.CANCELED,)},
    S.STARTED: {
        "finish": (S.FINISHED,),
        "fail": (S.FAILED,),
        "retry": (S.QUEUED, S.SCHEDULED),
        "give_back": (S.QUEUED,),
        "reclaim": (S.QUEUED, S.FAILED),
        "cancel": (S.CANCELED,),
        "stop": (S.STOPPED,),
    },
    S.FINISHED: {},
    S.FAILED: {"requeue": (S.QUEUED,), "cancel": (S.CANCELED,)},
    S.CANCELED: {"requeue": (S.QUEUED,)},
    S.STOPPED: {"requeue": (S.QUEUED,)},
    S.EXPIRED: {"requeue": (S.QUEUED,)},
}

#: What `enqueue` can make of nothing, or of a job that has ended.
BORN: tuple[JobStatus, ...] = (S.QUEUED, S.SCHEDULED)

#: The states that a job stays in until its retention has passed.
FINAL: frozenset[JobStatus] = frozenset({S.FINISHED, S.FAILED, S.CANCELED, S.STOPPED, S.EXPIRED})


def allows(status: JobStatus, verb: str) -> bool:
    """Whether the table lets `verb` happen to a job in `status`."""
    return verb in NEXT[status]


def diagram() -> str:
    """The table as a Mermaid state diagram, one arrow for each verb and pair of states."""
    arrows = [f"    [*] --> {state}: enqueue" for state in BORN]
    arrows += [
        f"    {state} --> {target}: {verb}"
        for state, verbs in NEXT.items()
        for verb, targets in verbs.items()
        for target in targets
    ]
    arrows += [f"    {state} --> [*]: retention over" for state in NEXT if state in FINAL]

    return "\n".join(["stateDiagram-v2", *arrows])
