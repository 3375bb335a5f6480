"""Filling: members are listed in their group first, and enqueued then. So no group ends before its last member."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from aioq.client.call import Call
from aioq.client.job import Job
from aioq.client.producer import Producer
from aioq.store import Store
from aioq.values.errors import NoSuchGroupError, ServerError
from aioq.values.group import Place, is_set, read_place
from aioq.values.ids import new_id

#: How many records one round trip looks into.
CHUNK = 1000


class Member(NamedTuple):
    """A member of a group.

    Args:
        number: where it stands among the members, from 0.
        job_id: its job.
        store: the queue of the job.

    """

    number: int
    job_id: str
    store: Store


class Stores:
    """The queues of the members of a group.

    Args:
        home: the queue that keeps the group.

    """

    __slots__ = ("_found", "_home")

    def __init__(self, home: Store) -> None:
        self._home = home
        self._found = {"": home}

    def members(self, first: int, entries: Iterable[str]) -> list[Member]:
        """The members that stand there in the list of the group: as `<id>`, or `<id>@<queue>` for other queues."""
        return [self._member(number, *entry.partition("@")[::2]) for number, entry in enumerate(entries, first)]

    def _member(self, number: int, job_id: str, queue: str) -> Member:
        if queue not in self._found:
            self._found[queue] = Store(self._home.connection, queue, self._home.exceptions)

        return Member(number, job_id, self._found[queue])


def by_store(members: Iterable[Member]) -> dict[Store, list[Member]]:
    """Members by their queues."""
    found = defaultdict[Store, list[Member]](list)

    for each in members:
        found[each.store].append(each)

    return found


def no_such_group(store: Store, name: str) -> NoSuchGroupError:
    """The error of a group that is gone, or was never stored."""
    return NoSuchGroupError(f"queue {store.queue!r} has no group {name!r}")


async def enqueue_members(
    name: str, token: str, home: Store, producer: Producer, calls: Sequence[Call], *, more: bool
) -> list[Job[Any]]:
    """Put calls into a queue, as members of a group.

    Args:
        name: of the group.
        token: of whoever adds them.
        home: the queue of the group.
        producer: of the queue of the jobs.
        calls: checked calls.
        more: further calls follow, so the group does not end before.

    Raises:
        NoSuchGroupError: there is no such group. Nothing is enqueued.
        Others: as `Queue.enqueue_many`. What was not enqueued counts as gone.

    """
    store, ids = producer.store, [call.options.job_id or new_id() for call in calls]
    end = "" if store.queue == home.queue else f"@{store.queue}"
    first = await home.groups.add(name, token, [job_id + end for job_id in ids])

    if first is None:
        raise no_such_group(home, name)

    end = "" if store.queue == home.queue else f"@{home.queue}"

    for number, (call, job_id) in enumerate(zip(calls, ids, strict=True), first):
        call.job_id, call.group = job_id, f"{name}/{number}{end}"

    try:
        jobs = await producer.enqueue_prepared(calls)
        absent = [first + at for at, (job, job_id) in enumerate(zip(jobs, ids, strict=True)) if job.id != job_id]
    except ServerError:
        raise  # nobody knows what was stored; a worker looks later, see close_overdue
    except Exception:
        members = [Member(number, job_id, store) for number, job_id in enumerate(ids, first)]
        await home.groups.close(name, token, await find_absent(name, home, members))

        raise

    if not more or absent:
        await home.groups.close(name, "none" if more else token, absent)

    return jobs


def _place(name: str, home: Store, member: Member) -> Place:
    return Place(name, member.number, "" if member.store.queue == home.queue else home.queue)


async def find_absent(name: str, home: Store, members: Sequence[Member]) -> list[int]:
    """The places of those of these members that their queue does not have, or not as members of the group."""
    absent: list[int] = []

    for at in range(0, len(members), CHUNK):
        some = members[at : at + CHUNK]
        found = await home.connection.calls(
            [("HGET", each.store.keys.job + each.job_id.encode(), "after") for each in some]
        )
        absent += [
            each.number
            for each, after in zip(some, found, strict=True)
            if read_place(after or b"") != _place(name, home, each)
        ]

    return absent


async def close_overdue(home: Store, name: str) -> None:
    """Go on for those who have announced members and were not heard of since. For workers."""
    bits, stores, members = await home.groups.over(name), Stores(home), list[Member]()

    while page := await home.groups.members(name, len(members)):
        members += stores.members(len(members), page)

    left = [each for each in members if not is_set(bits, each.number)]
    await home.groups.close(name, "", await find_absent(name, home, left))
