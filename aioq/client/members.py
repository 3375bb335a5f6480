"""Members: the jobs of a group, as a handle on the group finds them."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from typing import Generic, TypeVar

from aioq.client.filling import Member, Stores, by_store, no_such_group
from aioq.client.job import Job
from aioq.client.parts import part_of
from aioq.client.plain import awaited
from aioq.store import Store
from aioq.store.groups import StoredGroup

R_co = TypeVar("R_co", covariant=True)

#: How many members one round trip brings the records of.
CHUNK = 500


@part_of("Group")
class Members(Generic[R_co]):
    """The part of a group that finds its members.

    Args:
        name: of the group.
        store: the queue that keeps it.

    """

    def __init__(self, name: str, store: Store) -> None:
        #: The name of the group in its queue.
        self.name = name
        self._store = store
        self._stores = Stores(store)

    @awaited
    async def job_ids(self) -> list[str]:
        """The ids of all members, in order."""
        await self._load()

        return [each.job_id for each in await self._members()]

    @awaited
    async def jobs(self) -> list[Job[R_co] | None]:
        """Snapshots of all members, in order; None for each whose job is gone."""
        await self._load()
        found: list[Job[R_co] | None] = []

        async for page in self._pages(await self._members()):
            found += [job for _, job in page]

        return found

    async def _load(self) -> StoredGroup:
        if (found := await self._store.groups.load(self.name)) is None:
            raise no_such_group(self._store, self.name)

        return found

    async def _members(self) -> list[Member]:
        listed: list[Member] = []

        while page := await self._store.groups.members(self.name, len(listed)):
            listed += self._stores.members(len(listed), page)

        return listed

    async def _members_at(self, numbers: Sequence[int]) -> list[Member]:
        """The members with these places, which are in order."""
        found: list[Member] = []
        at = 0

        while at < len(numbers):
            first, end = numbers[at], at + 1

            while end < len(numbers) and numbers[end] - numbers[end - 1] < CHUNK:
                end += 1

            wanted = set(numbers[at:end])
            page = await self._store.groups.members(self.name, first, numbers[end - 1] - first + 1)
            found += [each for each in self._stores.members(first, page) if each.number in wanted]
            at = end

        return found

    async def _pages(self, members: Sequence[Member]) -> AsyncGenerator[list[tuple[Member, Job[R_co] | None]]]:
        for at in range(0, len(members), CHUNK):
            some = members[at : at + CHUNK]
            found: dict[int, Job[R_co] | None] = {}

            for store, those in by_store(some).items():
                records = await store.reads.load([each.job_id for each in those])

                for each, record in zip(those, records, strict=True):
                    found[each.number] = None if record is None else Job(record, store)

            yield [(each, found[each.number]) for each in some]
