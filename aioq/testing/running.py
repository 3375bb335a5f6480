"""Running: jobs of a test are run by a worker in its process, with what it puts in the place of dependencies."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Iterable, Mapping
from contextlib import AbstractContextManager, asynccontextmanager
from typing import Any, TypeVar, overload

from aioq.client.job import Job
from aioq.client.parts import part_of
from aioq.store import Store
from aioq.store.reads import read_counts
from aioq.store.time_travel import advance_to_next
from aioq.testing.inline import InlineRun, record_of
from aioq.testing.namespace import Namespace
from aioq.testing.runs import Ended, JobRun, Record
from aioq.values.errors import InvalidInput
from aioq.values.numbers import whole
from aioq.values.reference import Function
from aioq.values.serializer import OwnSerializer
from aioq.values.states import JobStatus
from aioq.worker.for_tests import ForTests
from aioq.worker.middleware import RunMiddleware
from aioq.worker.worker import Worker

R = TypeVar("R")

#: After so many runs, jobs that make one another are taken for endless.
MOST_RUNS = 10_000


@part_of("TestKit")
class Running(Namespace):
    """The part of a kit that runs jobs.

    Args:
        url: as for `Namespace`.

    """

    def __init__(self, url: str | None = None) -> None:
        super().__init__(url)
        self._overrides: dict[Function, Function] = {}

    def override(
        self, dependency: Callable[..., Any], replacement: Callable[..., Any]
    ) -> AbstractContextManager[object]:
        """Let jobs be given what another function provides, until the kit is closed.

        Args:
            dependency: what `Depends` names, aioq's or FastAPI's.
            replacement: what is called in its place. It may ask for dependencies itself.

        Returns:
            A context manager, at whose end the dependency is what it was.

        Raises:
            InvalidInput: one of the two cannot be called.

        Example:
            >>> with kit.override(get_session, fake_session):  # doctest: +SKIP
            ...     await kit.run_until_idle()

        """
        for name, value in (("dependency", dependency), ("replacement", replacement)):
            if not callable(value):
                raise InvalidInput(f"{name}={value!r}: expected a function")

        before, self._overrides[dependency] = self._overrides.get(dependency), replacement

        def undo() -> None:
            if before is None:
                self._overrides.pop(dependency, None)
            else:
                self._overrides[dependency] = before

        return self._undone_by(undo)

    @overload
    async def run_inline(
        self,
        func: Callable[..., Coroutine[Any, Any, R]],
        /,
        *args: Any,
        resources: Any = ...,
        middleware: Iterable[RunMiddleware] = ...,
        retries: bool = ...,
        serializer: str | OwnSerializer = ...,
        **kwargs: Any,
    ) -> R: ...

    @overload
    async def run_inline(
        self,
        func: Callable[..., AsyncIterator[R]],
        /,
        *args: Any,
        resources: Any = ...,
        middleware: Iterable[RunMiddleware] = ...,
        retries: bool = ...,
        serializer: str | OwnSerializer = ...,
        **kwargs: Any,
    ) -> list[R]: ...

    @overload
    async def run_inline(
        self,
        func: Callable[..., R],
        /,
        *args: Any,
        resources: Any = ...,
        middleware: Iterable[RunMiddleware] = ...,
        retries: bool = ...,
        serializer: str | OwnSerializer = ...,
        **kwargs: Any,
    ) -> R: ...

    @overload
    async def run_inline(
        self,
        func: str,
        /,
        *args: Any,
        resources: Any = ...,
        middleware: Iterable[RunMiddleware] = ...,
        retries: bool = ...,
        serializer: str | OwnSerializer = ...,
        **kwargs: Any,
    ) -> Any: ...

    async def run_inline(
        self,
        func: Callable[..., Any] | str,
        /,
        *args: Any,
        resources: Any = None,
        middleware: Iterable[RunMiddleware] = (),
        retries: bool = False,
        serializer: str | OwnSerializer = "pickle",
        **kwargs: Any,
    ) -> Any:
        """As `aioq.testing.run_inline`, with the overrides of this kit; what the job enqueues comes here.

        Example:
            >>> assert await kit.run_inline(count_words, "to be or not") == 4  # doctest: +SKIP

        """
        __tracebackhide__ = True
        run = InlineRun(
            self.connection,
            "default",
            resources,
            dict(self._overrides),
            middleware=middleware,
            retries=retries,
        )

        return await run.of(record_of(func, args, kwargs, serializer))

    async def run_until_idle(
        self,
        *,
        scheduled: bool = False,
        raise_errors: bool = True,
        max_runs: int = MOST_RUNS,
        **worker_options: Any,
    ) -> list[JobRun]:
        """Run a worker on all queues of this namespace until no job waits there.

        Args:
            scheduled: run scheduled jobs and retries, too: the clock is moved on to each of them (default False).
            raise_errors: raise what the first job has failed with, when all have ended (default True). An error
                after which the job is retried is not raised.
            max_runs: the most runs (default 10,000).
            **worker_options: as for `Worker`, such as `lifespan`.

        Returns:
            The runs, in the order of their ends.

        Raises:
            Exception: what a job has raised, with its own traceback.
            AssertionError: there were more than `max_runs` runs, or a job has raised SystemExit or the like.

        Example:
            >>> (run,) = await kit.run_until_idle()  # doctest: +SKIP
            >>> assert run.result == 4  # doctest: +SKIP

        """
        __tracebackhide__ = True
        record, most = Record(), whole(max_runs, "max_runs", 1)

        while True:
            before = len(record.ended)

            if names := await self._busy():
                if before >= most:
                    last = record.ended[-1].run.named
                    raise AssertionError(f"jobs still wait after {most} runs; the last one was {last}")

                await self._worker(names, record, worker_options).run(burst=True, max_jobs=most - before)

            # A queue that is paused stays as it is.
            if len(record.ended) == before and not (scheduled and await advance_to_next(self.connection)):
                break

        if raise_errors:
            record.raise_first()

        return await self._runs(record.ended)

    @asynccontextmanager
    async def worker(self, *names: str, **worker_options: Any) -> AsyncGenerator[Worker]:
        """A worker that serves queues of this namespace as long as the context lasts.

        At the end it stops; jobs that still run then go back to their queues. What jobs raise is not raised here:
        `await job.result()` tells.

        Args:
            *names: of the queues (default: all that there are now, and "default").
            **worker_options: as for `Worker`.

        Example:
            >>> async with kit.worker():  # doctest: +SKIP
            ...     assert await (await kit.queue().enqueue(count_words, "to be")).result(timeout=10) == 2

        """
        served = names or tuple(dict.fromkeys(("default", *self._queues, *await self._names())))
        worker, ready = self._worker(served, Record(), worker_options), asyncio.Event()
        # No task group: it would put what the test raises into an ExceptionGroup.
        serving = asyncio.create_task(worker.run(ready=ready.set))
        serving.add_done_callback(lambda _: ready.set())

        try:
            await ready.wait()

            if not serving.done():  # else it could not begin
                yield worker
        finally:
            worker.request_stop()
            worker.request_stop()  # at once
            await serving

    def _worker(self, names: tuple[str, ...] | list[str], record: Record, options: Mapping[str, Any]) -> Worker:
        worker = Worker(list(names), self.connection, **options)
        worker.for_tests = ForTests(dict(self._overrides), record.note)

        return worker

    async def _busy(self) -> list[str]:
        """The names of the queues of which one has jobs that wait or run; none if none has."""
        names = await self._names()

        if not names:
            return []

        now_ms = 1000 * (await self.now()).timestamp()
        stores = [Store(self.connection, name) for name in names]
        counts = [store.reads.count_command() for store in stores]
        soonest = [("ZRANGE", store.keys.scheduled, 0, 0, "WITHSCORES") for store in stores]
        replies = await self.connection.calls([*counts, *soonest])
        found = [read_counts(reply) for reply in replies[: len(names)]]
        is_due = any(scores and float(scores[1]) < now_ms + 1 for scores in replies[len(names) :])

        has_jobs = any(each.queued or each[JobStatus.STARTED] or each.callbacks for each in found)

        return names if is_due or has_jobs else []

    async def _runs(self, ended: list[Ended]) -> list[JobRun]:
        """The runs, with their jobs as they are stored now."""
        runs: list[JobRun] = []
        stored: dict[tuple[str, str], Job[Any]] = {}

        for name in dict.fromkeys(each.run.store.queue for each in ended):
            ids = list(dict.fromkeys(each.run.id for each in ended if each.run.store.queue == name))
            stored |= {(name, job.id): job for job in await self.queue(name).fetch_many(ids) if job is not None}

        for each in ended:
            run = each.run
            gone = Job[Any](run.claim.record, self.queue(run.store.queue).store)
            runs.append(each.as_run(stored.get((run.store.queue, run.id), gone)))

        return runs
