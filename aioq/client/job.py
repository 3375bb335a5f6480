"""Job: one enqueued call, as a handle. Its properties show a snapshot; what talks to the server is awaited."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterable, Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from itertools import chain
from typing import Any, Generic, Protocol, TypeVar, Unpack, overload

from aioq.client.across import call_across
from aioq.client.call import Call, arguments, complete, describe, submission_of
from aioq.client.explained import Explained
from aioq.client.given import id_of, ids_of
from aioq.client.meta import MetaChanges, changed_meta, with_meta
from aioq.client.plain import DONE, awaited, coroutine_method
from aioq.client.related import Related
from aioq.client.view import gone
from aioq.client.waits import current
from aioq.store import Store
from aioq.store.net.per_loop import running_loop
from aioq.values.durability import Durability
from aioq.values.errors import InvalidJobOperation, InvalidType, NoCurrentJob, WrongContext
from aioq.values.options import Options, read_options
from aioq.values.record import JobRecord
from aioq.values.rq_names import FETCH_ARGUMENTS, FETCH_MANY_ARGUMENTS, JOB, tell_rq_arguments, tell_rq_names
from aioq.values.serializer import OwnSerializer, find_serializer
from aioq.values.signed import Fields
from aioq.values.states import JobStatus

R_co = TypeVar("R_co", covariant=True)
T = TypeVar("T")


class HasStore(Protocol):
    """A Queue."""

    store: Store


@tell_rq_names(JOB)
class Job(Related[R_co], Explained, Generic[R_co]):
    """A call that a worker runs, or has run.

    A Job comes from `Queue.enqueue`, from `Queue.fetch_job`, or from `Job.create` if it is to be enqueued later.
    Its properties show a snapshot. Methods that ask the server are awaited.
    Two Jobs are equal if they name the same job: the same id in the same queue of the same server and prefix.
    """

    __slots__ = ("_fence", "_loop", "call", "durability")

    record: JobRecord

    def __init__(
        self,
        record: JobRecord,
        store: Store | None,
        *,
        fence: int | None = None,
        durability: Durability | None = None,
    ) -> None:
        self.record = record  # what the parts begin with stands here: one call for each job that is made
        self.call: Call | None = None
        #: How durable the job was known to be when this handle's `enqueue` returned; None for other handles.
        self.durability = durability
        self._store = store
        self._fence = fence
        self._meta = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._polling = None

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
            >>> await queue.enqueue_job(job)  # doctest: +SKIP

        """
        call = describe(
            func, *arguments(args, kwargs), options=read_options(options), serializer=find_serializer(serializer)
        )
        # The limit is the queue's, so it is not known yet.
        submission = submission_of(complete(call, max_payload=sys.maxsize))
        fields = submission.record.fields

        for word in ("ttl", "deferred_ttl"):
            if word in submission.words:
                fields[word.encode()] = str(submission.words[word]).encode()

        job = cls(submission.record, None)
        job.call = call

        return job

    @classmethod
    @tell_rq_arguments(FETCH_ARGUMENTS)
    @awaited
    async def fetch(cls, job_id: Job[Any] | str, queue: HasStore) -> Job[Any]:
        """The job with this id, or a new snapshot of a job.

        Raises:
            NoSuchJobError: the queue has no such job.
            InvalidType: it is neither a job nor a str, or `queue` is no Queue.

        """
        (job,) = await cls.fetch_many([job_id], queue)

        if job is None:
            raise gone(queue.store, id_of(job_id, queue.store))

        return job

    @classmethod
    @tell_rq_arguments(FETCH_MANY_ARGUMENTS)
    @awaited
    async def fetch_many(cls, job_ids: Iterable[Job[Any] | str], queue: HasStore) -> list[Job[Any] | None]:
        """The jobs with these ids, in order; None for each that the queue does not have. Raises as `fetch`."""
        if not isinstance(getattr(queue, "store", None), Store):
            kind = type(queue)
            raise InvalidType(f"queue: expected a Queue, not {kind.__module__}.{kind.__qualname__}")

        records = await queue.store.reads.load(ids_of(job_ids, queue.store))

        return [None if record is None else cls(record, queue.store) for record in records]

    # Dependencies

    @awaited
    async def dependencies(self) -> list[Job[Any] | None]:
        """The jobs that it was told to wait for, in their order; None for each that is gone."""
        return await self._named([name for _, name in self.record.edges])

    @awaited
    async def dependents(self) -> list[Job[Any]]:
        """The jobs that wait for this one. What was decided already is not among them."""
        found = await self._named(await self._enqueued_store.reads.dependents(self.id))
        # One of another queue that was brought back may stand there twice.
        jobs = {(job.origin, job.id): job for job in found if job is not None}

        return list(jobs.values())

    # Changes

    @coroutine_method
    def save_meta(self) -> Coroutine[Any, Any, None]:
        """Store the meta values that were changed, added or removed since the snapshot.

        Values that someone else has saved meanwhile stay, unless they have the same name. In a plain function that
        a worker runs, the job's own meta is stored when this returns, and nothing need be awaited; type checkers
        expect `save_meta_sync` there.

        Raises:
            NoSuchJobError: the job is gone; nothing is written.
            InvalidJobOperation: this run has lost its claim to another one.
            SerializationError: a value cannot be serialised; nothing is written.
            PayloadTooLarge: the changed values have more than 1 MiB; nothing is written.

        """
        if running_loop() is None and self._saves_itself:
            self.save_meta_sync()

            return DONE

        return self._save_meta()

    @awaited
    async def _save_meta(self) -> None:
        if (changes := changed_meta(self.record, self.meta)) is not None:
            await self.store_meta(changes)

    async def store_meta(self, changes: MetaChanges) -> None:
        """Store changes of the meta that were packed already. For code without an event loop."""
        flat = list(chain.from_iterable(changes.changed.items()))
        verdict = await self._enqueued_store.changes.save_meta(self.id, self._fence, flat, changes.removed)
        self._meta_saved(verdict, changes.present)

    def save_meta_sync(self) -> None:
        """As `save_meta`, for a plain function that a worker runs on a thread.

        Raises:
            WrongContext: it is called on the event loop.
            NoCurrentJob: it is called outside of a job.
            Others: as `save_meta`.

        """
        if not self._saves_itself:
            raise NoCurrentJob(
                "save_meta_sync works inside a job only; use `await job.save_meta()`, or where no event loop runs"
                " the Job of aioq.sync"
            )

        if running_loop() is not None:
            raise WrongContext("save_meta_sync would block the event loop; use `await job.save_meta()`")

        if (changes := changed_meta(self.record, self.meta)) is None:
            return

        if self._loop is None:  # in a fork of the job there is no event loop of the worker
            asyncio.run(self.store_meta(changes))
        else:
            call_across(self._loop, self.store_meta, changes)

    @awaited
    async def cancel(self, *, dependents: bool = False) -> None:
        """Take the job back. One that runs is ended by its worker; what it returns then is not recorded.

        Args:
            dependents: cancel first all jobs that wait for it, and those that wait for these (default False).

        Raises:
            InvalidJobOperation: it has ended already (a failed job can be canceled).
            NoSuchJobError: it is gone.

        """
        if dependents:
            await self.cancel_dependents()

        await self._end("cancel", JobStatus.CANCELED, *await self._enqueued_store.changes.cancel(self.id))

    @awaited
    async def stop(self) -> None:
        """End the job's run; it becomes `stopped` and is not retried.

        Raises:
            InvalidJobOperation: it does not run.
            NoSuchJobError: it is gone.

        """
        await self._end("stop", JobStatus.STOPPED, *await self._enqueued_store.changes.stop(self.id))

    @awaited
    async def delete(self) -> None:
        """Remove the job and all that is kept of it; a run in progress is ended. Raises NoSuchJobError."""
        if not await self._enqueued_store.changes.delete([self.id]):
            raise self._gone()

    def adopt(self, other: Job[Any]) -> None:
        """Become the job that was enqueued for this one. For the queue."""
        self.record, self._store, self.call, self._meta = other.record, other._store, None, None
        self.durability = other.durability

    def bind(self, loop: asyncio.AbstractEventLoop | None) -> None:
        """Let code without an event loop reach the worker's; None: it is not there any more. For the worker."""
        self._loop = loop

    @property
    def _saves_itself(self) -> bool:
        """Whether this is the job of a run, as its own function sees it."""
        return self._loop is not None or current.get() is self

    def _meta_saved(self, verdict: str, present: Fields) -> None:
        if verdict == "gone":
            raise self._gone()

        if verdict == "stale":
            raise InvalidJobOperation(f"job {self.id}: this run has lost its claim; its meta was not saved")

        self.record = with_meta(self.record, present)

    async def _end(self, verb: str, target: JobStatus, verdict: str, status: str) -> None:
        if verdict == "gone":
            raise self._gone()

        if verdict == "already":
            raise InvalidJobOperation(f"job {self.id} has been {target} already")

        if verdict == "refused":
            raise InvalidJobOperation(f"job {self.id} is {status}; {verb} does nothing to it")

        await self._reload(target)
