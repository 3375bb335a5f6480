"""Registry: the jobs of one queue that are in one state, for code without an event loop."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NoReturn, overload

from aioq.client.bulk import requeue
from aioq.client.job import HasStore
from aioq.client.registry import Registry as AsyncRegistry
from aioq.sync.calling import iterate, run
from aioq.sync.job import Job, bare, bare_given
from aioq.sync.names import plain
from aioq.values.rq_names import LIST_ARGUMENTS, REGISTRY, tell_rq_arguments, tell_rq_names


@tell_rq_names(plain(REGISTRY))
class Registry:
    """The jobs of a queue in one state, ordered by when they came into it (scheduled: by when they are due).

    Args:
        registry: the asyncio form.
        queue: the Queue.

    """

    def __init__(self, registry: AsyncRegistry, queue: HasStore) -> None:
        self._registry = registry
        self._queue = queue
        self.status = registry.status

    def count(self) -> int:
        """How many jobs there are; what is past its retention is not counted."""
        return run(self._registry.count)

    @tell_rq_arguments(LIST_ARGUMENTS)
    def job_ids(self, offset: int = 0, limit: int | None = None, *, desc: bool = False) -> list[str]:
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
            >>> newest = queue.failed_job_registry.job_ids(limit=10, desc=True)  # doctest: +SKIP

        """
        return run(self._registry.job_ids, offset, limit, desc=desc)

    @tell_rq_arguments(LIST_ARGUMENTS)
    def jobs(self, offset: int = 0, limit: int | None = None, *, desc: bool = False) -> list[Job[Any]]:
        """As `job_ids`, with snapshots. Each one has everything that is stored of the job, also the arguments."""
        return [Job(job, self._queue) for job in run(self._registry.jobs, offset, limit, desc=desc)]

    def contains(self, job: Job[Any] | str) -> bool:
        """Whether the job is in this state now."""
        return run(self._registry.contains, bare(job))

    @overload
    def requeue(  # type: ignore[overload-overlap]  # one id is a list of ids, too
        self, jobs: Job[Any] | str, *, at_front: bool = False, reset_retries: bool = True
    ) -> Job[Any]: ...

    @overload
    def requeue(
        self, jobs: Iterable[Job[Any] | str], *, at_front: bool = False, reset_retries: bool = True
    ) -> dict[str, str]: ...

    def requeue(
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
        store, given = self._queue.store, bare_given(jobs)
        found = run(requeue, store, given, at_front=at_front, reset=reset_retries, only=self.status)

        return found if isinstance(found, dict) else Job(found, self._queue)

    def requeue_all(
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

        for done in iterate(self._registry.requeue_chunks(at_front=at_front, reset_retries=reset_retries)):
            moved += done

            if progress is not None:
                progress(done)

        return moved

    def remove(self, job: Job[Any] | str, *, delete_job: bool = False) -> None:
        """Take a job out of this registry. A job is in one registry, the one of its state, or nowhere.

        Args:
            job: the job or its id.
            delete_job: False: a job that has not ended is canceled, one that has is deleted; True: always delete.

        Raises:
            InvalidJobOperation: the job is in another state.
            NoSuchJobError: the queue has no such job.

        """
        run(self._registry.remove, bare(job), delete_job=delete_job)

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"{self!r} is a handle with a connection to the server, and is not pickled")

    def __repr__(self) -> str:
        return repr(self._registry)
