"""NumberedFields: the numbers and moments that are stored about one job."""

from __future__ import annotations

from datetime import datetime

from aioq.values.moments import moment_of
from aioq.values.signed import SignedFields

#: No moment, count or duration is larger; lua/lib/read.lua has the same limit.
LARGEST = 10**15


class NumberedFields(SignedFields):
    """The part of a record that reads numbers, and the moments of its job.

    Args:
        job_id: the job.
        fields: what is stored of it.
        signer: of the queue, if what it stores is signed; then nothing else is read.

    """

    __slots__ = ()

    @property
    def fence(self) -> int:
        """The number of the last claim. What a run writes carries the fence of its claim."""
        return self._int(b"fence")

    @property
    def created_at(self) -> datetime | None:
        return self._moment(b"created_at")

    @property
    def enqueued_at(self) -> datetime | None:
        """When the job was last put into its lane. Not stored where it equals created_at."""
        # A job with a moment was in no lane yet, unless it was claimed: then the moment is that of its retry.
        # One that waited for other jobs was in none either, before that was told.
        was_late = (b"due_at" in self.fields and not self._was_claimed) or b"parents" in self.fields

        if b"enqueued_at" not in self.fields and not was_late:
            return self.created_at

        return self._moment(b"enqueued_at")

    @property
    def due_at(self) -> datetime | None:
        return self._moment(b"due_at")

    @property
    def due_ms(self) -> int:
        """As `due_at`, in ms since 1970; 0 for a job that waited for no moment."""
        return self._int(b"due_at")

    @property
    def started_ms(self) -> int:
        """As `started_at`, in ms since 1970."""
        return self._int(b"started_at")

    @property
    def started_at(self) -> datetime | None:
        return self._moment(b"started_at")

    @property
    def ended_ms(self) -> int:
        """When it came into its final state, in ms; 0: it has not, or it is not known."""
        return self._int(b"ended_at")

    @property
    def first_started_ms(self) -> int:
        """When the first attempt was claimed, as far as its deadline goes by it. In ms."""
        return self._int(b"first_started_at", self.started_ms)

    @property
    def ended_at(self) -> datetime | None:
        return self._moment(b"ended_at")

    @property
    def expires_at(self) -> datetime | None:
        """Until when a queued job may be started, by its ttl, or a deferred one may wait, by its deferred_ttl."""
        return self._moment(b"expires_at")

    @property
    def expires_ms(self) -> int:
        """As `expires_at`, in ms since 1970."""
        return self._int(b"expires_at")

    @property
    def _was_claimed(self) -> bool:
        """Whether a worker has ever claimed the job."""
        # The fences of a job whose id a user chose do not begin at 0.
        return self.fence not in (0, self._int(b"created_at"))

    def _int(self, name: bytes, default: int = 0) -> int:
        """The number in a field. Other bytes, and numbers larger than any that is stored, count as not stored."""
        try:
            value = int(self.fields.get(name, default))
        except ValueError:
            return default

        return value if abs(value) <= LARGEST else default

    def _text(self, name: bytes) -> str | None:
        value = self.fields.get(name)

        return None if value is None else value.decode(errors="replace")

    def _moment(self, name: bytes) -> datetime | None:
        try:
            return moment_of(self.fields[name])
        except (KeyError, ValueError, OverflowError, OSError):  # not stored, or no moment
            return None
