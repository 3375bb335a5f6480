"""Group: jobs that belong together, for code without an event loop."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Generic, NoReturn, TypeVar

from aioq.client.group import Group as AsyncGroup
from aioq.client.group import HasProducer
from aioq.client.job import Job as AsyncJob
from aioq.client.producer import EnqueueData
from aioq.client.sequel import Sequel
from aioq.sync.calling import iterate, run
from aioq.sync.job import Job
from aioq.sync.names import plain
from aioq.values.durations import Duration
from aioq.values.group import KEPT_MS, GroupProgress
from aioq.values.record import JobRecord
from aioq.values.rq_names import GROUP, GROUP_ARGUMENTS, tell_rq_arguments, tell_rq_names

R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)

#: Makes the plain form of a queue. That class is not imported here, since it makes groups.
_queues: list[Callable[[Any], HasProducer]] = []


def use_queues(make: Callable[[Any], HasProducer]) -> None:
    """Let groups make the plain form of a queue."""
    _queues[:] = [make]


@tell_rq_names(plain(GROUP))
class Group(Generic[R_co]):
    """Jobs that belong together, and a job that is made when the last of them has ended.

    It is what aioq.Group is, with the same methods, as plain calls.

    Args:
        group: the asyncio form.

    """

    def __init__(self, group: AsyncGroup[R_co]) -> None:
        self._group = group
        #: The name of the group in its queue.
        self.name = group.name
        #: The Queue that keeps the group, and gets the job that is made at its end.
        self.queue = group.queue

    @classmethod
    @tell_rq_arguments(plain(GROUP_ARGUMENTS))
    def create(
        cls,
        queue: HasProducer,
        name: str | None = None,
        *,
        on_complete: Sequel | None = None,
        on_failure: Sequel | None = None,
        ttl: Duration = KEPT_MS // 1000,
    ) -> Group[Any]:
        """A group without members. Nothing is written before the first `enqueue_many`.

        Args:
            queue: the Queue that keeps it.
            name: of the characters A-Z a-z 0-9 _ - (default: a new one).
            on_complete: a call, or a function without arguments. It becomes a job of the queue when the last
                member has ended, made by the same script. `Group.current()` is the group inside of that job.
            on_failure: the same, in the place of `on_complete` if a member has ended without finishing.
            ttl: how long the group is kept after its end: seconds, a timedelta or a text such as "1h" (default: a
                day; -1: for ever). Its jobs have retentions of their own.

        Raises:
            InvalidInput: a value cannot be used.

        Example:
            >>> group = Group.create(queue, on_complete=summarise)  # doctest: +SKIP
            >>> group.enqueue_many(queue, [fetch.call(url) for url in urls])  # doctest: +SKIP

        """
        return Group(AsyncGroup.create(queue, name, on_complete=on_complete, on_failure=on_failure, ttl=ttl))

    @classmethod
    @tell_rq_arguments(plain(GROUP_ARGUMENTS))
    def fetch(cls, name: str, queue: HasProducer) -> Group[Any]:
        """The group of this name.

        Raises:
            NoSuchGroupError: the queue has none.

        """
        return Group(run(AsyncGroup.fetch, name, queue))

    @classmethod
    @tell_rq_arguments(plain(GROUP_ARGUMENTS))
    def all(cls, queue: HasProducer) -> list[Group[Any]]:
        """All groups that a queue keeps, those first whose retention is over first."""
        return [Group(group) for group in run(AsyncGroup.all, queue)]

    @classmethod
    def current(cls) -> Group[Any]:
        """The group of the job that this code runs in: that it is a member of, or that it was made for.

        Raises:
            NoCurrentJob: it is called outside of a job.
            InvalidJobOperation: the job has no group.

        Example:
            >>> def summarise():
            ...     return sum(Group.current().results())

        """
        found = AsyncGroup.current()

        return Group(AsyncGroup[Any](found.name, _queues[0](found.queue)))

    # Members

    @tell_rq_arguments(plain(GROUP_ARGUMENTS))
    def enqueue_many(
        self, queue: HasProducer, calls: Iterable[EnqueueData[R]], *, more: bool = False
    ) -> list[Job[R]]:
        """Put calls into a queue, as members of this group: all are checked first, then sent in their order.

        Args:
            queue: the Queue of the jobs, on the same server; any one, not only that which keeps the group.
            calls: what `prepare_data` and `call` return. None at all: an empty group ends at once.
            more: further calls follow, so the group does not end before one without it (default False). If none
                comes within five minutes, the group has the members that it has.

        Raises:
            InvalidInput: one of the calls cannot be used. Nothing was written.
            DuplicateGroupError: the queue has another group of this name. Nothing was written.
            NoSuchGroupError: the group is gone. Nothing was written.
            DuplicateJobError: ids of live jobs, which count as gone; the other calls were enqueued.
            NotDurable: as for `Queue.enqueue_many`.

        """
        prepared = self._group.check_queue(queue).prepare_many(calls)
        made = run(self._group.enqueue_prepared, queue, prepared, more=more)

        return [Job(job, queue) for job in made]

    def job_ids(self) -> list[str]:
        """The ids of all members, in order."""
        return run(self._group.job_ids)

    def jobs(self) -> list[Job[R_co] | None]:
        """Snapshots of all members, in order; None for each whose job is gone."""
        return [None if job is None else self._plain(job) for job in run(self._group.jobs)]

    # Ends

    def progress(self) -> GroupProgress:
        """How many members have ended, and how, in one call to the server. Raises NoSuchGroupError."""
        return run(self._group.progress)

    def wait(self, timeout: Duration | None = None) -> GroupProgress:
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
        return run(self._group.wait, timeout)

    def results(self, timeout: Duration | None = None, *, return_exceptions: bool = False) -> list[R_co]:
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
        ended = run(self._group.ended_jobs, timeout)

        return self._group.values(ended, JobRecord.result, return_exceptions=return_exceptions)

    def as_completed(self, timeout: Duration | None = None) -> Iterator[Job[R_co]]:
        """The members as they end, until the group has ended. Each has a new snapshot.

        The `status` of a job that is gone is None.

        Args:
            timeout: for all of them together, as for `wait`.

        Raises:
            ResultTimeout, NoSuchGroupError: as `wait`.

        Example:
            >>> for job in group.as_completed():  # doctest: +SKIP
            ...     print(job.id, job.status)

        """
        return map(self._plain, iterate(self._group.as_completed(timeout)))

    # Changes

    def cancel(self) -> int:
        """Cancel the members that have not ended; how many there were. The group ends with the last of them."""
        return run(self._group.cancel)

    def retry_failed(self, *, at_front: bool = False, reset_retries: bool = True) -> int:
        """Bring the failed members back to their queues; how many there were. The group is open again.

        When the last of them has ended, the group ends anew, and its job is made anew.

        Args:
            at_front: put them at the front (default False).
            reset_retries: count their attempts and deliveries anew (default True).

        """
        return run(self._group.retry_failed, at_front=at_front, reset_retries=reset_retries)

    def delete(self) -> None:
        """Remove what is kept of the group. Its jobs stay. Raises NoSuchGroupError."""
        run(self._group.delete)

    def _plain(self, job: AsyncJob[R_co]) -> Job[R_co]:
        return Job(job, self.queue if job.origin == self.queue.producer.store.queue else None)

    def __eq__(self, other: object) -> bool:
        return self._group == other._group if isinstance(other, Group) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._group)

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"{self!r} is a handle with a connection to the server, and is not pickled. Pass its name")

    def __repr__(self) -> str:
        return repr(self._group)
