"""run_inline: one job, here and now, as a worker runs it, without a worker and without a server."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Sequence
from typing import Any, TypeVar, cast, overload

from aioq.client.context import resources as resources_variable
from aioq.client.job import Job
from aioq.store import Connection, Store
from aioq.store.changes import Changes
from aioq.testing.runs import Ended, Record, raise_error
from aioq.values.claim import Claim
from aioq.values.dependency import Edges
from aioq.values.errors import JobStopped
from aioq.values.middleware import check_middleware
from aioq.values.options import OPTION_NAMES, RESULT_TTL_MS, Options
from aioq.values.outcome import Finished, Retried
from aioq.values.record import JobRecord
from aioq.values.serializer import OwnSerializer
from aioq.worker.call import Caller
from aioq.worker.dependencies import NO_OVERRIDES, Overrides
from aioq.worker.middleware import RunMiddleware
from aioq.worker.slots import Slots

R = TypeVar("R")

#: What stands for the name of a worker.
WORKER = "inline"

#: How many threads plain functions may use: as many as in a worker.
THREADS = 100


@overload
async def run_inline(
    func: Callable[..., Coroutine[Any, Any, R]],
    /,
    *args: Any,
    resources: Any = ...,
    overrides: Overrides | None = ...,
    middleware: Iterable[RunMiddleware] = ...,
    retries: bool = ...,
    serializer: str | OwnSerializer = ...,
    **kwargs: Any,
) -> R: ...


@overload
async def run_inline(
    func: Callable[..., AsyncIterator[R]],
    /,
    *args: Any,
    resources: Any = ...,
    overrides: Overrides | None = ...,
    middleware: Iterable[RunMiddleware] = ...,
    retries: bool = ...,
    serializer: str | OwnSerializer = ...,
    **kwargs: Any,
) -> list[R]: ...


@overload
async def run_inline(
    func: Callable[..., R],
    /,
    *args: Any,
    resources: Any = ...,
    overrides: Overrides | None = ...,
    middleware: Iterable[RunMiddleware] = ...,
    retries: bool = ...,
    serializer: str | OwnSerializer = ...,
    **kwargs: Any,
) -> R: ...


@overload
async def run_inline(
    func: str,
    /,
    *args: Any,
    resources: Any = ...,
    overrides: Overrides | None = ...,
    middleware: Iterable[RunMiddleware] = ...,
    retries: bool = ...,
    serializer: str | OwnSerializer = ...,
    **kwargs: Any,
) -> Any: ...


async def run_inline(
    func: Callable[..., Any] | str,
    /,
    *args: Any,
    resources: Any = None,
    overrides: Overrides | None = None,
    middleware: Iterable[RunMiddleware] = (),
    retries: bool = False,
    serializer: str | OwnSerializer = "pickle",
    **kwargs: Any,
) -> Any:
    """Run one job as a worker runs it, without a worker and without a server, and return its result.

    Its arguments and its result go through the serializer. `get_current_job()`, `save_meta`, `Depends` and
    `job_timeout` work. A server is asked only if the function asks one, as by `current_job().queue`: then it is
    the environment's. `TestKit.run_inline` has the server of the kit.

    Args:
        func: what `enqueue` takes.
        *args: its arguments.
        **kwargs: its arguments, and options of the job as for `enqueue`.
        resources: what the lifespan of a worker would yield (default None: there is no lifespan).
        overrides: functions that are called in the place of dependencies, by those that `Depends` names.
        middleware: what runs around each run, as for `Worker`.
        retries: run it again when it has raised, as often as its `retry` says and without a pause (default False).
        serializer: that of the queue (default "pickle").

    Raises:
        InvalidInput: the function, an argument or an option cannot be used.
        SerializationError: the result cannot be kept.
        Exception: whatever the function raises, with its own traceback.

    Example:
        >>> assert await run_inline(count_words, "to be or not") == 4  # doctest: +SKIP

    """
    __tracebackhide__ = True

    record = record_of(func, args, kwargs, serializer)
    run = InlineRun(
        Connection(), "default", resources, overrides or NO_OVERRIDES, middleware=middleware, retries=retries
    )

    return await run.of(record)


class InlineRun:
    """One job that runs without a worker.

    Args:
        connection: for what the function asks of a server.
        queue: the name of its queue.
        resources: what a lifespan would yield; None: there is none.
        overrides: functions that are called in the place of dependencies.
        middleware: what runs around each run, the outermost first.
        retries: whether it runs again when it has raised, if its policy says so.

    Raises:
        InvalidInput: the middleware cannot be used.

    """

    def __init__(
        self,
        connection: Connection,
        queue: str,
        resources: Any,
        overrides: Overrides,
        *,
        middleware: Iterable[RunMiddleware],
        retries: bool,
    ) -> None:
        self._store = InlineStore(connection, queue)
        self._resources = resources
        self._overrides = overrides
        self._middleware = check_middleware(middleware, "job")
        self._retries = retries

    async def of(self, record: JobRecord) -> Any:
        """The result of a job. Raises what `run_inline` raises."""
        __tracebackhide__ = True
        ended = await self._run(record)

        if ended.error is not None:
            raise_error(ended)

        if not isinstance(ended.outcome, Finished):
            raise JobStopped(ended.run.id, f"the run was ended: {ended.word}")

        return ended.result()

    async def _run(self, record: JobRecord) -> Ended:
        token = None if self._resources is None else resources_variable.set(self._resources)
        caller = Caller(THREADS, RESULT_TTL_MS, middleware=self._middleware, overrides=self._overrides)

        try:
            fence, began_ms = 1, _now_ms()
            ended = await self._run_once(caller, record, fence)

            while self._retries and isinstance(outcome := ended.outcome, Retried):
                fence += 1
                began_ms -= outcome.delay_ms  # the pauses are left out, and count for a deadline all the same
                self._store.record.fields[b"first_started_at"] = b"%d" % began_ms
                ended = await self._run_once(caller, self._store.record, fence)
        finally:
            await caller.close()

            if token is not None:
                resources_variable.reset(token)

        return ended

    async def _run_once(self, caller: Caller, record: JobRecord, fence: int) -> Ended:
        """One run, on slots of its own: they end one that takes too long, and keep its context apart."""
        over, record_of_end = asyncio.Event(), Record()

        def report(*end: Any) -> None:
            record_of_end.note(*end)
            over.set()

        self._store.record = record.as_claimed(fence, b"%d" % _now_ms(), WORKER.encode())
        slots = Slots(1, caller.carry_out, report)
        run = slots.take(self._store, Claim(self._store.record, fence))

        try:
            await over.wait()
        except asyncio.CancelledError:
            if run.task is not None:
                run.task.cancel()
                await asyncio.wait([run.task], timeout=1)

            raise
        finally:
            slots.close()

        return record_of_end.ended[0]


class InlineStore(Store):
    """A queue whose one job is kept here, and everything else on the server.

    Args:
        connection: the server.
        queue: its name.

    """

    record: JobRecord

    def __init__(self, connection: Connection, queue: str) -> None:
        super().__init__(connection, queue)
        self.changes: Changes = InlineChanges(self)


class InlineChanges(Changes):
    """Changes of jobs: the meta of the one that runs here is kept here.

    Args:
        store: where it is kept.

    """

    def __init__(self, store: InlineStore) -> None:
        super().__init__(store.calls, store.audit, store.producing.forget)
        self._store = store

    async def save_meta(
        self, job_id: str, fence: int | None, changes: Sequence[bytes], removed: Sequence[bytes]
    ) -> str:
        """As the server would do it."""
        record = self._store.record

        if job_id != record.id:
            return await super().save_meta(job_id, fence, changes, removed)

        fields = {name: value for name, value in record.fields.items() if name not in removed}
        pairs = zip(changes[::2], changes[1::2], strict=True)
        self._store.record = JobRecord(record.id, fields | dict(pairs), record.signer)

        return "ok"


def record_of(
    func: Callable[..., Any] | str,
    args: Sequence[Any],
    kwargs: dict[str, Any],
    serializer: str | OwnSerializer = "pickle",
) -> JobRecord:
    """The job that `enqueue` would store for a call.

    Raises:
        InvalidInput: the function, an argument or an option cannot be used.

    """
    options = {name: kwargs.pop(name) for name in OPTION_NAMES.intersection(kwargs)}
    given = cast("Options", options)

    if isinstance(func, str):  # one form of `create` for type checkers, and another one
        job: Job[Any] = Job.create(func, args, kwargs, serializer=serializer, **given)
    else:
        job = Job.create(func, args, kwargs, serializer=serializer, **given)

    record = job.record.as_enqueued(_now_ms(), {})
    edges = None if job.call is None else job.call.options.edges

    if edges is not None:  # whose results are arguments is read where they are
        homes = [each._replace(queue=getattr(each.job, "origin", None) or "") for each in edges.edges]
        record.fields[b"parents"] = Edges(tuple(homes)).word().encode()

    return record


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
