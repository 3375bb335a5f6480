"""Producer: it puts calls into a queue. Every form of enqueue ends here."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, Generic, NamedTuple, TypeVar

from aioq.client.call import Call, complete, describe, submission_of
from aioq.client.children import LOST_RUN, lost_run
from aioq.client.dependencies import orphan, refuse_orphans, tell_others, with_edges
from aioq.client.job import Job
from aioq.client.middleware import EnqueueMiddleware, run_through
from aioq.client.series import check_until
from aioq.store import Store
from aioq.store.net.batcher import MAX_BYTES
from aioq.store.net.per_loop import check_loop
from aioq.values.durability import MEMORY
from aioq.values.errors import AioqError, DuplicateJobError, InvalidInput, InvalidType, NotDurable
from aioq.values.options import MAX_PAYLOAD, NO_OPTIONS, JobOptions
from aioq.values.serializer import PICKLE, Serializer
from aioq.values.submission import Answer, Submission

R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)

#: How many jobs a chunk of one `enqueue_many` has, and how many chunks are on their way at the same time. With
#: smaller chunks the server begins sooner; with larger ones there are fewer calls to make.
CHUNK_JOBS = 125
CHUNKS_AT_ONCE = 8


class EnqueueData(NamedTuple, Generic[R_co]):
    """One call for `enqueue_many`, with checked options. Its job will be a Job[R_co]."""

    func: Any
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    options: JobOptions


@dataclass(slots=True)
class Producer:
    """Checks calls, makes jobs of them, and puts these into a queue.

    Args:
        store: the queue.
        defaults: the options of jobs that do not give their own.
        serializer: for arguments, results and meta.
        max_payload: the most bytes of arguments and meta of one job.
        durability_timeout: seconds to wait for the durability that was asked for.
        middleware: what calls go through, the outermost first.

    """

    store: Store
    defaults: JobOptions = NO_OPTIONS
    serializer: Serializer = PICKLE
    max_payload: int = MAX_PAYLOAD
    durability_timeout: float = 5.0
    middleware: tuple[EnqueueMiddleware, ...] = ()

    def prepare(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], options: JobOptions) -> Call:
        """Check a call. Raises InvalidInput."""
        call = describe(func, args, kwargs, options, self.serializer)

        if self.middleware:
            return call

        completed = complete(call, self.defaults, self.max_payload)

        return completed if completed.options is NO_OPTIONS else self._checked(completed)

    def complete(self, call: Call) -> Call:
        """As `prepare`, for a call that was described elsewhere. It stays as it is if middleware may change it."""
        if self.middleware:
            return call

        completed = complete(call, self.defaults, self.max_payload)

        return completed if completed.options is NO_OPTIONS else self._checked(completed)

    async def enqueue(self, call: Call) -> Job[Any]:
        """Put one call into the queue.

        Raises:
            InvalidInput, DuplicateJobError, NotDurable, ServerError: as `Queue.enqueue`.

        """
        if self.middleware:
            (job,) = await self._through_middleware([call])

            return job

        submission = submission_of(call, self.store.signer)

        if submission.durability != "memory":
            (job,) = self._accepted([call], await self._store_durably([submission]))
            await self._tell_others([call], [job])

            return job

        answer = await self.store.producing.enqueue(submission)

        if answer.verdict != "stored":
            raise self._refusal(call, submission.record.id, answer)

        if call.options.edges is not None:
            await tell_others(self.store, [(submission.record.id, call.options.edges)])

        return Job(submission.record.as_enqueued(answer.clock, submission.words), self.store, durability=MEMORY)

    def _checked(self, call: Call) -> Call:
        """A complete call, once what the server and the queue have to do with its options is checked, too."""
        if call.options.repeat is not None:
            check_until(call.options.repeat)

        return call if call.options.edges is None else with_edges(call, self.store)

    def _refusal(self, call: Call, job_id: str, answer: Answer) -> AioqError:
        """The error for a job that was not stored."""
        if answer.verdict == "orphan":
            return orphan(job_id, answer.job_id)

        if answer.verdict in LOST_RUN:
            return lost_run(call, answer)

        return _duplicate(self.store.queue, job_id)

    async def enqueue_many(
        self, calls: Iterable[EnqueueData[R]], options: JobOptions = NO_OPTIONS
    ) -> list[Job[R]]:
        """Put many calls into the queue: all are checked first, then sent in chunks, in their order.

        Args:
            calls: the calls.
            options: for those that do not give their own.

        """
        check_loop()  # before coroutines are made that nobody could await

        return await self.enqueue_prepared(self.prepare_many(calls, options))

    def prepare_many(self, calls: Iterable[EnqueueData[Any]], options: JobOptions = NO_OPTIONS) -> list[Call]:
        """Check the calls of `enqueue_many`. Raises InvalidInput."""
        listed, prepared = _listed(calls), list[Call]()

        with _places_told(prepared):
            for each in listed:
                if not isinstance(each, EnqueueData):
                    raise _no_call(each)

                given = each.options if options is NO_OPTIONS else each.options.over(options)
                prepared.append(self.prepare(each.func, each.args, each.kwargs, given))

        _refuse_repeated_ids(prepared)

        return prepared

    async def enqueue_prepared(self, prepared: Sequence[Call]) -> list[Job[Any]]:
        """Put calls of `prepare_many` into the queue."""
        if self.middleware:
            return await self._through_middleware(prepared)

        chunks, at_once = _chunks(prepared), CHUNKS_AT_ONCE
        jobs: list[Job[Any] | None] = []
        with_options = [call for call in prepared if call.options is not NO_OPTIONS]
        have_edges = bool([call for call in with_options if call.options.edges is not None])

        if have_edges and await refuse_orphans(self.store, prepared):
            at_once = 1  # a job comes after those that it depends on

        while some := list(islice(chunks, at_once)):
            for made in await asyncio.gather(*map(self._enqueue_chunk, some)):
                jobs += made

        if have_edges:
            await self._tell_others(prepared, jobs)

        return self._accepted(prepared, jobs)

    async def _through_middleware(self, calls: Sequence[Call]) -> list[Job[Any]]:
        inner = replace(self, middleware=())

        async def enqueue(changed: Sequence[Call]) -> list[Job[Any]]:
            prepared = list[Call]()

            with _places_told(prepared) if len(changed) > 1 else nullcontext():
                prepared.extend(map(inner.complete, changed))

            _refuse_repeated_ids(prepared)

            return await inner.enqueue_prepared(prepared)

        return await run_through(self.middleware, calls, enqueue)

    async def _tell_others(self, calls: Sequence[Call], jobs: Sequence[Job[Any] | None]) -> None:
        """Let jobs of other queues know of the new jobs that depend on them."""
        pairs = zip(calls, jobs, strict=True)
        await tell_others(self.store, [(job.id, call.options.edges) for call, job in pairs if job is not None])

    async def _enqueue_chunk(self, calls: list[Call]) -> list[Job[Any] | None]:
        """The jobs, None for each duplicate. The server works on one chunk while another is made here."""
        submissions = [submission_of(call, self.store.signer) for call in calls]

        if submissions[0].durability != "memory":
            return await self._store_durably(submissions)

        answers = await self.store.producing.enqueue_many(submissions)

        for call, answer in zip(calls, answers, strict=True) if calls[0].child else ():
            if answer.verdict in LOST_RUN:
                raise lost_run(call, answer)

        return self._jobs(submissions, answers)

    async def _store_durably(self, submissions: list[Submission]) -> list[Job[Any] | None]:
        level = submissions[0].durability
        answers, reached = await self.store.producing.enqueue_durably(submissions, level, self.durability_timeout)
        jobs = self._jobs(submissions, answers)

        for job in jobs:
            if job is not None:
                job.durability = reached

        return jobs

    def _accepted(self, calls: Sequence[Call], jobs: Sequence[Job[Any] | None]) -> list[Job[Any]]:
        """The jobs, if all of them are new and have reached the durability that was asked for."""
        made: list[Job[Any]] = []
        duplicates: list[str] = []
        short: list[tuple[str, str]] = []

        for call, job in zip(calls, jobs, strict=True):
            level = call.options.durability

            if job is None:
                duplicates.append(call.options.job_id or "")
                continue

            made.append(job)

            if level is not None and level != "memory" and job.durability == MEMORY:
                short.append((job.id, level))

        error = _duplicate(self.store.queue, *duplicates) if duplicates else None

        if short:
            levels = " or ".join(sorted({level for _, level in short}))
            raise NotDurable([job_id for job_id, _ in short], levels, self.durability_timeout) from error

        if error:
            raise error

        return made

    def _jobs(self, submissions: Sequence[Submission], answers: Sequence[Answer]) -> list[Job[Any] | None]:
        store = self.store

        return [
            Job(each.record.as_enqueued(answer.clock, each.words), store, durability=MEMORY)
            if answer.verdict == "stored"
            else None
            for each, answer in zip(submissions, answers, strict=True)
        ]


def _listed(calls: Iterable[EnqueueData[R]]) -> Iterable[EnqueueData[R]]:
    if isinstance(calls, EnqueueData) or not isinstance(calls, Iterable):
        raise InvalidType(f"calls: expected a list of what prepare_data returns, not {type(calls).__name__}")

    return calls


@contextmanager
def _places_told(done: Sequence[Call]) -> Iterator[None]:
    """An error names the call that cannot be used by its place: behind those that are done."""
    try:
        yield
    except InvalidInput as error:
        error.args = (f"calls[{len(done)}]: {error}",)

        raise


def _no_call(given: object) -> InvalidType:
    return InvalidType(f"expected what prepare_data returns, not {type(given).__name__}")


def _refuse_repeated_ids(calls: list[Call]) -> None:
    counts = Counter(call.options.job_id for call in calls if call.options is not NO_OPTIONS)
    duplicates = sorted(job_id for job_id, count in counts.items() if job_id is not None and count > 1)

    if duplicates:
        raise InvalidInput(f"job_id {', '.join(duplicates)} stands in this call more than once")


def _chunks(calls: Sequence[Call]) -> Iterator[list[Call]]:
    """The calls in their order, each chunk with one durability."""
    chunk: list[Call] = []
    size = 0

    for each in calls:
        if chunk and each.options.durability != chunk[0].options.durability:
            yield chunk
            chunk, size = [], 0

        chunk.append(each)
        size += each.size

        if len(chunk) == CHUNK_JOBS or size >= MAX_BYTES:
            yield chunk
            chunk, size = [], 0

    if chunk:
        yield chunk


def _duplicate(queue: str, *ids: str) -> DuplicateJobError:
    return DuplicateJobError(
        f"queue {queue!r} has a job {', '.join(ids)} that has not ended; wait for its end, cancel it, or choose"
        " another job_id"
    )
