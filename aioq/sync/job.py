"""Job: a handle on a job, for code without an event loop."""

from __future__ import annotations

from collections.abc import AsyncIterable, Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, Generic, Literal, Self, TypeVar, Unpack, cast, overload

from aioq.client.call import Call
from aioq.client.job import HasStore
from aioq.client.job import Job as AsyncJob
from aioq.client.meta import changed_meta
from aioq.client.view import JobView
from aioq.store import Store
from aioq.sync.calling import run
from aioq.sync.explained import Explained
from aioq.sync.names import plain
from aioq.sync.unread import Unread
from aioq.values.durability import Durability
from aioq.values.durations import Duration
from aioq.values.options import Options
from aioq.values.record import JobRecord
from aioq.values.result import Result
from aioq.values.rq_names import FETCH_ARGUMENTS, FETCH_MANY_ARGUMENTS, JOB, tell_rq_arguments, tell_rq_names
from aioq.values.serializer import OwnSerializer
from aioq.values.states import JobStatus

R_co = TypeVar("R_co", covariant=True)
T = TypeVar("T")


@tell_rq_names(plain(JOB))
class Job(Explained, JobView, Generic[R_co]):
    """A call that a worker runs, or has run, for code without an event loop.

    It is what aioq.Job is: the same properties, which show a snapshot, and the same methods, as plain calls. Any
    number of threads may use one. It equals any handle on the same job.

    Args:
        job: the asyncio form.
        queue: the Queue that it came from; None before it is enqueued.

    """

    __slots__ = ("_job", "_queue")

    def __init__(self, job: AsyncJob[R_co], queue: Any = None) -> None:
        self._job: AsyncJob[R_co] = Unread[R_co].of(job)
        self._queue = queue

    @overload
    @classmethod
    def create(
        cls,
        func: Callable[..., Awaitable[T]],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        *,
        serializer: str | OwnSerializer = "pickle",
        **options: Unpack[Options],
    ) -> Job[T]: ...

    @overload
    @classmethod
    def create(
        cls,
        func: Callable[..., AsyncIterable[T]],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        *,
        serializer: str | OwnSerializer = "pickle",
        **options: Unpack[Options],
    ) -> Job[list[T]]: ...

    @overload
    @classmethod
    def create(
        cls,
        func: Callable[..., T],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        *,
        serializer: str | OwnSerializer = "pickle",
        **options: Unpack[Options],
    ) -> Job[T]: ...

    @overload
    @classmethod
    def create(
        cls,
        func: str,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        *,
        serializer: str | OwnSerializer = "pickle",
        **options: Unpack[Options],
    ) -> Job[Any]: ...

    @classmethod
    def create(
        cls,
        func: Callable[..., Any] | str,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        *,
        serializer: str | OwnSerializer = "pickle",
        **options: Unpack[Options],
    ) -> Job[Any]:
        """A job that is not enqueued yet; `Queue.enqueue_job` does that. Nothing is written.

        Raises:
            InvalidInput: the function, an argument or an option cannot be used; the text says why.

        Example:
            >>> job = Job.create(say_hello, args=("you",), ttl=43)  # doctest: +SKIP
            >>> queue.enqueue_job(job)  # doctest: +SKIP

        """
        return Job(AsyncJob.create(func, args, kwargs, serializer=serializer, **options))

    @classmethod
    @tell_rq_arguments(plain(FETCH_ARGUMENTS))
    def fetch(cls, job_id: Job[Any] | str, queue: HasStore) -> Job[Any]:
        """The job with this id, or a new snapshot of a job.

        Raises:
            NoSuchJobError: the queue has no such job.
            InvalidType: it is neither a job nor a str, or `queue` is no Queue.

        """
        return Job(run(AsyncJob.fetch, bare(job_id), queue), queue)

    @classmethod
    @tell_rq_arguments(plain(FETCH_MANY_ARGUMENTS))
    def fetch_many(cls, job_ids: Iterable[Job[Any] | str], queue: HasStore) -> list[Job[Any] | None]:
        """The jobs with these ids, in order; None for each that the queue does not have. Raises as `fetch`."""
        found = run(AsyncJob.fetch_many, bare_ones(job_ids), queue)

        return [None if job is None else Job(job, queue) for job in found]

    @property
    def record(self) -> JobRecord:
        return self._job.record

    @property
    def _store(self) -> Store | None:
        return self._job._store  # noqa: SLF001 - of the same job

    @property
    def durability(self) -> Durability | None:
        """How durable the job was known to be when this handle's `enqueue` returned; None for other handles."""
        return self._job.durability

    @property
    def queue(self) -> Any:
        """The Queue that this handle came from; None before the job is enqueued."""
        return self._queue

    @property
    def status(self) -> JobStatus | None:
        """The state when the snapshot was taken; None for a job that was never enqueued.

        Raises:
            DeserializationError: what is stored is no state.

        """
        return self._job.status

    @property
    def meta(self) -> dict[str, Any]:
        """The job's own data. Changes are kept only by `save_meta`."""
        return self._job.meta

    @meta.setter
    def meta(self, values: dict[str, Any]) -> None:
        self._job.meta = values

    # Waits and reads

    def result(self, timeout: Duration | None = None) -> R_co:
        """Wait until the job has ended, and return what its function returned.

        The thread sleeps meanwhile. Ctrl-C ends the wait at once.

        Args:
            timeout: how long to wait: seconds, a timedelta or a text such as "1m" (default: for ever). 0 asks
                once.

        Raises:
            JobFailed, JobCanceled, JobStopped, JobExpired: it ended without a value. `error_type` and
                `error_message` tell why at a glance, `exc_info` has the traceback.
            ResultNotKept: it finished before this was called, and its result_ttl is 0.
            NoSuchJobError: it is gone.
            InvalidJobOperation: a job waits for its own result.
            ResultTimeout (a TimeoutError): it has not ended within the timeout.
            InvalidInput: the timeout is negative, or no duration.
            DeserializationError: its result cannot be read here.
            BadSignature: this queue has a secret, and the result is not signed with it.

        Example:
            >>> count = job.result(timeout=10)  # doctest: +SKIP

        """
        run(self._job.result, timeout)
        value: R_co = self._job.record.result()

        return value

    def return_value(self) -> R_co | None:
        """What the function returned; None if it has not finished (or returned None). Raises ResultNotKept."""
        latest = self.latest_result()

        return None if latest is None else latest.return_value

    def latest_result(self) -> Result | None:
        """What is kept of the last run that ended; None if none has."""
        found = self.results()

        return found[0] if found else None

    def results(self) -> list[Result]:
        """What is kept of the runs that have ended, the last one first (at most eleven)."""
        return self._job.read_results(run(self._job.load_runs))

    def get_position(self) -> int | None:
        """How many queued jobs are ahead of this one; None if it is not queued."""
        return run(self._job.get_position)

    def refresh(self) -> None:
        """Take a new snapshot; changes of meta that were not saved are dropped. Raises NoSuchJobError."""
        run(self._job.refresh)

    def get_status(self) -> JobStatus:
        """The state now. Raises NoSuchJobError if the job is gone."""
        return run(self._job.get_status)

    def get_meta(self) -> dict[str, Any]:
        """The meta values as they are stored now."""
        self.refresh()

        return self.meta

    @property
    def dependency_ids(self) -> list[str]:
        """The ids of the jobs that it was told to wait for."""
        return self._job.dependency_ids

    def dependencies(self) -> list[Job[Any] | None]:
        """The jobs that it was told to wait for, in their order; None for each that is gone."""
        return [None if job is None else self._related(job) for job in run(self._job.dependencies)]

    def dependents(self) -> list[Job[Any]]:
        """The jobs that wait for this one. What was decided already is not among them."""
        return [self._related(job) for job in run(self._job.dependents)]

    def _related(self, job: AsyncJob[Any]) -> Job[Any]:
        return Job(job, self._queue if job.origin == self.origin else None)

    # Changes

    def save_meta(self) -> None:
        """Store the meta values that were changed, added or removed since the snapshot.

        Values that someone else has saved meanwhile stay, unless they have the same name.

        Raises:
            NoSuchJobError: the job is gone; nothing is written.
            InvalidJobOperation: this run has lost its claim to another one.
            SerializationError: a value cannot be serialised; nothing is written.
            PayloadTooLarge: the changed values have more than 1 MiB; nothing is written.

        """
        if (changes := changed_meta(self.record, self.meta)) is not None:
            run(self._job.store_meta, changes)

    def save_meta_sync(self) -> None:
        """As `save_meta`, for a plain function that a worker runs on a thread."""
        self.save_meta()

    def cancel(self, *, dependents: bool = False) -> None:
        """Take the job back. One that runs is ended by its worker; what it returns then is not recorded.

        Args:
            dependents: cancel first all jobs that wait for it, and those that wait for these (default False).

        Raises:
            InvalidJobOperation: it has ended already (a failed job can be canceled).
            NoSuchJobError: it is gone.

        """
        run(self._job.cancel, dependents=dependents)

    def stop(self) -> None:
        """End the job's run; it becomes `stopped` and is not retried.

        Raises:
            InvalidJobOperation: it does not run.
            NoSuchJobError: it is gone.

        """
        run(self._job.stop)

    @overload
    def requeue(
        self, *, at_front: bool = False, reset_retries: bool = True, dependents: Literal[False] = False
    ) -> Self: ...

    @overload
    def requeue(
        self, *, at_front: bool = False, reset_retries: bool = True, dependents: Literal[True]
    ) -> dict[str, str]: ...

    def requeue(
        self, *, at_front: bool = False, reset_retries: bool = True, dependents: bool = False
    ) -> Self | dict[str, str]:
        """Bring a failed, canceled, stopped or expired job back to its queue.

        As `aioq.Job.requeue`. With `dependents`, what its end had ended comes back, too, and is returned in the
        place of the job. Raises InvalidJobOperation and NoSuchJobError.
        """
        if dependents:
            return run(self._job.requeue, at_front=at_front, reset_retries=reset_retries, dependents=True)

        run(self._job.requeue, at_front=at_front, reset_retries=reset_retries)

        return self

    def delete(self) -> None:
        """Remove the job and all that is kept of it; a run in progress is ended. Raises NoSuchJobError."""
        run(self._job.delete)

    @property
    def call(self) -> Call | None:
        """The call of a job that is not enqueued yet. For the queue."""
        return self._job.call

    def adopt(self, other: AsyncJob[R_co], queue: Any) -> None:
        """Become the job that was enqueued for this one. For the queue."""
        self._job.adopt(other)
        self._queue = queue

    @property
    def asyncio_form(self) -> AsyncJob[R_co]:
        """The handle that this one uses. For the queue and registries."""
        return self._job


def bare(job: Job[Any] | str) -> AsyncJob[Any] | str:
    """A job or its id, as calls on the event loop take it. What is neither is refused there."""
    return job.asyncio_form if isinstance(job, Job) else job


def bare_ones(jobs: Iterable[Job[Any] | str]) -> Iterable[AsyncJob[Any] | str]:
    """As `bare`, for several. They are listed here: a generator of the user's runs on his thread."""
    if isinstance(jobs, str | bytes | Job) or not isinstance(jobs, Iterable):
        return cast("Iterable[AsyncJob[Any] | str]", jobs)  # it is refused

    return [bare(job) for job in jobs]


def bare_given(
    jobs: Job[Any] | str | Iterable[Job[Any] | str],
) -> AsyncJob[Any] | str | Iterable[AsyncJob[Any] | str]:
    """As `bare`, for one or several."""
    return bare(jobs) if isinstance(jobs, str | Job) else bare_ones(jobs)
