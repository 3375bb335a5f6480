"""Explained: why a job does not run, or how it ended."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

from aioq.client.parts import part_of
from aioq.client.plain import awaited
from aioq.client.snapshot import Snapshot
from aioq.store import Directory, Store
from aioq.values.errors import ServerError
from aioq.values.explaining import explain
from aioq.values.explanation import Explanation
from aioq.values.facts import JobFacts, LiveWorker
from aioq.values.states import JobStatus


@part_of("Job")
class Explained(Snapshot):
    """The part of a job that explains why it does not run, or how it ended."""

    __slots__ = ()

    @awaited
    async def explain(self) -> Explanation:
        """Why the job does not run, or how it ended, as the server knows it now. `print` shows it.

        It only reads, in one call; for a job that waits for a worker it also asks what the workers tell of
        themselves. Neither the arguments nor the function are loaded. The snapshot stays as it is.

        Returns:
            An Explanation with at least one reason, also for a job that is gone or damaged.

        Raises:
            InvalidJobOperation: it was never enqueued.

        Example:
            >>> print(await job.explain())  # doctest: +SKIP
            job a1b2 of queue mail is queued:
            - No live worker serves queue mail.
              Start one: `aioq worker mail`
            - It is the next one.

        """
        return await explain_job(self._enqueued_store, self.id, self.record.fields.get(b"nonce", b""))


async def explain_job(store: Store, job_id: str, nonce: bytes = b"") -> Explanation:
    """Why a job does not run, or how it ended.

    Args:
        store: its queue.
        job_id: the job, whether it is there or not.
        nonce: that of the call which chose the id, if it is known.

    """
    facts = await store.reads.explain(job_id, nonce)

    if facts.names and facts.record.is_in(JobStatus.QUEUED):
        facts = await _with_workers(store, facts)

    return explain(facts)


async def _with_workers(store: Store, facts: JobFacts) -> JobFacts:
    """The facts, and what the workers of the queue tell of themselves.

    That has no key of the queue, so no script reads both. Where it is away or refused, it is not known.
    """
    with suppress(ServerError):
        found = await Directory(store.connection).described(facts.names)
        workers = [
            LiveWorker(each.name, each.state, each.running, each.concurrency, tuple(each.allow)) for each in found
        ]

        return replace(facts, described=workers)

    return facts
