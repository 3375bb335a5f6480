"""Related: the jobs that a job is to wait for, and how jobs of several queues are found by name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, Literal, Self, TypeVar, overload

from aioq.client.parts import part_of
from aioq.client.plain import awaited
from aioq.client.waiting import Waiting
from aioq.store import Store
from aioq.store.relay import relay
from aioq.values.errors import InvalidJobOperation
from aioq.values.states import JobStatus

R_co = TypeVar("R_co", covariant=True)


@part_of("Job")
class Related(Waiting[R_co], Generic[R_co]):
    """The part of a job that knows which jobs it depends on, and comes back with those that depend on it."""

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
        split = [(_id_in(name), *name.partition("@")[1:]) for name in names]
        found: dict[tuple[str, str], Self | None] = {}

        for queue in dict.fromkeys(queue for _, _, queue in split):
            store = Store(own.connection, queue) if queue else own
            ids = [job_id for job_id, _, name in split if name == queue]

            for job_id, record in zip(ids, await store.reads.load(ids), strict=True):
                found[job_id, queue] = None if record is None else type(self)(record, store)

        return [found[job_id, queue] for job_id, _, queue in split]

    @overload
    async def requeue(
        self, *, at_front: bool = False, reset_retries: bool = True, dependents: Literal[False] = False
    ) -> Self: ...

    @overload
    async def requeue(
        self, *, at_front: bool = False, reset_retries: bool = True, dependents: Literal[True]
    ) -> dict[str, str]: ...

    @awaited
    async def requeue(
        self, *, at_front: bool = False, reset_retries: bool = True, dependents: bool = False
    ) -> Self | dict[str, str]:
        """Bring a failed, canceled, stopped or expired job back to its queue.

        Args:
            at_front: put it at the front (default False).
            reset_retries: count its attempts and deliveries anew (default True).
            dependents: with it, bring back the jobs that its last end has canceled or failed by the policies of
                their edges, and those that the ends of these have; they are deferred again (default False). Jobs
                that have ended otherwise, that run or that are gone are left alone.

        Returns:
            This job, with a new snapshot. With `dependents`: the jobs that its end had ended, by their ids, each
            with the state that it has now ("gone": it has no record). Behind the id of a job of another queue
            stands `@<queue>`. At most 200 are there; a worker brings back the others, with its next claim.

        Raises:
            InvalidJobOperation: it is in another state; the text names it.
            NoSuchJobError: it is gone.

        Example:
            >>> await job.requeue(dependents=True)  # doctest: +SKIP
            {'report-7': 'deferred', 'mail-7@mail': 'deferred'}

        """
        store, states = self._enqueued_store, dict[str, str]()

        if dependents:
            (verdict,), states = await requeue_with_dependents(
                store, [self.id], at_front=at_front, reset=reset_retries
            )
        else:
            (verdict,) = await store.changes.requeue([self.id], at_front=at_front, reset=reset_retries)

        if verdict == "gone":
            raise self._gone()

        if verdict != "ok":
            raise InvalidJobOperation(
                f"job {self.id} is {verdict}; only failed, canceled, stopped and expired jobs can be requeued"
            )

        await self._reload("queued")

        return states if dependents else self

    async def _reload(self, status: str) -> None:
        """Take a new snapshot after a change. If the job is gone by now, `status` is its last known state."""
        (record,) = await self._enqueued_store.reads.load([self.id])
        self._renew(record or self.record.as_ended(status))


async def requeue_with_dependents(
    store: Store, ids: Sequence[str], *, at_front: bool, reset: bool, only: JobStatus | None = None
) -> tuple[list[str], dict[str, str]]:
    """Requeue jobs, and with them the dependents that their ends have ended, in whichever queue these are.

    Returns:
        For each id: ok, gone, or the status that does not allow it. And the dependents, `<id>@<queue>` if one is
        of another queue, each with the state that it has now, or "gone".

    """
    verdicts, states = await store.changes.requeue_with_dependents(ids, at_front=at_front, reset=reset, only=only)
    elsewhere = [name for name, state in states.items() if not state]

    if not elsewhere:
        return verdicts, states

    await relay(store)

    for queue in dict.fromkeys(name.partition("@")[2] for name in elsewhere):
        other, names = Store(store.connection, queue), [name for name in elsewhere if name.endswith(f"@{queue}")]
        await relay(other)  # there they have said that they wait again
        records = await other.reads.load([_id_in(name) for name in names])
        found = {
            name: "gone" if record is None else str(record.status)
            for name, record in zip(names, records, strict=True)
        }
        states |= found

    return verdicts, {"".join((_id_in(name), *name.partition("@")[1:])): state for name, state in states.items()}


def _id_in(name: str) -> str:
    """The id in the name of a dependent: `<id>`, or `<id>#<edition>@<queue>`."""
    return name.partition("@")[0].partition("#")[0]
