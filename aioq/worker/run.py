"""Run: one claim while it is being carried out."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Coroutine
from enum import Enum, auto
from typing import Any, TypeVar

from aioq.store import Store
from aioq.store.store import Claim
from aioq.worker.threads import ThreadCall

T = TypeVar("T")


def own_task(coroutine: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
    """A task of the worker. The loop's task factory is not asked: a job may have set one that raises."""
    return asyncio.Task(coroutine, loop=asyncio.get_running_loop())


class Cause(Enum):
    """Why the worker ended a run that had not ended by itself."""

    TIMEOUT = auto()  # the job's own limit: a failure of the job
    INTERRUPTED = auto()  # the worker shuts down: the job goes back to its lane
    DROPPED = auto()  # the claim is not valid any more (canceled, stopped, reclaimed): nothing is recorded


class Run:
    """What the executor knows of a run.

    Args:
        store: the queue that the job came from.
        claim: the right to run it.

    """

    __slots__ = (
        "begun",
        "call",
        "cause",
        "claim",
        "deadline",
        "ended",
        "entered",
        "error",
        "found",
        "returned",
        "started_at",
        "store",
        "taken_at",
        "task",
        "timer",
    )

    def __init__(self, store: Store, claim: Claim) -> None:
        self.store = store
        self.claim = claim
        self.task: asyncio.Task[None] | None = None
        self.timer: asyncio.TimerHandle | None = None
        self.call: ThreadCall | None = None
        self.cause: Cause | None = None
        self.error: BaseException | None = None  # what it failed with, until that is told
        self.taken_at = 0.0
        self.started_at = 0.0  # by the clock of the event loop; 0.0: it has not begun
        self.deadline = math.inf
        self.entered = False
        self.found = False  # its function was
        self.begun = False
        self.returned = False  # its function has; what it returned may still be nothing that can be kept
        self.ended = False

    @property
    def name(self) -> bytes:
        """What a message on the control channel calls this very run."""
        return b"%s%s %d" % (self.store.keys.job, self.id.encode(), self.claim.fence)

    @property
    def id(self) -> str:
        return self.claim.record.id
