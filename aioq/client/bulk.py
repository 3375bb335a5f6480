"""Bulk: what is done to many jobs, a chunk in each round trip: requeue and delete."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from typing import Any

from aioq.client.given import id_of, ids_of
from aioq.client.job import Job
from aioq.client.view import JobView, gone
from aioq.store import CALLBACKS, Callbacks, Store
from aioq.store.acting import act_of
from aioq.values.errors import InvalidJobOperation, InvalidType
from aioq.values.states import JobStatus

#: Jobs that one round trip moves, or brings the records of.
CHUNK = 500


async def requeue(
    store: Store,
    jobs: JobView | str | Iterable[JobView | str],
    *,
    at_front: bool,
    reset: bool,
    only: JobStatus | None = None,
) -> Job[Any] | dict[str, str]:
    """Bring jobs back: one, which is given as a new snapshot, or several, each with what has become of it.

    Args:
        store: their queue.
        jobs: a job or its id; or several.
        at_front: put them at the front.
        reset: count their attempts and deliveries anew.
        only: the state that they must be in; None: any that allows it.

    Raises:
        InvalidJobOperation: the one job is in a state that does not allow it.
        NoSuchJobError: the queue does not have it.
        InvalidType: it is neither a job, nor an id, nor several of them.

    """
    if isinstance(jobs, str | JobView):
        return await _requeue_one(store, jobs, at_front=at_front, reset=reset, only=only)

    _check_several(jobs)
    ids = list(dict.fromkeys(ids_of(jobs, store)))
    verdicts: list[str] = []
    act = act_of("requeue")

    for start in range(0, len(ids), CHUNK):
        chunk = ids[start : start + CHUNK]
        verdicts += await store.changes.requeue(chunk, at_front=at_front, reset=reset, only=only, act=act)

    return dict(zip(ids, verdicts, strict=True))


async def requeue_all(
    store: Store, state: JobStatus, *, at_front: bool, reset: bool
) -> AsyncIterator[list[tuple[str, str]]]:
    """Bring back the jobs that are in a state now, in the order of its registry. One that comes meanwhile is left.

    Args:
        store: their queue.
        state: the state.
        at_front: put them at the front.
        reset: count their attempts and deliveries anew.

    Yields:
        The ids of a chunk, each with its verdict.

    """
    act = act_of("requeue", f"all that were {state}")

    async for ids in store.reads.listing(state, size=CHUNK, is_closed=True):
        verdicts = await store.changes.requeue(ids, at_front=at_front, reset=reset, only=state, act=act)

        yield list(zip(ids, verdicts, strict=True))


async def delete_all(store: Store, state: JobStatus | Callbacks, act: str = "") -> int:
    """Delete the jobs that are in a state, or the callbacks that wait or run; how many there were.

    Args:
        store: their queue.
        state: the state.
        act: what this is a part of, for the audit.

    """
    removed, before = 0, -1

    while removed > before:  # again, for what has come meanwhile where the listing had been already
        before = removed

        async for ids in store.reads.listing(state, size=CHUNK):
            removed += await store.changes.delete(ids, None if state == CALLBACKS else state, act=act)

    return removed


def _check_several(jobs: object) -> None:
    if isinstance(jobs, bytes) or not isinstance(jobs, Iterable):
        raise InvalidType(f"jobs={jobs!r}: expected a job, its id, or a list of them, not {type(jobs).__name__}")


async def _requeue_one(
    store: Store, job: JobView | str, *, at_front: bool, reset: bool, only: JobStatus | None
) -> Job[Any]:
    job_id = id_of(job, store)
    (verdict,) = await store.changes.requeue([job_id], at_front=at_front, reset=reset, only=only)

    if verdict not in ("ok", "gone"):
        refused = "; only failed, canceled, stopped and expired jobs can be requeued"

        raise InvalidJobOperation(
            f"job {job_id} is {verdict}{refused if only in (None, verdict) else f', not {only}'}"
        )

    (record,) = await store.reads.load([job_id])

    if verdict == "gone" or record is None:
        raise gone(store, job_id)

    return Job(record, store)
