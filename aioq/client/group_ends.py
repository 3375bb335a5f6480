"""Ends: how the members of a group have ended, and waiting for that."""

from __future__ import annotations

import math
import time
from collections.abc import AsyncGenerator, Callable, Iterable
from typing import Any, Generic, TypeVar

from aioq.client.endings import ENDINGS, ending_error
from aioq.client.filling import Member, no_such_group
from aioq.client.job import Job
from aioq.client.members import Members
from aioq.client.parts import part_of
from aioq.client.plain import awaited
from aioq.client.unserved import unserved
from aioq.client.view import gone
from aioq.values.durations import Duration, spelled, waiting_ms
from aioq.values.errors import InvalidJobOperation, ResultTimeout
from aioq.values.group import GroupProgress, newly_set
from aioq.values.record import JobRecord
from aioq.values.states import JobStatus

R_co = TypeVar("R_co", covariant=True)


@part_of("Group")
class Ends(Members[R_co], Generic[R_co]):
    """The part of a group that waits for it."""

    @awaited
    async def progress(self) -> GroupProgress:
        """How many members have ended, and how, in one call to the server. Raises NoSuchGroupError."""
        return (await self._load()).progress

    @awaited
    async def wait(self, timeout: Duration | None = None) -> GroupProgress:  # noqa: ASYNC109 - as Job.result
        """Wait until the group has ended.

        Args:
            timeout: how long to wait: seconds, a timedelta or a text such as "1m" (default: for ever). 0 asks
                once.

        Returns:
            How its members have ended.

        Raises:
            ResultTimeout (a TimeoutError): it has not ended within the timeout.
            NoSuchGroupError: the queue has no such group, or not any more.

        """
        await self._hear(self.name, _Clock(timeout))

        return await self.progress()

    @awaited
    async def results(
        self,
        timeout: Duration | None = None,  # noqa: ASYNC109 - as Job.result
        *,
        return_exceptions: bool = False,
    ) -> list[R_co]:
        """Wait until the group has ended, and return what its members returned, in order.

        Args:
            timeout: as for `wait`.
            return_exceptions: give errors in the place of values (default False: raise the first one).

        Raises:
            ResultTimeout, NoSuchGroupError: as `wait`.
            JobFailed, JobCanceled, JobStopped, JobExpired: a member ended without a value.
            NoSuchJobError: the job of a member is gone: it was deleted, or its retention has passed.
            ResultNotKept: the result_ttl of a member is 0.

        """
        return self.values(await self.ended_jobs(timeout), Job.read_value, return_exceptions=return_exceptions)

    async def ended_jobs(self, timeout: Duration | None) -> list[tuple[Member, Job[R_co] | None]]:  # noqa: ASYNC109
        """Wait for the end; then each member with its job. For code without an event loop."""
        await self._hear(self.name, _Clock(timeout))

        return [row async for page in self._pages(await self._members()) for row in page]

    def values(
        self,
        jobs: Iterable[tuple[Member, Job[Any] | None]],
        read: Callable[[JobRecord], Any],
        *,
        return_exceptions: bool,
    ) -> list[R_co]:
        """The values of jobs that have ended, or their errors."""
        found: list[Any] = []

        for member, job in jobs:
            try:
                found.append(_value(member, job, read))
            except Exception as error:
                if not return_exceptions:
                    raise

                found.append(error)

        return found

    async def as_completed(
        self,
        timeout: Duration | None = None,  # noqa: ASYNC109 - as Job.result
    ) -> AsyncGenerator[Job[R_co]]:
        """The members as they end, until the group has ended. Each has a new snapshot.

        The `status` of a job that is gone is None.

        Args:
            timeout: for all of them together, as for `wait`.

        Raises:
            ResultTimeout, NoSuchGroupError: as `wait`.

        Example:
            >>> async for job in group.as_completed():  # doctest: +SKIP
            ...     print(job.id, job.status)

        """
        clock, seen = _Clock(timeout), b""

        while True:
            has_ended = (await self._load()).progress.has_ended  # before its members are looked at
            bits = await self._store.groups.over(self.name)
            new, seen = newly_set(bits, seen), bits

            async for page in self._pages(await self._members_at(new)):
                for member, job in page:
                    yield Job(JobRecord(member.job_id, {}), member.store) if job is None else job

            if has_ended:
                return

            await self._hear(f"{self.name}/{int.from_bytes(bits, 'big').bit_count()}", clock)

    async def _hear(self, what: str, clock: _Clock) -> None:
        """Wait for the end of the group, or for more ends of its members."""
        try:
            ending = await self._store.groups.mailbox.wait(what, clock.left())
        except TimeoutError:
            reason = "" if clock.limit == 0 else await unserved(self._store)

            raise ResultTimeout(
                f"group {self.name} has not ended within the timeout of {spelled(clock.limit)}{reason}"
            ) from None

        if ending.status not in ("ended", "changed"):
            raise no_such_group(self._store, self.name)


def _value(member: Member, job: Job[Any] | None, read: Callable[[JobRecord], Any]) -> Any:
    if job is None:
        raise gone(member.store, member.job_id)

    if job.record.is_in(JobStatus.FINISHED):
        return read(job.record)

    if job.record.status in ENDINGS:
        raise ending_error(job.record, member.store.exceptions)

    raise InvalidJobOperation(f"job {job.id} is {job.record.status} again; wait for the group once more")


class _Clock:
    """What is left of a timeout.

    Args:
        timeout: as users give it.

    """

    def __init__(self, timeout: Duration | None) -> None:
        self.limit: float = math.inf if timeout is None else waiting_ms(timeout, "timeout") / 1000
        self._until = time.monotonic() + self.limit

    def left(self) -> float | None:
        """Seconds; None: there is no limit."""
        return None if math.isinf(self.limit) else max(0.0, self._until - time.monotonic())
