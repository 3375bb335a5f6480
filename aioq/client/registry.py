"""Registry: the jobs of one queue that are in one state. Reading it never changes anything."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterable
from typing import Any, NoReturn, overload

from aioq.client.bulk import CHUNK, requeue, requeue_all
from aioq.client.given import id_of
from aioq.client.job import Job
from aioq.client.plain import awaited
from aioq.client.view import JobView, gone
from aioq.store import Store
from aioq.values.errors import InvalidJobOperation, NoSuchJobError
from aioq.values.numbers import whole
from aioq.values.rq_names import LIST_ARGUMENTS, REGISTRY, tell_rq_arguments, tell_rq_names
from aioq.values.states import JobStatus, allows


@tell_rq_names(REGISTRY)
class Registry:
    """The jobs of a queue in one state, ordered by when they came into it (scheduled: by when they are due).

    Methods that ask the server are awaited.

    Args:
        store: the queue.
        status: the state.

    """

    def __init__(self, store: Store, status: JobStatus) -> None:
        self._store = store
        self.status = status

    @awaited
    async def count(self) -> int:
        """How many jobs there are; what is past its retention is not counted."""
        return (await self._store.reads.count())[self.status]

    @tell_rq_arguments(LIST_ARGUMENTS)
    @awaited
    async def job_ids(self, offset: int = 0, limit: int | None = None, *, desc: bool = False) -> list[str]:
        """The ids of the jobs, in order.

        They are read in pages of 500, so others get to the server meanwhile. A job that is in this state all
        the time is given exactly once. One that comes into it or leaves it meanwhile is given or not.

        Args:
            offset: so many jobs are passed over (default 0).
            limit: the most ids (default None: all; so does -1).
            desc: the newest first (default False: the oldest first).

        Raises:
            InvalidInput: offset or limit is no whole number, or out of range.

        Example:
            >>> newest = await queue.failed_job_registry.job_ids(limit=10, desc=True)

        """
        return (await self._store.reads.ids(self.status, whole(offset, "offset"), _most(limit), desc=desc))[0]

    @tell_rq_arguments(LIST_ARGUMENTS)
    @awaited
    async def jobs(self, offset: int = 0, limit: int | None = None, *, desc: bool = False) -> list[Job[Any]]:
        """As `job_ids`, with snapshots. Each one has everything that is stored of the job, also the arguments."""
        return (await self.jobs_and_missing(offset, limit, desc=desc))[0]

    @awaited
    async def jobs_and_missing(
        self, offset: int = 0, limit: int | None = None, *, desc: bool = False
    ) -> tuple[list[Job[Any]], list[str]]:
        """As `jobs`, and also the ids in the list without a record (any more)."""
        found: list[Job[Any]] = []
        missing: list[str] = []

        async for ids in self._store.reads.listing(
            self.status, whole(offset, "offset"), _most(limit), desc=desc, size=CHUNK
        ):
            for job_id, record in zip(ids, await self._store.reads.load(ids), strict=True):
                if record is None:
                    missing.append(job_id)
                elif record.is_in(self.status):  # else it has changed its state between the two calls
                    found.append(Job(record, self._store))

        return found, missing

    @awaited
    async def contains(self, job: Job[Any] | str) -> bool:
        """Whether the job is in this state now."""
        if isinstance(job, JobView) and job.origin != self._store.queue:
            return False

        (record,) = await self._store.reads.load([id_of(job, self._store)])

        return record is not None and record.is_in(self.status)

    @overload
    async def requeue(  # type: ignore[overload-overlap]  # one id is a list of ids, too
        self, jobs: Job[Any] | str, *, at_front: bool = False, reset_retries: bool = True
    ) -> Job[Any]: ...

    @overload
    async def requeue(
        self, jobs: Iterable[Job[Any] | str], *, at_front: bool = False, reset_retries: bool = True
    ) -> dict[str, str]: ...

    @awaited
    async def requeue(
        self,
        jobs: Job[Any] | str | Iterable[Job[Any] | str],
        *,
        at_front: bool = False,
        reset_retries: bool = True,
    ) -> Job[Any] | dict[str, str]:
        """Bring jobs of this registry back to its queue, as `Queue.requeue` does for jobs of any state.

        Raises:
            InvalidJobOperation: the one job is in another state, or jobs of this state cannot be requeued.
            NoSuchJobError: the queue does not have the one job.

        """
        return await requeue(self._store, jobs, at_front=at_front, reset=reset_retries, only=self.status)

    @awaited
    async def requeue_all(
        self,
        *,
        at_front: bool = False,
        reset_retries: bool = True,
        progress: Callable[[int], None] | None = None,
    ) -> int:
        """Bring back all jobs that are in this registry now, in the order of their ends.

        One that fails again meanwhile is left. What the registry lists without a record is not listed any longer.

        Args:
            at_front: put them at the front (default False).
            reset_retries: count their attempts and deliveries anew (default True).
            progress: called with the number of jobs moved, after each chunk.

        Returns:
            How many were moved.

        """
        moved = 0

        async for done in self.requeue_chunks(at_front=at_front, reset_retries=reset_retries):
            moved += done

            if progress is not None:
                progress(done)

        return moved

    async def requeue_chunks(self, *, at_front: bool, reset_retries: bool) -> AsyncGenerator[int]:
        """As `requeue_all`: how many were moved, for each chunk."""
        self._require("requeue")

        async for chunk in requeue_all(self._store, self.status, at_front=at_front, reset=reset_retries):
            yield sum(verdict == "ok" for _, verdict in chunk)

    @awaited
    async def remove(self, job: Job[Any] | str, *, delete_job: bool = False) -> None:
        """Take a job out of this registry. A job is in one registry, the one of its state, or nowhere.

        Args:
            job: the job or its id.
            delete_job: False: a job that has not ended is canceled, one that has is deleted; True: always delete.

        Raises:
            InvalidJobOperation: the job is in another state.
            NoSuchJobError: the queue has no such job.

        """
        try:
            found = await self._find(job)
        except NoSuchJobError:
            await self._store.changes.delete([id_of(job, self._store)])  # so that nothing lists it any longer
            raise

        if found.status != self.status:
            raise InvalidJobOperation(f"job {found.id} is {found.status}, not {self.status}")

        if delete_job or self.status.is_final:
            await found.delete()
        else:
            await found.cancel()

    async def _find(self, job: Job[Any] | str) -> Job[Any]:
        job_id = id_of(job, self._store)
        (record,) = await self._store.reads.load([job_id])

        if record is None:
            raise gone(self._store, job_id)

        return Job(record, self._store)

    def _require(self, verb: str) -> None:
        if not allows(self.status, verb):
            raise InvalidJobOperation(f"{self.status} jobs cannot be {verb}d")

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"{self!r} is a handle with a connection to the server, and is not pickled")

    def __repr__(self) -> str:
        return f"<Registry {self.status} of {self._store.queue}>"


def _most(limit: int | None) -> int | None:
    """A limit as users give it; None for all."""
    return None if limit is None or (type(limit) is int and limit == -1) else whole(limit, "limit")
