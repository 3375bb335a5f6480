"""Examining: one walk through all that is stored of some queues, in as few round trips as can be."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

from aioq.doctor.examinee import Examinee
from aioq.store import Connection
from aioq.store.examination import CHUNK, Step, Subject, read_findings, scan
from aioq.store.examination import Finding as Found
from aioq.store.format import read_format, refuse_newer
from aioq.values.errors import ServerError, ServerUnreachable, ServerUnsuitable

T = TypeVar("T")

#: How often a repair is repeated. One thing may have several faults, and a repair fixes one at a time.
ROUNDS = 6

#: Queues that are examined side by side, and calls of `examine.lua` in one round trip.
QUEUES_AT_ONCE = 100
CALLS_PER_ROUND_TRIP = 25

#: The server's errors for a lane that was removed, or lost its group, since it was seen.
_GONE = ("no such key", "NOGROUP")


#: The subjects to examine in each queue.
_Pages = Iterable[tuple[Examinee, Sequence[Subject]]]


class Round:
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

    async def examine(self, server: Connection, examinees: Sequence[Examinee]) -> None:
        """Examine the queues of one server."""
        try:
            for some in _in_groups(examinees, QUEUES_AT_ONCE):
                await self._read_formats(some)
                await self._run_script((each, each.examination.types()) for each in some if not each.is_blocked)

            await self._examine_keys(server, examinees)

            for some in _in_groups(examinees, QUEUES_AT_ONCE):
                await self._examine_members([each for each in some if not each.is_blocked])
                await self._check_list(some)

                for _ in some:
                    self._finished()
        except ServerUnreachable as error:
            if not self._connection.is_cluster:
                raise

            for each in examinees:
                each.error = each.error or error

    async def _read_formats(self, examinees: Sequence[Examinee]) -> None:
        """The formats in which the queues are stored. One that this version cannot read is not examined."""
        replies = await self._connection.each([("GET", each.store.keys.format) for each in examinees])

        for each, reply in zip(examinees, replies, strict=True):
            if not isinstance(reply, ServerError):  # else the key has the wrong type, which is found next
                each.format = read_format(reply)

                try:
                    refuse_newer(each.name, each.format)
                except ServerUnsuitable as error:
                    each.error = error

    async def _examine_keys(self, server: Connection, examinees: Sequence[Examinee]) -> None:
        """Examine all keys of the queues in one scan of the server."""
        by_base = {each.examination.base: each for each in examinees if not each.is_blocked}
        prefix = self._connection.shared.prefix
        pattern = f"{prefix}:{{*}}:*".encode() if len(by_base) != 1 else next(iter(by_base)) + b"*"
        beginning = re.compile(rb"%s:\{[^{}]+\}:" % re.escape(prefix.encode()))

        async for keys in scan(server.call, ("SCAN",), "MATCH", pattern):
            pages: dict[Examinee, list[Subject]] = {}

            for key in keys:
                match = beginning.match(key)
                examinee = by_base.get(match[0]) if match else None

                if examinee is None:
                    continue

                if examinee.examination.is_place(key):
                    examinee.keys.add(key)
                elif subject := examinee.examination.of_key(key):
                    pages.setdefault(examinee, []).append(subject)

            await self._run_script(pages.items())
            self._count_jobs(pages.items())

    def _count_jobs(self, pages: _Pages) -> None:
        jobs = 0

        for examinee, subjects in pages:
            # Callbacks are no jobs of their own: one that has done its work may outlive its queue for a minute.
            number = sum(each.check == "job" and b"." not in each.name for each in subjects)
            examinee.jobs += number
            jobs += number

        self._advance(jobs)

    async def _examine_members(self, examinees: Sequence[Examinee]) -> None:
        """Examine the entries of indexes and lanes: one step of each queue at a time, all in one round trip."""
        # A repair may have made a key that did not exist during the scan.
        walks = {each: each.examination.members(None if self._repair else each.keys) for each in examinees}
        replies: dict[Examinee, Any] = {}

        while walks:
            questions: list[tuple[Examinee, tuple[Any, ...]]] = []
            pages: list[tuple[Examinee, list[Subject]]] = []

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
            await self._run_script(pages)

            for each in [each for each in walks if each.error is not None]:
                del walks[each]

    async def _ask(self, questions: Sequence[tuple[Examinee, tuple[Any, ...]]]) -> dict[Examinee, Any]:
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

    async def _check_list(self, examinees: Sequence[Examinee]) -> None:
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

    async def _run_script(self, pages: _Pages) -> None:
        """Let the script examine subjects, and examine those again where it has repaired something."""
        work = [(each, list(some)) for each, subjects in pages for some in _in_groups(subjects, CHUNK)]

        for rounds_left in reversed(range(ROUNDS if self._repair else 1)):
            again = []

            for some in _in_groups(work, CALLS_PER_ROUND_TRIP):
                calls = [
                    each.store.reads.examine_command(subjects, repair=self._repair) for each, subjects in some
                ]
                replies = await self._connection.each(calls)

                for (each, subjects), reply in zip(some, replies, strict=True):
                    if isinstance(reply, ServerError):
                        each.error = each.error or reply
                    elif self._keep_findings(each, read_findings(reply), is_last=not rounds_left):
                        again.append((each, subjects))

            work = again

    def _keep_findings(self, examinee: Examinee, found: Sequence[Found], *, is_last: bool) -> bool:
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
