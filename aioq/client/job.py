"""Job: one enqueued call, as a handle. Its properties show a snapshot; what talks to the server is awaited."""

from __future__ import annotations

import asyncio
import math
import sys
import time
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from datetime import datetime
from itertools import chain
from typing import Any, Generic, NoReturn, Protocol, TypeVar, Unpack

from aioq.client.call import Call, arguments, complete, describe, settle
from aioq.client.endings import ENDINGS, ending_error
from aioq.client.plain import DONE, awaited, coroutine_method
from aioq.client.polling import Polling
from aioq.client.unserved import unserved
from aioq.client.waits import current, noted
from aioq.store import Store
from aioq.store.mailbox import Ending
from aioq.store.net.per_loop import running_loop
from aioq.values.calltext import call_text
from aioq.values.durability import Durability
from aioq.values.durations import Duration, seconds, spelled, waiting_ms
from aioq.values.errors import (
    InvalidJobOperation,
    InvalidType,
    NoCurrentJob,
    NoSuchJobError,
    PayloadTooLarge,
    ResultTimeout,
    WrongContext,
)
from aioq.values.ids import lookup_id
from aioq.values.options import (
    MAX_PAYLOAD,
    RESULT_TTL_MS,
    Options,
    check_meta,
    read_options,
)
from aioq.values.record import META, Fields, JobRecord
from aioq.values.reference import resolve
from aioq.values.result import Result, earlier_result, present_result
from aioq.values.rq_names import FETCH_ARGUMENTS, FETCH_MANY_ARGUMENTS, JOB, tell_rq_arguments, tell_rq_names
from aioq.values.serializer import Serializer, find_serializer
from aioq.values.states import JobStatus

R = TypeVar("R")


class HasStore(Protocol):
    """A Queue."""

    store: Store


