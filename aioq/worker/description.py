"""Description: what `aioq info` shows of a worker."""

from __future__ import annotations

import os
import socket
import time

from aioq.values.allowlist import Allowlist
from aioq.values.distribution import VERSION
from aioq.worker.guard import Guard
from aioq.worker.heartbeat import BEATS_PER_DESCRIPTION
from aioq.worker.presence import Presence
from aioq.worker.slots import Slots
from aioq.worker.stopping import Stopping

MIB = 1024 * 1024

#: A worker tells the patterns of the functions that it may run, if they have no more characters together.
MOST_ALLOWED = 4096


class Description:
    """What a worker says of itself with its heartbeats.

    Args:
        slots: where its jobs run.
        stopping: whether it stops.
        presence: whether it keeps its leases.
        guard: counts how often the event loop was blocked.
        schemas: the types of its tasks, as `schemas_of` makes them. They are told with few of the heartbeats.
        allow: the functions that it may run; None: all.

    """

    def __init__(
        self,
        slots: Slots,
        stopping: Stopping,
        presence: Presence,
        guard: Guard,
        schemas: str = "",
        allow: Allowlist | None = None,
    ) -> None:
        self._slots = slots
        self._stopping = stopping
        self._presence = presence
        self._guard = guard
        self._schemas: dict[str, str | int] = {"schemas": schemas} if schemas else {}
        self._asked = 0
        # A description goes to the server whenever it has changed. These differ from beat to beat on a busy
        # machine, so they change only where one goes anyway.
        self._measured: dict[str, int] = {}
        # Read once: on a beat nothing may be read that could fail or take long.
        self._identity: dict[str, str | int] = {
            "hostname": socket.gethostname(),
            "pid": os.getpid(),
            "started_at": time.time_ns() // 1_000_000,
            "version": VERSION,
        }
        patterns = "" if allow is None else " ".join(allow.patterns)

        if 0 < len(patterns) <= MOST_ALLOWED:  # a part of them would tell that it may not run the others
            self._identity["allow"] = patterns

    def facts(self) -> dict[str, str | int]:
        """The facts as they are now. Called on the heartbeat's thread."""
        slots = self._slots
        is_due = self._asked % BEATS_PER_DESCRIPTION == 0
        schemas = self._schemas if is_due else {}
        self._asked += 1

        if is_due:
            self._measured = {"lag_ms": _rounded_ms(self._guard.lag), "memory": self._guard.memory // MIB * MIB}

        return {
            **self._identity,
            **schemas,
            "state": self._state(),
            "running": slots.running,
            "concurrency": slots.concurrency,
            "successful": slots.successful,
            "failed": slots.failed,
            "blocks": self._guard.blocks,
            **self._measured,
        }

    def _state(self) -> str:
        if self._stopping.is_requested:
            return "stopping"

        if not self._presence.may_claim:
            return "lapsed"

        return "busy" if self._slots.running else "idle"


def _rounded_ms(lag: float) -> int:
    """A lag with one digit. Less than 100 ms is none: on a busy machine it differs from beat to beat."""
    return int(float(f"{1000 * lag:.1g}")) if lag >= 0.1 else 0
