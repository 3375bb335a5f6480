"""Submission: a job on its way to the server, and what the server answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import NamedTuple

from aioq.values.durability import Level
from aioq.values.record import JobRecord

#: The words of a job that simply goes to the end of the queue.
NO_WORDS: Mapping[str, str | int] = MappingProxyType({})


@dataclass(slots=True)  # one is made for each job, and a frozen one or a tuple takes twice as long
class Submission:
    """A job on its way to the server.

    size is that of the values in bytes; durability is what is waited for, and is not stored. words is what else
    `enqueue` is told of the job, by the names that its script has handlers for: lane; due, "+ms" (from now) or a
    moment in ms; ttl in ms; nonce, which marks an id that the user chose.
    """

    record: JobRecord
    size: int = 0
    words: Mapping[str, str | int] = field(default_factory=dict)
    durability: Level = "memory"


class Answer(NamedTuple):
    """What the server answers for one submission.

    Args:
        clock: the server's clock in ms.
        verdict: "stored"; or "duplicate": another job has the id, and has not ended; or "orphan": a job that it
            depends on is missing; or "stale", "gone": the run that it is to be a child of has lost its claim, or
            its job is gone.
        job_id: the job that a verdict other than "stored" is about.

    """

    clock: int
    verdict: str = "stored"
    job_id: str = ""
