"""Description: what `aioq info` shows of a worker."""

from __future__ import annotations

import os
import socket
import time

from aioq.values.distribution import VERSION
from aioq.worker.guard import Guard
from aioq.worker.presence import Presence
from aioq.worker.slots import Slots
from aioq.worker.stopping import Stopping


class Description:
    """What a worker says of itself with its heartbeats.

    Args:
        slots: where its jobs run.
        stopping: whether it stops.
        presence: whether it keeps its leases.
        guard: counts how often the event loop was blocked.

    """

    def __init__(self, slots: Slots, stopping: Stopping, presence: Presence, guard: Guard) -> None:
        self._slots = slots
        self._stopping = stopping
        self._presence = presence
        self._guard = guard
        # Read once: on a beat nothing may be read that could fail or take long.
        self._identity: dict[str, str | int] = {
            "hostname": socket.gethostname(),
            "pid": os.getpid(),
            "started_at": time.time_ns() // 1_000_000,
            "version": VERSION,
        }

    def facts(self) -> dict[str, str | int]:
        """The facts as they are now. Called on the heartbeat's thread."""
        slots = self._slots

        return {
            **self._identity,
            "state": self._state(),
            "running": slots.running,
            "concurrency": slots.concurrency,
            "successful": slots.successful,
            "failed": slots.failed,
            "blocks": self._guard.blocks,
        }

    def _state(self) -> str:
        if self._stopping.is_requested:
            return "stopping"

        if not self._presence.may_claim:
            return "lapsed"

        return "busy" if self._slots.running else "idle"