@tell_rq_names(JOB)
class Job(Generic[R]):
    """A call that a worker runs, or has run.

    A Job comes from `Queue.enqueue`, from `Queue.fetch_job`, or from `Job.create` if it is to be enqueued later.
    Its properties show a snapshot. Methods that ask the server are awaited.
    Two Jobs are equal if they name the same job: the same id in the same queue of the same server and prefix.
    """

    __slots__ = ("_fence", "_loop", "_meta", "_polling", "_store", "call", "durability", "record")

    def __init__(self, record: JobRecord, store: Store | None, *, fence: int | None = None) -> None:
        self.record = record
        self.call: Call | None = None
        #: How durable the job was known to be when this handle's `enqueue` returned; None for other handles.
        self.durability: Durability | None = None
        self._store = store
        self._fence = fence
        self._meta: dict[str, Any] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._polling: Polling | None = None

    @classmethod
    def create(
        cls,
        func: Callable[..., Any] | str,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        *,
        serializer: str | Serializer = "pickle",
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
        submission = settle(complete(call, max_payload=sys.maxsize))
        fields = submission.record.fields

        if "ttl" in submission.words:
            fields[b"ttl"] = str(submission.words["ttl"]).encode()

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

    # The snapshot

    @property
    def id(self) -> str:
        """The name of the job in its queue: what `job_id=` gave, else a random one."""
        return self.record.id

    @property
    def status(self) -> JobStatus | None:
        """The state when the snapshot was taken; None for a job that was never enqueued.

        Raises:
            DeserializationError: what is stored is no state.

        """
        record = self.record

        if b"status" not in record.fields:
            return None

        if not (status := record.status).is_final:
            if self._polling is None or self._polling.record is not record:
                self._polling = Polling(record)
            else:
                self._polling.look()

        return status

    @property
    def origin(self) -> str | None:
        """The name of the job's queue; None before it is enqueued."""
        return None if self._store is None else self._store.queue

    @property
    def queue(self) -> Any:
        """The Queue that this handle came from; None before the job is enqueued."""
        return None if self._store is None else self._store.opened_by

    @property
    def server(self) -> object:
        """What tells the server of the job, with prefix and secrets, from others; None before it is enqueued."""
        return None if self._store is None else self._store.connection.identity

    @property
    def func_name(self) -> str:
        """The dotted name of the function."""
        return self.record.func_name

    @property
    def func(self) -> Any:
        """The function itself. Raises DeserializationError if it cannot be imported here."""
        return resolve(self.func_name)

    @property
    def args(self) -> tuple[Any, ...]:
        """The positional arguments. Raises DeserializationError if they cannot be read here."""
        return self.record.call()[1]

    @property
    def kwargs(self) -> dict[str, Any]:
        """The keyword arguments. Raises DeserializationError if they cannot be read here."""
        return self.record.call()[2]

    @property
    def description(self) -> str:
        """The description that was given, else the call as text; nothing is loaded for it."""
        return self.record.description or call_text(self.record)

    @property
    def meta(self) -> dict[str, Any]:
        """The job's own data. Changes are kept only by `save_meta`."""
        if self._meta is None:
            self._meta = self.record.meta

        return self._meta

    @meta.setter
    def meta(self, values: dict[str, Any]) -> None:
        self._meta = values

    @property
    def timeout(self) -> float:
        """Seconds that a run may take; -1 for no limit."""
        return seconds(self.record.timeout_ms) or 0

    @property
    def ttl(self) -> float | None:
        """Seconds that the job may wait in its queue; None for no limit."""
        return seconds(self.record.ttl_ms)

    @property
    def result_ttl(self) -> float:
        """Seconds that the result is kept; -1 for ever. A worker's own default is not known here."""
        own = self.record.result_ttl_ms

        return seconds(RESULT_TTL_MS if own is None else own) or 0

    @property
    def failure_ttl(self) -> float:
        """Seconds that a failed job is kept; -1 for ever."""
        return seconds(self.record.failure_ttl_ms) or 0

    @property
    def created_at(self) -> datetime | None:
        """When the server stored the job; None before it is enqueued."""
        return self.record.created_at

    @property
    def enqueued_at(self) -> datetime | None:
        """When the job last began to wait for a worker; None if it never did: it is scheduled, or not enqueued."""
        return self.record.enqueued_at

    @property
    def scheduled_at(self) -> datetime | None:
        """The moment from which a scheduled job may be started."""
        return self.record.due_at

    @property
    def expires_at(self) -> datetime | None:
        """The moment until which a queued job must have been started, if it has a ttl."""
        return self.record.expires_at

    @property
    def started_at(self) -> datetime | None:
        """When the last run began; None before the first one, and while the job waits for its next one."""
        return self.record.started_at

    @property
    def ended_at(self) -> datetime | None:
        """When the job came into its final state; None if it has not ended."""
        return self.record.ended_at

    @property
    def worker_name(self) -> str | None:
        """The worker that runs the job, or ran it last; None while it waits for its next run."""
        return self.record.worker

    @property
    def attempt(self) -> int:
        """The number of runs so far that count against the retries."""
        return self.record.attempt

    @property
    def deliveries(self) -> int:
        """The number of runs that ended because their worker did."""
        return self.record.deliveries

    @property
    def fence(self) -> int:
        """A number that grows with each claim of the job: hand it to other systems to tell runs apart."""
        return self.record.fence

    @property
    def retries_left(self) -> int:
        """How many more attempts there are after the one that runs, or that comes next."""
        retry = self.record.retry
        used = self.attempt - 1 if self.is_started else self.attempt

        return 0 if retry is None else max(0, retry.max - max(0, used))

    @property
    def exc_info(self) -> str | None:
        """The traceback of the last run, if that failed."""
        return None if self.record.failure is None else self.record.failure.text

    @property
    def error_type(self) -> str | None:
        """The dotted name of the class of what the last run raised; None if it raised nothing.

        "httpx.HTTPStatusError", say; a builtin one without its module: "ValueError"; of aioq: "aioq.JobTimeout".
        """
        return None if self.record.failure is None else self.record.failure.type

    @property
    def error_message(self) -> str | None:
        """The first line of the message of what the last run raised; None if it raised nothing."""
        return None if self.record.failure is None else self.record.failure.message

    @property
    def is_queued(self) -> bool:
        """Whether it waited for a worker when the snapshot was taken."""
        return self.status == JobStatus.QUEUED

    @property
    def is_scheduled(self) -> bool:
        """Whether it waited for its moment, or for its next attempt, when the snapshot was taken."""
        return self.status == JobStatus.SCHEDULED

    @property
    def is_started(self) -> bool:
        """Whether a worker ran it when the snapshot was taken."""
        return self.status == JobStatus.STARTED

    @property
    def is_finished(self) -> bool:
        """Whether its function had returned when the snapshot was taken."""
        return self.status == JobStatus.FINISHED

    @property
    def is_failed(self) -> bool:
        """Whether it had failed, with no attempt left, when the snapshot was taken."""
        return self.status == JobStatus.FAILED

    @property
    def is_canceled(self) -> bool:
        """Whether it was canceled when the snapshot was taken."""
        return self.status == JobStatus.CANCELED

    @property
    def is_stopped(self) -> bool:
        """Whether its run was stopped when the snapshot was taken."""
        return self.status == JobStatus.STOPPED

    @property
    def is_expired(self) -> bool:
        """Whether its ttl was over before a worker started it, when the snapshot was taken."""
        return self.status == JobStatus.EXPIRED

    # Reads

    @awaited
    async def refresh(self) -> None:
        """Take a new snapshot; changes of meta that were not saved are dropped.

        Raises:
            NoSuchJobError: the job is gone.

        """
        (record,) = await self._kept().reads.load([self.id])

        if record is None:
            raise self._gone()

        self.record, self._meta = record, None

    @awaited
    async def get_status(self) -> JobStatus:
        """The state now. Raises NoSuchJobError if the job is gone."""
        await self.refresh()

        return self.record.status

    @awaited
    async def get_meta(self) -> dict[str, Any]:
        """The meta values as they are stored now."""
        await self.refresh()

        return self.meta

    @awaited
    async def result(self, timeout: Duration | None = None) -> R:  # noqa: ASYNC109 - RQ's name, and part of the call
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
        waiter, store = current.get(), self._store or self._kept()

        try:
            while True:
                wait = store.producing.mailbox.wait(self.record.id, limit)
                record = self._told(await (wait if waiter is None else noted(waiter, self, wait)))

                if record is None:
                    await self.refresh()
                else:
                    self.record, self._meta = record, None

                if self.record.fields.get(b"status") == b"finished":
                    return self.record.result()  # type: ignore[no-any-return]

                if self.record.status in ENDINGS:
                    raise ending_error(self.record, self._kept().exceptions)

                # It has not ended, or not any more: it was requeued, or someone else published the message.
                limit = None if limit is None else max(0.0, until - time.monotonic())
        except TimeoutError:
            # A question that asks once is asked often, so it costs no second one.
            reason = (
                "" if timeout is not None and not waiting_ms(timeout, "timeout") else await unserved(self._kept())
            )

            raise ResultTimeout(
                f"job {self.id} has not ended within the timeout of {_shown(timeout)}{reason}"
            ) from None

    def _told(self, ending: Ending) -> JobRecord | None:
        """The record of a job that has ended, as far as the ending tells it; None: it must be loaded.

        Anybody may have published a message. One that names no end is not believed. If the queue signs, neither is
        one with a result that is not signed.
        """
        status, value, fields = ending
        known = self.record

        if fields is not None:
            return JobRecord(known.id, fields, known.signer)

        if value is None or (status != "finished" and status not in ENDINGS):
            return None

        name = b"result" if status == "finished" else b"error"
        record = JobRecord(known.id, {**known.fields, b"status": status.encode(), name: value}, known.signer)

        return record if known.signer is None or name == b"error" or record.has_signed_result() else None

    @awaited
    async def return_value(self) -> R | None:
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
        await self.refresh()
        earlier = [earlier_result(self.id, packed) for packed in await self._kept().reads.attempts(self.id)]
        present = present_result(self.record)

        return [*([] if present is None else [present]), *reversed(earlier)]

    @awaited
    async def get_position(self) -> int | None:
        """How many queued jobs are ahead of this one; None if it is not queued.

        The queue is read up to this job, in pages of 500 ids: two calls, and one more for each 500 jobs ahead. The
        number is that of one moment only if no job comes or goes meanwhile.
        """
        (record,) = await self._kept().reads.load([self.id])

        if record is None or not record.is_in(JobStatus.QUEUED):
            return None

        ahead = 0

        async for ids in self._kept().reads.listing(JobStatus.QUEUED):
            if self.id in ids:
                return ahead + ids.index(self.id)

            ahead += len(ids)

        return None

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
        if self._loop is not None and running_loop() is None:
            self.save_meta_sync()

            return DONE

        return self._save_meta()

    @awaited
    async def _save_meta(self) -> None:
        present, changed, removed = self._changed_meta()

        if changed or removed:
            changes = list(chain.from_iterable(changed.items()))
            self._meta_saved(await self._kept().changes.save_meta(self.id, self._fence, changes, removed), present)

    def save_meta_sync(self) -> None:
        """As `save_meta`, for a plain function that a worker runs on a thread.

        Raises:
            WrongContext: it is called on the event loop.
            NoCurrentJob: it is called outside of a job.
            Others: as `save_meta`.

        """
        if self._loop is None:
            raise NoCurrentJob(
                "save_meta_sync works inside a job only; use `await job.save_meta()`, or where no event loop runs"
                " `asyncio.run(job.save_meta())`"
            )

        try:
            asyncio.get_running_loop()
        except RuntimeError:
            asyncio.run_coroutine_threadsafe(self._save_meta(), self._loop).result()
        else:
            raise WrongContext("save_meta_sync would block the event loop; use `await job.save_meta()`")

    @awaited
    async def cancel(self) -> None:
        """Take the job back. One that runs is ended by its worker; what it returns then is not recorded.

        Raises:
            InvalidJobOperation: it has ended already (a failed job can be canceled).
            NoSuchJobError: it is gone.

        """
        await self._end("cancel", JobStatus.CANCELED, *await self._kept().changes.cancel(self.id))

    @awaited
    async def stop(self) -> None:
        """End the job's run; it becomes `stopped` and is not retried.

        Raises:
            InvalidJobOperation: it does not run.
            NoSuchJobError: it is gone.

        """
        await self._end("stop", JobStatus.STOPPED, *await self._kept().changes.stop(self.id))

    @awaited
    async def requeue(self, *, at_front: bool = False, reset_retries: bool = True) -> Job[R]:
        """Bring a failed, canceled, stopped or expired job back to its queue.

        Args:
            at_front: put it at the front (default False).
            reset_retries: count its attempts and deliveries anew (default True).

        Returns:
            This job, with a new snapshot.

        Raises:
            InvalidJobOperation: it is in another state; the text names it.
            NoSuchJobError: it is gone.

        """
        (verdict,) = await self._kept().changes.requeue([self.id], at_front=at_front, reset=reset_retries)

        if verdict == "gone":
            raise self._gone()

        if verdict != "ok":
            raise InvalidJobOperation(
                f"job {self.id} is {verdict}; only failed, canceled, stopped and expired jobs can be requeued"
            )

        await self._look_again("queued")

        return self

    @awaited
    async def delete(self) -> None:
        """Remove the job and all that is kept of it; a run in progress is ended. Raises NoSuchJobError."""
        if not await self._kept().changes.delete([self.id]):
            raise self._gone()

    def adopt(self, other: Job[R]) -> None:
        """Become the job that was enqueued for this one. For the queue."""
        self.record, self._store, self.call, self._meta = other.record, other._store, None, None
        self.durability = other.durability

    def bind(self, loop: asyncio.AbstractEventLoop) -> None:
        """Let `save_meta_sync` reach the worker's event loop. For the worker."""
        self._loop = loop

    def _changed_meta(self) -> tuple[Fields, Fields, list[bytes]]:
        """The meta values as they are to be stored: all, the changed ones, and the names of the removed ones."""
        present = {
            META + name.encode(): self.record.pack_meta(name, value)
            for name, value in check_meta(self.meta).items()
        }
        changed = {name: value for name, value in present.items() if not self.record.is_same_meta(name, value)}
        removed = [name for name in self.record.meta_fields() if name not in present]

        if (size := sum(map(len, chain.from_iterable(changed.items())))) > MAX_PAYLOAD:
            raise PayloadTooLarge(
                f"the changed meta values of job {self.id} have {size} bytes; the limit is {MAX_PAYLOAD}."
                " Store a reference to the data instead"
            )

        return present, changed, removed

    def _meta_saved(self, verdict: str, present: Fields) -> None:
        if verdict == "gone":
            raise self._gone()

        if verdict == "stale":
            raise InvalidJobOperation(f"job {self.id}: this run has lost its claim; its meta was not saved")

        kept = {name: value for name, value in self.record.fields.items() if not name.startswith(META)}
        self.record = JobRecord(self.id, kept | present, self.record.signer)

    async def _end(self, verb: str, target: JobStatus, verdict: str, status: str) -> None:
        if verdict == "gone":
            raise self._gone()

        if verdict == "already":
            raise InvalidJobOperation(f"job {self.id} has been {target} already")

        if verdict == "refused":
            raise InvalidJobOperation(f"job {self.id} is {status}; {verb} does nothing to it")

        await self._look_again(target)

    async def _look_again(self, status: str) -> None:
        """Take a new snapshot after a change. If the job is gone by now, `status` is its last known state."""
        (record,) = await self._kept().reads.load([self.id])
        fields = self.record.fields | {b"status": status.encode()}
        self.record, self._meta = record or JobRecord(self.id, fields, self.record.signer), None

    def _kept(self) -> Store:
        if self._store is None:
            raise InvalidJobOperation(
                f"job {self.id} was never enqueued; `await queue.enqueue_job(job)` does that"
            )

        return self._store

    def _gone(self) -> NoSuchJobError:
        return gone(self._kept(), self.id)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Job):
            return NotImplemented

        return (self.id, self.origin, self._place) == (other.id, other.origin, other._place)

    @property
    def _place(self) -> object:
        return None if self._store is None else self._store.connection.place

    def __hash__(self) -> int:
        return hash(self.id)

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            f"{self!r} is a handle with a connection to the server, and is not pickled. Pass or return job.id;"
            " `await queue.fetch_job(job_id)` makes a handle of it"
        )

    def __repr__(self) -> str:
        status = self.record.fields.get(b"status", b"not enqueued").decode(errors="backslashreplace")

        return f"<Job {self.id} {self.func_name} {status}>"


def _shown(timeout: Duration | None) -> str:
    return spelled(math.inf if timeout is None else waiting_ms(timeout, "timeout") / 1000)


def id_of(job: Job[Any] | str, store: Store) -> str:
    """The id of a job of one queue, which is given by a handle or by its id.

    Raises:
        InvalidType: it is neither.
        InvalidJobOperation: it is a job of another queue, which may have a job with the same id.

    """
    if not isinstance(job, Job):
        return lookup_id(job)

    if job.origin is not None and job.origin != store.queue:
        raise InvalidJobOperation(f"{job!r} is not a job of queue {store.queue!r}")

    return job.id


def ids_of(jobs: Iterable[Job[Any] | str], store: Store) -> list[str]:
    """As `id_of`, for several.

    Raises:
        InvalidType: it is one job, one text, or no collection.

    """
    if isinstance(jobs, str | bytes | Job) or not isinstance(jobs, Iterable):
        raise InvalidType(f"job_ids={jobs!r}: expected a list of ids or jobs")

    return [id_of(job, store) for job in jobs]


def gone(store: Store, job_id: str) -> NoSuchJobError:
    return NoSuchJobError(
        f"queue {store.queue!r} has no job {job_id!r}: it never had, it was deleted, or its retention has passed"
    )
