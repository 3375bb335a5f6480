"""What is wrong with queues."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple, TypeVar

from aioq.client.queue import Queue
from aioq.doctor.kinds import KINDS
from aioq.store import Connection, Store
from aioq.store.examination import CHUNK, Examination, Step, Subject, read_findings, scan
from aioq.store.examination import Finding as Found
from aioq.store.format import read_format, refuse_newer
from aioq.values.errors import ServerError, ServerUnreachable, ServerUnsuitable

T = TypeVar("T")

#: How often a repair is repeated. One thing may have several faults, and a repair fixes one at a time.
ROUNDS = 6

#: Queues that are examined side by side, and calls of `examine.lua` in one round trip.
ABREAST = 100
CALLS_PER_TRIP = 25

#: The server's errors for a lane that was removed, or lost its group, since it was seen.
_GONE = ("no such key", "NOGROUP")


class Finding(NamedTuple):
    """One thing that is wrong.

    Args:
        queue: the queue's name.
        kind: a word of `KINDS`; it stays the same from version to version.
        name: the job, entry, worker or key.
        words: what is wrong with it.
        repaired: whether it was repaired.

    """

    queue: str
    kind: str
    name: str
    words: str
    repaired: bool = False

    def __str__(self) -> str:
        return f"{self.queue}: {self.kind} {self.name}: {self.words}" + " (repaired)" * self.repaired


class Examined(NamedTuple):
    """A queue that was examined.

    Args:
        name: the queue's name.
        listed: whether it is on the list of queues; None if that is unknown.
        jobs: how many jobs were examined.
        findings: what is wrong, or was wrong and is repaired now.
        error: why the examination failed or stopped early; None if it was complete.
        format: the number of the format in which the queue is stored; None if that could not be told.

    """

    name: str
    listed: bool | None
    jobs: int
    findings: list[Finding]
    error: ServerError | None = None
    format: int | None = None


async def examine(
    queue: Queue, *, repair: bool = False, advance: Callable[[int], None] | None = None
) -> list[Finding]:
    """Examine everything stored for a queue, while producers and workers go on.

    One script reads each thing together with everything that must agree with it, so a change under way is no
    finding. Nothing is written without `repair`. If a key has the wrong type, only that is reported.

    Args:
        queue: the queue.
        repair: repair the findings. No job is deleted, and no key that aioq does not know.
        advance: called with the number of jobs examined since the last call.

    Returns:
        What is wrong, or was wrong and is repaired now; usually an empty list.

    Raises:
        ServerError: the server cannot be reached, or refuses.

    Example:
        >>> for finding in await examine(Queue("mail")):  # doctest: +SKIP
        ...     print(finding)

    """
    (found,) = await examine_queues(queue.connection, [queue.name], repair=repair, advance=advance)

    if found.error is not None:
        raise found.error

    return found.findings


async def examine_queues(
    connection: Connection,
    names: Sequence[str],
    *,
    repair: bool = False,
    advance: Callable[[int], None] | None = None,
    finished: Callable[[], None] | None = None,
) -> list[Examined]:
    """Examine many queues as `examine` does one. They share round trips and one scan of all keys.

    Args:
        connection: the server, or the Cluster.
        names: the queues.
        repair: repair the findings.
        advance: called with the number of jobs examined since the last call.
        finished: called after each queue.

    Returns:
        The result for each queue, in order. A queue has an error if its server of a Cluster is away, or if the
        server refuses the examination.

    Raises:
        ServerError: the single server, or every server of the Cluster, cannot be reached.

    """
    examinees = [_Examinee(connection, name) for name in names]
    groups = await connection.by_server([each.store.keys.job for each in examinees])
    round_ = _Round(connection, repair, advance or _ignore, finished or _ignore)
    await asyncio.gather(*(round_.visit(server, [examinees[at] for at in mine]) for server, mine in groups))

    return [each.report() for each in examinees]


class _Examinee:
    """A queue while it is examined."""

    def __init__(self, connection: Connection, name: str) -> None:
        self.name = name
        self.store = Store(connection, name)
        self.examination = Examination(self.store.keys)
        self.keys: set[bytes] = set()  # the existing keys of those that a queue has once
        self.found: dict[tuple[str, str], Found] = {}
        self.jobs = 0
        self.listed: bool | None = None
        self.error: ServerError | None = None
        self.format: int | None = None

    @property
    def is_blocked(self) -> bool:
        """Whether further examination is useless."""
        is_wrong = any(kind == "wrong-type" and not each.repaired for (kind, _), each in self.found.items())

        return is_wrong or self.error is not None

    def report(self) -> Examined:
        order = list(KINDS)
        findings = sorted(
            (Finding(self.name, *each) for each in self.found.values()),
            key=lambda each: (order.index(each.kind), each.name),
        )

        return Examined(self.name, self.listed, self.jobs, findings, self.error, self.format)


#: The subjects to examine in each queue.
_Pages = Iterable[tuple[_Examinee, Sequence[Subject]]]


class _Round:
    """One examination of many queues.

    Args:
        connection: the server, or the Cluster.
        repair: repair what is found.
        advance, finished: as for `examine_queues`.

    """

    def __init__(
        self, connection: Connection, repair: bool, advance: Callable[[int], None], finished: Callable[[], None]
    ) -> None:
        self._connection = connection
        self._repair = repair
        self._advance = advance
        self._finished = finished
        self._list_is_away = False

    async def visit(self, server: Connection, examinees: Sequence[_Examinee]) -> None:
        """Examine the queues of one server."""
        try:
            for some in _in_groups(examinees, ABREAST):
                await self._read_formats(some)
                await self._look((each, each.examination.types()) for each in some if not each.is_blocked)

            await self._look_at_keys(server, examinees)

            for some in _in_groups(examinees, ABREAST):
                await self._look_at_members([each for each in some if not each.is_blocked])
                await self._look_at_list(some)

                for _ in some:
                    self._finished()
        except ServerUnreachable as error:
            if not self._connection.is_cluster:
                raise

            for each in examinees:
                each.error = each.error or error

    async def _read_formats(self, examinees: Sequence[_Examinee]) -> None:
        """The formats in which the queues are stored. One that this version cannot read is not looked at."""
        replies = await self._connection.each([("GET", each.store.keys.format) for each in examinees])

        for each, reply in zip(examinees, replies, strict=True):
            if not isinstance(reply, ServerError):  # else the key has the wrong type, which is found next
                each.format = read_format(reply)

                try:
                    refuse_newer(each.name, each.format)
                except ServerUnsuitable as error:
                    each.error = error

    async def _look_at_keys(self, server: Connection, examinees: Sequence[_Examinee]) -> None:
        """Examine all keys of the queues in one scan of the server."""
        by_base = {each.examination.base: each for each in examinees if not each.is_blocked}
        prefix = self._connection.shared.prefix
        pattern = f"{prefix}:{{*}}:*".encode() if len(by_base) != 1 else next(iter(by_base)) + b"*"
        beginning = re.compile(rb"%s:\{[^{}]+\}:" % re.escape(prefix.encode()))

        async for keys in scan(server.call, ("SCAN",), "MATCH", pattern):
            pages: dict[_Examinee, list[Subject]] = {}

            for key in keys:
                match = beginning.match(key)
                examinee = by_base.get(match[0]) if match else None

                if examinee is None:
                    continue

                if examinee.examination.is_place(key):
                    examinee.keys.add(key)
                elif subject := examinee.examination.of_key(key):
                    pages.setdefault(examinee, []).append(subject)

            await self._look(pages.items())
            self._count_jobs(pages.items())

    def _count_jobs(self, pages: _Pages) -> None:
        jobs = 0

        for examinee, subjects in pages:
            number = sum(each.check == "job" for each in subjects)
            examinee.jobs += number
            jobs += number

        self._advance(jobs)

    async def _look_at_members(self, examinees: Sequence[_Examinee]) -> None:
        """Examine the entries of indexes and lanes: one step of each queue at a time, all in one round trip."""
        # A repair may have made a key that did not exist during the scan.
        walks = {each: each.examination.members(None if self._repair else each.keys) for each in examinees}
        replies: dict[_Examinee, Any] = {}

        while walks:
            questions: list[tuple[_Examinee, tuple[Any, ...]]] = []
            pages: list[tuple[_Examinee, list[Subject]]] = []

            for each, walk in list(walks.items()):
                try:
                    step: Step = walk.send(replies.get(each))
                except StopIteration:
                    del walks[each]
                    continue

                if isinstance(step, tuple):
                    questions.append((each, step))
                else:
                    pages.append((each, step))

            replies = await self._ask(questions)
            await self._look(pages)

            for each in [each for each in walks if each.error is not None]:
                del walks[each]

    async def _ask(self, questions: Sequence[tuple[_Examinee, tuple[Any, ...]]]) -> dict[_Examinee, Any]:
        """The replies to one command for each queue."""
        found = {}

        if questions:
            replies = await self._connection.each([command for _, command in questions])

            for (each, _), reply in zip(questions, replies, strict=True):
                if not isinstance(reply, ServerError):
                    found[each] = reply
                elif any(words in str(reply) for words in _GONE):
                    found[each] = []
                else:
                    each.error = reply

        return found

    async def _look_at_list(self, examinees: Sequence[_Examinee]) -> None:
        """Check whether the queues are on the list of queues; in a Cluster, the list's server may be away."""
        if self._list_is_away:
            return

        shared = self._connection.shared

        try:
            replies = await self._connection.each([("SISMEMBER", shared.queues, each.name) for each in examinees])
        except ServerUnreachable:
            if not self._connection.is_cluster:
                raise

            self._list_is_away = True
            return

        for each, reply in zip(examinees, replies, strict=True):
            if isinstance(reply, ServerError):
                each.error = each.error or reply
                continue

            each.listed = bool(reply)

            if each.jobs and not each.listed and not each.is_blocked:
                if self._repair:
                    await each.store.producing.register()
                    each.listed = True

                words = "it is not on the list of queues"
                each.found["queue-not-listed", each.name] = Found(
                    "queue-not-listed", each.name, words, self._repair
                )

    async def _look(self, pages: _Pages) -> None:
        """Let the script examine subjects, and examine those again where it has repaired something."""
        work = [(each, list(some)) for each, subjects in pages for some in _in_groups(subjects, CHUNK)]

        for rounds_left in reversed(range(ROUNDS if self._repair else 1)):
            again = []

            for some in _in_groups(work, CALLS_PER_TRIP):
                calls = [
                    each.store.reads.examine_command(subjects, repair=self._repair) for each, subjects in some
                ]
                replies = await self._connection.each(calls)

                for (each, subjects), reply in zip(some, replies, strict=True):
                    if isinstance(reply, ServerError):
                        each.error = each.error or reply
                    elif self._take(each, read_findings(reply), is_last=not rounds_left):
                        again.append((each, subjects))

            work = again

    def _take(self, examinee: _Examinee, found: Sequence[Found], *, is_last: bool) -> bool:
        """Store the findings. True if something was repaired, so that another examination makes sense."""
        is_repaired = any(each.repaired for each in found)

        for each in found:
            # A finding that returns in the last round is not repaired, whatever was done about it.
            is_left = is_repaired and is_last and self._repair
            examinee.found[each.kind, each.name] = each._replace(repaired=False) if is_left else each

        return is_repaired


def _in_groups(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


def _ignore(*_: object) -> None:
    pass
