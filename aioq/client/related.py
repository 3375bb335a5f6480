"""Related: the jobs that a job is to wait for, and how jobs of several queues are found by name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, Self, TypeVar

from aioq.client.parts import part_of
from aioq.client.waiting import Waiting
from aioq.store import Store

R_co = TypeVar("R_co", covariant=True)


@part_of("Job")
class Related(Waiting[R_co], Generic[R_co]):
    """The part of a job that knows which jobs it depends on."""

    __slots__ = ()

    @property
    def dependency_ids(self) -> list[str]:
        """The ids of the jobs that it was told to wait for."""
        return [name.partition("@")[0] for _, name in self.record.edges]

    async def cancel_dependents(self) -> None:
        """Cancel all jobs that wait for this one, the last ones first. For `cancel` and the command line."""
        for each in reversed(await self._all_dependents()):
            await each._enqueued_store.changes.cancel(each.id)  # noqa: SLF001 - one that has ended stays as it is

    async def _all_dependents(self) -> list[Self]:
        """The jobs that wait for this one, and those that wait for these; each after one that it waits for."""
        found: dict[tuple[str | None, str], Self] = {}
        asked: list[Self] = [self]

        while asked:
            job = asked.pop()

            named = await job._named(await job._enqueued_store.reads.dependents(job.id))  # noqa: SLF001
            new = [each for each in named if each is not None and (each.origin, each.id) not in found]
            found |= {(each.origin, each.id): each for each in new}
            asked += new

        return list(found.values())

    async def _named(self, names: Sequence[str]) -> list[Self | None]:
        """The jobs with these names, in order: ids of the queue, or `<id>@<queue>` for jobs of others."""
        own = self._enqueued_store
        split = [name.partition("@") for name in names]
        found: dict[tuple[str, str], Self | None] = {}

        for queue in dict.fromkeys(queue for _, _, queue in split):
            store = Store(own.connection, queue) if queue else own
            ids = [job_id for job_id, _, name in split if name == queue]

            for job_id, record in zip(ids, await store.reads.load(ids), strict=True):
                found[job_id, queue] = None if record is None else type(self)(record, store)

        return [found[job_id, queue] for job_id, _, queue in split]
