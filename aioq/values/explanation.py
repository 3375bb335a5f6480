"""Explanation: why a job does not run, or how it ended, each reason with what helps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from aioq.values.states import JobStatus


class ReasonKind(StrEnum):
    """What a reason is about. The texts stay the same, so programs can go by them."""

    SUSPENDED = "suspended"  # all workers are suspended
    PAUSED = "paused"  # the queue is
    NO_WORKER = "no_worker"  # no worker with a lease serves the queue
    NOT_CLAIMING = "not_claiming"  # the workers that do are stopping, or their heartbeats are not answered
    BUSY = "busy"  # all slots of the workers are taken
    NOT_ALLOWED = "not_allowed"  # a worker may not run the function
    NOT_LOADED = "not_loaded"  # a worker could not load the function or its arguments
    QUARANTINE = "quarantine"  # the job was on several workers that died
    WORKER_LOST = "worker_lost"  # the worker of its last run was lost
    GIVEN_BACK = "given_back"  # the worker of its last run was shut down
    ATTEMPT_FAILED = "attempt_failed"  # its last run failed, and it is run again
    AHEAD = "ahead"  # other jobs come first, or none
    TTL = "ttl"  # until when it must have been started
    DUE = "due"  # it waits for its moment
    RETRY = "retry"  # it waits for its next attempt
    RETRY_BUDGET = "retry_budget"  # the retry budget of the queue is spent
    REPEAT = "repeat"  # it waits for the next run of its series
    PARENT = "parent"  # it waits for another job
    PARENT_UNFINISHED = "parent_unfinished"  # that one has ended, and only a requeue can bring its finish
    UNDECIDED = "undecided"  # that one has ended, and no worker has decided yet what it means
    RUNS = "runs"  # a worker runs it
    LEASE_ENDED = "lease_ended"  # the worker that runs it does not answer
    FINISHED = "finished"  # its function returned
    FAILED = "failed"  # its function raised
    TIMED_OUT = "timed_out"  # its run took too long
    CANCELED = "canceled"  # someone canceled it
    ENDED_BY_PARENT = "ended_by_parent"  # a job that it depended on did not finish
    STOPPED = "stopped"  # someone stopped its run
    EXPIRED = "expired"  # it waited for longer than its ttl
    DAMAGED = "damaged"  # what is stored of it cannot be right
    GONE = "gone"  # there is no record of it


@dataclass(frozen=True, slots=True)
class Reason:
    """One reason why a job does not run, or how it ended.

    Args:
        kind: what it is about; its text, such as "no_worker", stays the same.
        text: a sentence for people.
        remedy: what helps, with commands between backticks; empty if nothing needs to be done.
        data: what the sentence tells, as texts, numbers, datetimes and lists of texts.

    """

    kind: ReasonKind
    text: str
    remedy: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a job does not run, or how it ended. `print` shows it.

    Args:
        job_id: the job.
        queue: the name of its queue.
        status: its state; None if its record is gone, or has no state that is known.
        reasons: at least one; what keeps it the longest comes first.

    """

    job_id: str
    queue: str
    status: JobStatus | None
    reasons: tuple[Reason, ...]

    @property
    def head(self) -> str:
        """The job and its state."""
        status = self.status or ("gone" if self.reasons[0].kind == ReasonKind.GONE else "damaged")

        return f"job {self.job_id} of queue {self.queue} is {status}"

    def __str__(self) -> str:
        lines = [f"{self.head}:"]

        for reason in self.reasons:
            lines += [f"- {reason.text}", *([f"  {reason.remedy}"] if reason.remedy else [])]

        return "\n".join(lines)
