"""Group: jobs that belong together. It ends when all of them have ended, whatever their ends."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any, Generic, NoReturn, Protocol, TypeVar, cast

from aioq.client.call import Call
from aioq.client.filling import Member, by_store, enqueue_members
from aioq.client.group_ends import Ends
from aioq.client.job import Job
from aioq.client.members import CHUNK
from aioq.client.plain import awaited
from aioq.client.producer import EnqueueData, Producer
from aioq.client.sequel import Sequel, record_of
from aioq.client.waits import current
from aioq.store import Store
from aioq.store.acting import act_of
from aioq.store.net.command import Argument
from aioq.store.relay import relay
from aioq.values.durations import Duration, retention_ms
from aioq.values.errors import DuplicateGroupError, InvalidInput, InvalidJobOperation, InvalidType, NoCurrentJob
from aioq.values.group import KEPT_MS, SequelKind, is_set, newly_set, read_place
from aioq.values.ids import check_id, new_id
from aioq.values.rq_names import GROUP, GROUP_ARGUMENTS, tell_rq_arguments, tell_rq_names
from aioq.values.states import JobStatus

R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)

#: How many members are canceled at the same time.
CHANGES_AT_ONCE = 100


class HasProducer(Protocol):
    """A Queue."""

    @property
    def producer(self) -> Producer: ...


@tell_rq_names(GROUP)
class Group(Ends[R_co], Generic[R_co]):
    """Jobs that belong together, and a job that is made when the last of them has ended.

    A Group comes from `Queue.enqueue_group`, from `Group.fetch`, or from `Group.create` if its members are added
    in several calls. Methods that ask the server are awaited.

    A member has ended when its job has, whatever its end: it finished, failed with no attempt left, was canceled,
    stopped or deleted, or waited for longer than its `ttl`. A requeue of a member opens the group again.
    """

    def __init__(self, name: str, queue: HasProducer) -> None:
        super().__init__(name, queue.producer.store)
        #: The Queue that keeps the group, and gets the job that is made at its end.
        self.queue = queue
        self._token = new_id()
        self._is_new = False
        self._kept_ms = KEPT_MS
        self._sequels: dict[SequelKind, dict[bytes, Argument]] = {}

    @classmethod
    @tell_rq_arguments(GROUP_ARGUMENTS)
    def create(
        cls,
        queue: HasProducer,
        name: str | None = None,
        *,
        on_complete: Sequel | None = None,
        on_failure: Sequel | None = None,
        ttl: Duration = KEPT_MS // 1000,
    ) -> Group[Any]:
        """A group without members. Nothing is written before the first `enqueue_many`.

        Args:
            queue: the Queue that keeps it.
            name: of the characters A-Z a-z 0-9 _ - (default: a new one).
            on_complete: a call, or a function without arguments. It becomes a job of the queue when the last
                member has ended, made by the same script. `Group.current()` is the group inside of that job.
            on_failure: the same, in the place of `on_complete` if a member has ended without finishing.
            ttl: how long the group is kept after its end: seconds, a timedelta or a text such as "1h" (default: a
                day; -1: for ever). Its jobs have retentions of their own.

        Raises:
            InvalidInput: a value cannot be used.

        Example:
            >>> group = Group.create(queue, on_complete=summarise)  # doctest: +SKIP
            >>> await group.enqueue_many(queue, [fetch.call(url) for url in urls])  # doctest: +SKIP

        """
        group = Group[Any](new_id() if name is None else check_id(name, "name"), _queue(queue))
        group._is_new, group._kept_ms = True, max(retention_ms(ttl, "ttl"), -1)
        given: dict[SequelKind, Sequel | None] = {"complete": on_complete, "failure": on_failure}
        group._sequels = {
            kind: record_of(sequel, f"on_{kind}", queue.producer)
            for kind, sequel in given.items()
            if sequel is not None
        }

        return group

    @classmethod
    @tell_rq_arguments(GROUP_ARGUMENTS)
    @awaited
    async def fetch(cls, name: str, queue: HasProducer) -> Group[Any]:
        """The group of this name.

        Raises:
            NoSuchGroupError: the queue has none.

        """
        group = Group[Any](check_id(name, "name"), _queue(queue))
        await group._load()

        return group

    @classmethod
    @tell_rq_arguments(GROUP_ARGUMENTS)
    @awaited
    async def all(cls, queue: HasProducer) -> list[Group[Any]]:
        """All groups that a queue keeps, those first whose retention is over first."""
        groups = _queue(queue).producer.store.groups

        return [Group(name, queue) for name in await groups.names() if await groups.load(name) is not None]

    @classmethod
    def current(cls) -> Group[Any]:
        """The group of the job that this code runs in: that it is a member of, or that it was made for.

        Raises:
            NoCurrentJob: it is called outside of a job.
            InvalidJobOperation: the job has no group.

        Example:
            >>> async def summarise():
            ...     return sum(await Group.current().results())

        """
        job = current.get()

        if not isinstance(job, Job):
            raise NoCurrentJob("no job runs here; Group.current() is for the function of a job")

        if job.group_id is None:
            raise InvalidJobOperation(f"job {job.id} has no group")

        place, queue = read_place(job.record.fields.get(b"after", b"")), job.queue

        if place is not None and place.home:
            queue = queue.of(Store(queue.connection, place.home))

        return Group[Any](job.group_id, queue)

    # Members

    @tell_rq_arguments(GROUP_ARGUMENTS)
    @awaited
    async def enqueue_many(
        self, queue: HasProducer, calls: Iterable[EnqueueData[R]], *, more: bool = False
    ) -> list[Job[R]]:
        """Put calls into a queue, as members of this group: all are checked first, then sent in their order.

        Args:
            queue: the Queue of the jobs, on the same server; any one, not only that which keeps the group.
            calls: what `prepare_data` and `call` return. None at all: an empty group ends at once.
            more: further calls follow, so the group does not end before one without it (default False). If none
                comes within five minutes, the group has the members that it has.

        Raises:
            InvalidInput: one of the calls cannot be used. Nothing was written.
            DuplicateGroupError: the queue has another group of this name. Nothing was written.
            NoSuchGroupError: the group is gone. Nothing was written.
            DuplicateJobError: ids of live jobs, which count as gone; the other calls were enqueued.
            NotDurable: as for `Queue.enqueue_many`.

        """
        prepared = self.check_queue(queue).prepare_many(calls)

        return await self.enqueue_prepared(queue, prepared, more=more)

    async def enqueue_prepared(
        self, queue: HasProducer, prepared: Sequence[Call], *, more: bool
    ) -> list[Job[Any]]:
        """As `enqueue_many`, with calls that were checked before. For code without an event loop."""
        groups = self._store.groups

        if self._is_new:
            if not await groups.open(self.name, self._token, self._kept_ms, self._sequels):
                raise DuplicateGroupError(
                    f"queue {self._store.queue!r} has another group {self.name!r}; `Group.fetch` gives that one"
                )

            self._is_new = False

        return await enqueue_members(self.name, self._token, self._store, queue.producer, prepared, more=more)

    def check_queue(self, queue: HasProducer) -> Producer:
        """The producer of a queue whose jobs can be members. For code without an event loop."""
        store = _queue(queue).producer.store

        if store.connection.place != self._store.connection.place:
            raise InvalidInput(
                f"queue={queue!r}: expected a queue of the server and prefix that have group {self.name!r}"
            )

        return queue.producer

    # Ends

    # Changes

    @awaited
    async def cancel(self) -> int:
        """Cancel the members that have not ended; how many there were. The group ends with the last of them."""
        await self._load()
        bits = await self._store.groups.over(self.name)
        left = [each for each in await self._members() if not is_set(bits, each.number)]
        left.reverse()  # what runs comes last, so that its end lets none of the others begin
        canceled, act = 0, act_of("cancel", f"group {self.name}")

        for at in range(0, len(left), CHANGES_AT_ONCE):
            some = left[at : at + CHANGES_AT_ONCE]
            verdicts = await asyncio.gather(*(each.store.changes.cancel(each.job_id, act=act) for each in some))
            canceled += sum(verdict == "ok" for verdict, _ in verdicts)

        await self._relay(left)

        return canceled

    @awaited
    async def retry_failed(self, *, at_front: bool = False, reset_retries: bool = True) -> int:
        """Bring the failed members back to their queues; how many there were. The group is open again.

        When the last of them has ended, the group ends anew, and its job is made anew.

        Args:
            at_front: put them at the front (default False).
            reset_retries: count their attempts and deliveries anew (default True).

        """
        await self._load()
        failed = newly_set(await self._store.groups.over(self.name, "failed"), b"")
        members = await self._members_at(failed)
        moved, act = 0, act_of("requeue", f"group {self.name}")

        for at in range(0, len(members), CHUNK):
            for store, some in by_store(members[at : at + CHUNK]).items():
                ids = [each.job_id for each in some]
                verdicts = await store.changes.requeue(
                    ids, at_front=at_front, reset=reset_retries, only=JobStatus.FAILED, act=act
                )
                moved += verdicts.count("ok")

        await self._relay(members)

        return moved

    async def _relay(self, members: Sequence[Member]) -> None:
        """What has happened to these members in other queues, the group knows when this returns."""
        for store in by_store(members):
            if store is not self._store:
                await relay(store)

    @awaited
    async def delete(self) -> None:
        """Remove what is kept of the group. Its jobs stay. Raises NoSuchGroupError."""
        await self._load()
        await self._store.groups.delete(self.name)

    # What these have in common

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Group):
            return NotImplemented

        own, its = self._store, other._store

        return (self.name, own.keys, own.connection.place) == (other.name, its.keys, its.connection.place)

    def __hash__(self) -> int:
        return hash((self.name, self._store.queue))

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"{self!r} is a handle with a connection to the server, and is not pickled. Pass its name")

    def __repr__(self) -> str:
        return f"<Group {self.name} of {self._store.queue}>"


def _queue(queue: object) -> HasProducer:
    if not isinstance(getattr(queue, "producer", None), Producer):
        kind = type(queue)
        raise InvalidType(f"queue: expected a Queue, not {kind.__module__}.{kind.__qualname__}")

    return cast("HasProducer", queue)
