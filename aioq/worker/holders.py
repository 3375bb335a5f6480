"""Holders: the other workers that hold jobs of a queue. A burst must not end while one of them may be dead."""

from __future__ import annotations

import time
from collections.abc import Mapping

#: The longest that a burst waits for others, in seconds. A few leases suffice, unless jobs cannot be taken back.
HOLDERS_WAIT_S = 60.0


class Holders:
    """Tells whether one of the others may be dead.

    One is alive if its lease ends later than when it was first seen: it has beaten since. The lease of a dead one
    ends; then its jobs are taken back, and it holds none.
    """

    def __init__(self) -> None:
        self._least: dict[bytes, float] = {}
        self._since: float | None = None
        self.are_in_doubt = False

    def note(self, found: Mapping[bytes, float]) -> None:
        """Note the workers that hold jobs now, each with the end of its lease."""
        # The least, since a lease is shortened if the server's clock was set back.
        self._least = {name: min(end, self._least.get(name, end)) for name, end in found.items()}
        doubtful = [name for name, end in found.items() if end == self._least[name]]
        self._since = (self._since or time.monotonic()) if doubtful else None
        self.are_in_doubt = self._since is not None and time.monotonic() - self._since < HOLDERS_WAIT_S
