"""What a job depends on: jobs of its queue or of others on the same server, and never itself."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from aioq.client.call import Call
from aioq.client.view import JobView
from aioq.store import Store
from aioq.store.outbox import GONE, TAKES, UNKNOWN, WAITS, End
from aioq.store.relay import tell
from aioq.values.dependency import POLICIES, Edge, Edges
from aioq.values.errors import InvalidInput, NoSuchJobError
from aioq.values.options import JobOptions
from aioq.values.result_of import check_results


def with_edges(call: Call, store: Store) -> Call:
    """A call whose edges say in which queue each job is.

    Raises:
        InvalidInput: one names a job of another server, one that was never enqueued, or the job itself. Or an
            argument is the result of a job that is not among them.

    """
    edges = call.options.edges
    assert edges is not None
    queues = [_queue_of(each, call, store) for each in edges.edges]
    results = call.options.results

    if not any(queues) and not edges.at_front and results is None:
        return call  # which most are: to make another one takes longer than all else here

    if results is not None:
        check_results(results, {each.job_id for each in edges.edges})

    taken = {job_id for _, job_id in results or ()}
    found = tuple(
        edge._replace(queue=queue, takes=edge.job_id in taken)
        for edge, queue in zip(edges.edges, queues, strict=True)
    )
    changed: dict[str, Any] = {"edges": Edges(found, edges.at_front)} | (
        {"at_front": True} if edges.at_front else {}
    )

    return replace(call, options=JobOptions(**changed).over(call.options))


def _queue_of(edge: Edge, call: Call, store: Store) -> str:
    """As `Edge.queue`."""
    queue, job = "", edge.job

    # Most were enqueued just now by this same queue, and need no comparison of names.
    if isinstance(job, JobView) and job._store is not store:  # noqa: SLF001 - the package's own
        if job.origin is None:
            raise InvalidInput(f"depends_on: {job!r} was never enqueued; enqueue it before")

        if job.server != store.connection.identity:
            raise InvalidInput(
                f"depends_on: {job!r} has another server, prefix or secret than queue {store.queue!r}; a job can"
                " depend on jobs of its own server only"
            )

        queue = "" if job.origin == store.queue else job.origin

    if not queue and edge.job_id == (call.options.job_id or call.job_id):
        raise InvalidInput(f"depends_on: job {edge.job_id} cannot depend on itself")

    return queue


def orphan(job_id: str, parent: str) -> NoSuchJobError:
    """The error of a job that was to depend on one that is not in its queue."""
    return NoSuchJobError(
        f"job {job_id} is to depend on job {parent}, which is not in its queue. Enqueue that one before. Nothing"
        " was enqueued"
    )


async def refuse_orphans(store: Store, calls: Sequence[Call]) -> bool:
    """Refuse calls of which one is to depend on a job that is neither in the queue nor before it among them.

    The server refuses each request by itself. A call may take several, so all that it asks for is looked at first.

    Returns:
        Whether one is to depend on another one of them.

    Raises:
        NoSuchJobError: there is such a call.

    """
    known: set[str] = set()
    asked: dict[str, str] = {}  # who asks, by the job that is asked for
    is_inner = False

    for call in calls:
        job_id = call.options.job_id or call.job_id or ""

        for edge in () if call.options.edges is None else call.options.edges.edges:
            if edge.job_id in known:
                is_inner = True
            elif not edge.queue:
                asked.setdefault(edge.job_id, job_id)

        known.add(job_id)

    for parent, is_there in zip(asked, await store.reads.exist(list(asked)), strict=True):
        if not is_there:
            raise orphan(asked[parent] or "without an id", parent)

    return is_inner


async def tell_others(store: Store, jobs: Sequence[tuple[str, Edges | None]]) -> None:
    """Let jobs of other queues know of new jobs of this one that depend on them.

    Raises:
        NoSuchJobError: one of the other jobs is not there. The jobs that were to depend on it have been removed.

    """
    by_queue = defaultdict[str, list[End]](list)

    for job_id, edges in jobs:
        for edge in () if edges is None else edges.edges:
            if edge.queue:
                policy = POLICIES.index(edge.policy) + (TAKES if edge.takes else 0)
                by_queue[edge.queue].append(End(job_id, edge.name, policy, WAITS))

    lost: list[tuple[End, str]] = []

    for queue, ends in by_queue.items():
        answers = await tell(store, Store(store.connection, queue), ends, gone=UNKNOWN)
        lost += [(end, queue) for end, answer in zip(ends, answers, strict=True) if answer == GONE]

    for end, queue in lost:
        raise NoSuchJobError(
            f"job {end.dependent} is to depend on job {end.parent.partition('@')[0]}, which is not in queue"
            f" {queue!r}. It was not enqueued"
        )
