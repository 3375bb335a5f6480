"""Enqueuing: the forms of enqueue that a Queue has for code without an event loop."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, ParamSpec, TypeVar, Unpack, overload

from aioq.client.parts import part_of
from aioq.client.producer import EnqueueData
from aioq.client.queue import Queue as AsyncQueue
from aioq.sync.calling import run
from aioq.sync.job import Job
from aioq.sync.using import BoundTask, Using
from aioq.values.durations import Duration
from aioq.values.moments import due_at, due_in
from aioq.values.options import Options, read_options
from aioq.values.rq_names import ENQUEUE_MANY_ARGUMENTS, tell_rq_arguments

P = ParamSpec("P")
R = TypeVar("R")


@part_of("Queue")
class Enqueuing:
    """The part of a queue that puts jobs into it. Calls are checked and serialised on the thread of the caller."""

    #: The asyncio form.
    _queue: AsyncQueue

    def enqueue(self, func: Callable[..., Any] | str, /, *args: Any, **kwargs: Any) -> Job[Any]:
        """Put a call into the queue.

        Option names (job_timeout, result_ttl, ttl, failure_ttl, description, job_id, at_front, meta, retry,
        durability, executor) are taken out of kwargs; the rest goes to the function. `args=` and `kwargs=` pass a
        function's arguments explicitly, for one whose own names are those of options. `using` is the typed form.

        Raises:
            InvalidInput: the function, an argument or an option cannot be used. Nothing was written.
            DuplicateJobError: a job with this job_id has not ended.
            NotDurable: the job is in the queue, but not as durable as `durability` asks for.
            ServerUnsuitable: the server cannot do what `durability` asks for. Nothing was written.
            ServerError: the server cannot be reached, or refuses.

        Example:
            >>> job = queue.enqueue(count_words_at_url, "http://nvie.com", ttl=43)  # doctest: +SKIP

        """
        return Job(run(self._queue.producer.enqueue, self._queue.prepare(func, args, kwargs)), self)

    def enqueue_call(
        self,
        func: Callable[..., Any] | str,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        *,
        timeout: Duration | None = None,
        **options: Unpack[Options],
    ) -> Job[Any]:
        """As `enqueue`, with the function's arguments apart from the options.

        `timeout` is another name for job_timeout here, as in RQ.
        """
        if timeout is not None:
            options["job_timeout"] = timeout

        return self.using(**options).enqueue_call(func, args, kwargs)

    def enqueue_at(
        self, moment: datetime, func: Callable[..., Any] | str, /, *args: Any, **kwargs: Any
    ) -> Job[Any]:
        """Put a call into the queue when a moment has come. A naive datetime is in this machine's time zone."""
        call = self._queue.prepare(func, args, kwargs)
        call.due = due_at(moment)

        return Job(run(self._queue.producer.enqueue, call), self)

    def enqueue_in(
        self, delay: Duration, func: Callable[..., Any] | str, /, *args: Any, **kwargs: Any
    ) -> Job[Any]:
        """Put a call into the queue after a while, counted by the server's clock."""
        call = self._queue.prepare(func, args, kwargs)
        call.due = due_in(delay)

        return Job(run(self._queue.producer.enqueue, call), self)

    @tell_rq_arguments(ENQUEUE_MANY_ARGUMENTS)
    def enqueue_many(self, calls: Iterable[EnqueueData[R]]) -> list[Job[R]]:
        """Put many calls into the queue: all are checked first, then sent in chunks, in their order.

        Raises:
            InvalidInput: one of the calls cannot be used. Nothing was written.
            DuplicateJobError: ids of live jobs; the other calls were enqueued.
            NotDurable: jobs that are in the queue, but not as durable as `durability` asks for.

        Example:
            >>> queue.enqueue_many([Queue.prepare_data(send, (name,)) for name in names])  # doctest: +SKIP

        """
        return self.using().enqueue_many(calls)

    @staticmethod
    def prepare_data(
        func: Callable[..., Any] | str,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        **options: Unpack[Options],
    ) -> EnqueueData[Any]:
        """One call for `enqueue_many`."""
        made = AsyncQueue.prepare_data(func, args, kwargs, **options)

        return EnqueueData(made.func, made.args, made.kwargs, made.options)

    def enqueue_job(self, job: Job[R], *, at_front: bool = False) -> Job[R]:
        """Put a job that `Job.create` made into this queue; its meta may have been changed since.

        Returns:
            The same job, which is now this queue's.

        Raises:
            InvalidJobOperation: it was enqueued already.

        """
        return self.using().enqueue_job(job, at_front=at_front)

    def using(self, **options: Unpack[Options]) -> Using:
        """The typed form: options here, and a type checker sees the function's own arguments in the call.

        Example:
            >>> job = queue.using(ttl=43, retry=Retry(3)).enqueue(send, "you")  # doctest: +SKIP

        """
        return Using(self, self._queue.producer, read_options(options))

    @overload
    def task(self, function: Callable[P, R], /) -> BoundTask[P, R]: ...

    @overload
    def task(
        self, function: None = None, /, **options: Unpack[Options]
    ) -> Callable[[Callable[P, R]], BoundTask[P, R]]: ...

    def task(
        self, function: Callable[P, R] | None = None, /, **options: Unpack[Options]
    ) -> BoundTask[P, R] | Callable[[Callable[P, R]], BoundTask[P, R]]:
        """As `aioq.task`, for functions that belong to this queue: they get `.enqueue(…)`."""
        checked, producer = read_options(options), self._queue.producer

        if function is not None:
            return BoundTask(self, function, checked, producer)

        return lambda decorated: BoundTask(self, decorated, checked, producer)
