"""Polling: a warning to code that waits for a snapshot to change, which it never does."""

from __future__ import annotations

import time
import warnings

from aioq.client.plain import frames_to_user
from aioq.values.record import JobRecord

#: A warning comes when the state in one snapshot was read so many times, and the first time so many seconds ago.
#: A page that is rendered may read it often, but not for long.
READS_TOLD = 20
READS_WITHIN_S = 1.0


class Polling:
    """How often code has read the state in one snapshot of a job that had not ended.

    Args:
        record: the snapshot.

    """

    __slots__ = ("_is_told", "_reads", "_since", "record")

    record: JobRecord

    def __init__(self, record: JobRecord) -> None:
        self.record = record
        self._reads = 1
        self._since = time.monotonic()
        self._is_told = False

    def note_read(self) -> None:
        """Count a read, and warn if there were too many of them."""
        self._reads += 1

        if (
            self._reads < READS_TOLD
            or self._is_told
            or (seconds := time.monotonic() - self._since) < READS_WITHIN_S
        ):
            return

        self._is_told = True
        warnings.warn(
            f"the state of job {self.record.id} was looked at {self._reads} times within {seconds:.0f} s, in one"
            f" snapshot, which stays {self.record.status}: properties do not ask the server."
            " `job.get_status()` does, and `job.result()` waits for the end",
            RuntimeWarning,
            stacklevel=frames_to_user() + 1,
        )
