"""Jobs as users give them: by a handle, or by an id."""

from __future__ import annotations

from collections.abc import Iterable

from aioq.client.view import JobView
from aioq.store import Store
from aioq.values.errors import InvalidJobOperation, InvalidType
from aioq.values.ids import lookup_id


def id_of(job: JobView | str, store: Store) -> str:
    """The id of a job of one queue, which is given by a handle or by its id.

    Raises:
        InvalidType: it is neither.
        InvalidJobOperation: it is a job of another queue, which may have a job with the same id.

    """
    if not isinstance(job, JobView):
        return lookup_id(job)

    if job.origin is not None and job.origin != store.queue:
        raise InvalidJobOperation(f"{job!r} is not a job of queue {store.queue!r}")

    return job.id


def ids_of(jobs: Iterable[JobView | str], store: Store) -> list[str]:
    """As `id_of`, for several.

    Raises:
        InvalidType: it is one job, one text, or no collection.

    """
    if isinstance(jobs, str | bytes | JobView) or not isinstance(jobs, Iterable):
        raise InvalidType(f"job_ids={jobs!r}: expected a list of ids or jobs")

    return [id_of(job, store) for job in jobs]
