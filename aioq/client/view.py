"""JobView: what is known of a job without asking the server, whoever keeps it."""

from __future__ import annotations

from datetime import datetime
from typing import Any, NoReturn

from aioq.client.parts import part_of
from aioq.store import Store
from aioq.values.callback import callback_id
from aioq.values.calltext import call_text
from aioq.values.durations import seconds
from aioq.values.errors import InvalidJobOperation, NoSuchJobError
from aioq.values.options import RESULT_TTL_MS
from aioq.values.record import JobRecord
from aioq.values.resolving import resolve
from aioq.values.retrying import why_not
from aioq.values.states import JobStatus
from aioq.values.webhook import EVENTS, Webhook


@part_of("Job")
class JobView:
    """A job as its properties show it. Each handle on a job is one, for code with an event loop and without."""

    __slots__ = ()

    @property
    def record(self) -> JobRecord:
        """What is known of the job. Its handle keeps it."""
        raise NotImplementedError

    @property
    def _store(self) -> Store | None:
        """The job's queue; None before it is enqueued. Its handle keeps it."""
        raise NotImplementedError

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
        return self.record.status if b"status" in self.record.fields else None

    @property
    def origin(self) -> str | None:
        """The name of the job's queue; None before it is enqueued."""
        return None if self._store is None else self._store.queue

    @property
    def queue(self) -> Any:
        """The Queue that this handle came from; None before the job is enqueued."""
        return None if self._store is None else self._store.opened_by

    @property
    def group_id(self) -> str | None:
        """The name of the group that it is a member of, or that it follows from; None if there is none."""
        return self.record.group

    @property
    def _enqueued_store(self) -> Store:
        """The job's queue. Raises InvalidJobOperation before the job is enqueued."""
        if self._store is None:
            raise InvalidJobOperation(f"job {self.id} was never enqueued; `queue.enqueue_job(job)` does that")

        return self._store

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
    def timeout(self) -> float:
        """Seconds that a run may take; -1 for no limit."""
        return seconds(self.record.timeout_ms) or 0

    @property
    def ttl(self) -> float | None:
        """Seconds that the job may wait in its queue; None for no limit."""
        return seconds(self.record.ttl_ms)

    @property
    def deferred_ttl(self) -> float | None:
        """Seconds that the job may wait for those that it depends on; None for no limit."""
        return seconds(self.record.deferred_ttl_ms)

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
        """Until when a queued job must be started, by its ttl, or a deferred one released, by its deferred_ttl."""
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
    def tags(self) -> tuple[str, ...]:
        """Texts by which the job is found, as they were given when it was enqueued."""
        return self.record.tags

    @property
    def fingerprint(self) -> str | None:
        """What tells its failure from others; None unless it has failed. See `Queue.failures`."""
        return self.record.fingerprint

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
    def retries_left(self) -> int | None:
        """How many more attempts its `retry` allows after the one that runs, or that comes next.

        None: as many as begin before the deadline of a Retry without a max. It is also 0 for a job that has failed
        when the next attempt could have come after the deadline.
        """
        record, retry = self.record, self.record.retry

        if retry is None:
            return 0

        used = max(0, self.attempt - 1 if self.is_started else self.attempt)

        if self.is_failed and retry.within_ms is not None:
            longest_ms = retry.delay_ms(max(1, used), 1)

            if why_not(retry, 0, longest_ms, lambda: record.ended_ms - record.first_started_ms):
                return 0

        return None if retry.max is None else max(0, retry.max - used)

    @property
    def repeats(self) -> int:
        """How many runs of its series have ended, of a job with `repeat`; 0 for any other."""
        return self.record.repeats

    @property
    def repeats_left(self) -> int | None:
        """How many further runs there are after the one that runs, or that comes next; None: nobody has said.

        That is so for a job without `repeat`, and for a series that goes by `until` alone.
        """
        repeat = self.record.repeat

        return None if repeat is None or repeat.times is None else max(0, repeat.times - self.repeats)

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
    def callbacks(self) -> dict[str, str]:
        """The dotted names of the functions that are called when something becomes of it, by option."""
        return self.record.callbacks

    @property
    def callback_ids(self) -> dict[str, str]:
        """The ids of the callbacks that its last run makes, or has made, by option; `fetch_job` brings one.

        One that has done its work is gone after a minute.
        """
        return {kind: callback_id(self.id, self.fence, kind) for kind in self.callbacks}

    @property
    def webhooks(self) -> list[Webhook]:
        """The webhooks that are sent when something becomes of it, in their order."""
        return [each for each in self.record.webhooks if each is not None]

    @property
    def webhook_ids(self) -> dict[str, list[str]]:
        """The ids of the jobs that send what becomes of its last run, or have sent it, by event; in that order.

        `fetch_job` brings one. One that has done its work is gone after a minute.
        """
        found: dict[str, list[str]] = {}

        for number, webhook in enumerate(self.record.webhooks, 1):
            for event in () if webhook is None else webhook.events:
                made = callback_id(self.id, self.fence, EVENTS[event], number)
                found.setdefault(event, []).append(made)

        return found

    @property
    def followed_id(self) -> str | None:
        """The id of the job that this one follows as its callback; None if it is no callback."""
        return None if self.record.followed is None else self.record.followed.job_id

    @property
    def is_queued(self) -> bool:
        """Whether it waited for a worker when the snapshot was taken."""
        return self.status == JobStatus.QUEUED

    @property
    def is_scheduled(self) -> bool:
        """Whether it waited for its moment, or for its next attempt, when the snapshot was taken."""
        return self.status == JobStatus.SCHEDULED

    @property
    def is_deferred(self) -> bool:
        """Whether it waited for the ends of other jobs when the snapshot was taken."""
        return self.status == JobStatus.DEFERRED

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
        """Whether its ttl or deferred_ttl was over before a worker started it, when the snapshot was taken."""
        return self.status == JobStatus.EXPIRED

    def _gone(self) -> NoSuchJobError:
        return gone(self._enqueued_store, self.id)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, JobView):
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
            " `queue.fetch_job(job_id)` makes a handle of it"
        )

    def __repr__(self) -> str:
        status = self.record.fields.get(b"status", b"not enqueued").decode(errors="backslashreplace")

        return f"<Job {self.id} {self.func_name} {status}>"


def gone(store: Store, job_id: str) -> NoSuchJobError:
    return NoSuchJobError(
        f"queue {store.queue!r} has no job {job_id!r}: it never had, it was deleted, or its retention has passed"
    )
