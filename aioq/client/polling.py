"""Polling: tells of code that waits for a change of a snapshot, which never changes."""

from __future__ import annotations

import time
import warnings

from aioq.client.plain import frames_to_user
from aioq.values.record import JobRecord

#: So many looks at the state in one snapshot are told, if the first was so many seconds ago: a page that is
#: rendered may look often, but not for long.
LOOKS = 20
SPAN_S = 1.0


class Polling:
    """The looks at the state of one snapshot of a job that had not ended.

    Args:
        record: the snapshot.

    """

    __slots__ = ("_is_told", "_looks", "_since", "record")

    def __init__(self, record: JobRecord) -> None:
        self.record = record
        self._looks = 1
        self._since = time.monotonic()
        self._is_told = False

    def look(self) -> None:
        """Note a look, and warn if there were too many of them."""
        self._looks += 1

        if self._looks < LOOKS or self._is_told or (seconds := time.monotonic() - self._since) < SPAN_S:
            return

        self._is_told = True
        warnings.warn(
            f"the state of job {self.record.id} was looked at {self._looks} times within {seconds:.0f} s, in one"
            f" snapshot, which stays {self.record.status}: properties do not ask the server."
            " `await job.get_status()` does, and `await job.result()` waits for the end",
            RuntimeWarning,
            stacklevel=frames_to_user() + 1,
        )
