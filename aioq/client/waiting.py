"""Waiting: for the end of a job and its result, and what is kept of its runs."""

from __future__ import annotations

import math
import time
from typing import Any, ClassVar, Generic, TypeVar

from aioq.client.endings import ENDINGS, ending_error
from aioq.client.parts import part_of
from aioq.client.plain import awaited
from aioq.client.snapshot import Snapshot
from aioq.client.unserved import unserved
from aioq.client.waits import current, noted
from aioq.values.durations import Duration, spelled, waiting_ms
from aioq.values.errors import ResultTimeout
from aioq.values.record import JobRecord
from aioq.values.result import Result, earlier_result, present_result
from aioq.values.states import FINAL, JobStatus

R_co = TypeVar("R_co", covariant=True)


@part_of("Job")
class Waiting(Snapshot, Generic[R_co]):
    """A job whose end is waited for."""

    __slots__ = ()

    record: JobRecord
    #: How the value of a finished job is read. That may run code of the user's.
    read_value: ClassVar[staticmethod[[JobRecord], Any]] = staticmethod(JobRecord.result)

    @awaited
    async def result(self, timeout: Duration | None = None) -> R_co:  # noqa: ASYNC109 - RQ's name, and part of the call
        """Wait until the job has ended, and return what its function returned.

        Args:
            timeout: how long to wait: seconds, a timedelta or a text such as "1m" (default: for ever). 0 asks
                once.

        Raises:
            JobFailed, JobCanceled, JobStopped, JobExpired: it ended without a value. `error_type` and
                `error_message` tell why at a glance, `exc_info` has the traceback. `__cause__` is the exception
                itself, if its class is among the `exceptions` of the Queue and its arguments are plain values.
            ResultNotKept: it finished before this was called, and its result_ttl is 0.
            NoSuchJobError: it is gone.
            InvalidJobOperation: a job waits for its own result.
            ResultTimeout (a TimeoutError): it has not ended within the timeout. The text says so if no worker
                serves the queue.
            InvalidInput: the timeout is negative, or no duration.
            DeserializationError: its result cannot be read here.
            BadSignature: this queue has a secret, and the result is not signed with it.

        Example:
            >>> count = await job.result(timeout=10)  # doctest: +SKIP

        """
        limit = None if timeout is None else waiting_ms(timeout, "timeout") / 1000
        until = math.inf if limit is None else time.monotonic() + limit
        waiter, store = current.get(), self._store or self._enqueued_store

        try:
            while True:
                wait = store.producing.mailbox.wait(self.record.id, limit)
                status, value, fields = await (wait if waiter is None else noted(waiter, self, wait))
                known, record = self.record, None

                if fields is not None:
                    record = JobRecord(known.id, fields, known.signer)
                elif value is not None and status in FINAL:  # anybody may have published a message
                    record = known.as_ended(status, value)

                    if known.signer is not None and status == "finished" and not record.has_signed_result():
                        record = None

                if record is None:
                    await self.refresh()
                else:
                    self._renew(record)

                if self.record.fields.get(b"status") == b"finished":
                    return self.read_value(self.record)  # type: ignore[no-any-return]

                if self.record.status in ENDINGS:
                    raise ending_error(self.record, self._enqueued_store.exceptions)

                # It has not ended, or not any more: it was requeued, or someone else published the message.
                limit = None if limit is None else max(0.0, until - time.monotonic())
        except TimeoutError:
            # A question that asks once is asked often, so it costs no second one.
            reason = (
                ""
                if timeout is not None and not waiting_ms(timeout, "timeout")
                else await unserved(self._enqueued_store)
            )

            raise ResultTimeout(
                f"job {self.id} has not ended within the timeout of {_shown(timeout)}{reason}"
            ) from None

    @awaited
    async def return_value(self) -> R_co | None:
        """What the function returned; None if it has not finished (or returned None). Raises ResultNotKept."""
        latest = await self.latest_result()

        return None if latest is None else latest.return_value

    @awaited
    async def latest_result(self) -> Result | None:
        """What is kept of the last run that ended; None if none has."""
        found = await self.results()

        return found[0] if found else None

    @awaited
    async def results(self) -> list[Result]:
        """What is kept of the runs that have ended, the last one first (at most eleven)."""
        return self.read_results(await self.load_runs())

    async def load_runs(self) -> list[bytes]:
        """Take a new snapshot; the runs before the last one that ended, as they are stored."""
        await self.refresh()

        return await self._enqueued_store.reads.attempts(self.id)

    def read_results(self, runs: list[bytes]) -> list[Result]:
        """What `results` gives, from what `load_runs` has brought. That may run code of the user's."""
        earlier = [earlier_result(self.record, packed) for packed in runs]
        present = present_result(self.record)

        return [*([] if present is None else [present]), *reversed(earlier)]

    @awaited
    async def get_position(self) -> int | None:
        """How many queued jobs are ahead of this one; None if it is not queued.

        The queue is read up to this job, in pages of 500 ids: two calls, and one more for each 500 jobs ahead. The
        number is that of one moment only if no job comes or goes meanwhile.
        """
        (record,) = await self._enqueued_store.reads.load([self.id])

        if record is None or not record.is_in(JobStatus.QUEUED):
            return None

        ahead = 0

        async for ids in self._enqueued_store.reads.listing(JobStatus.QUEUED):
            if self.id in ids:
                return ahead + ids.index(self.id)

            ahead += len(ids)

        return None


def _shown(timeout: Duration | None) -> str:
    return spelled(math.inf if timeout is None else waiting_ms(timeout, "timeout") / 1000)
