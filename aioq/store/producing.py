"""Producing: new jobs, the list of queues that they put theirs on, and waits for their ends."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from functools import partial
from itertools import chain
from operator import attrgetter
from typing import Any

from aioq.store.calls import Calls, Send
from aioq.store.committer import Committer
from aioq.store.format import FORMAT, read_format, refuse_newer
from aioq.store.mailbox import Mailbox, Standing
from aioq.store.net.batcher import Batcher
from aioq.store.net.command import Argument, Command
from aioq.store.net.per_loop import PerLoop, running_loop
from aioq.store.registration import Registration
from aioq.store.reply import fields_of, text
from aioq.values.durability import MEMORY, Durability, Level
from aioq.values.errors import NoSuchJobError, ServerError
from aioq.values.options import EXPIRED_TTL_MS
from aioq.values.pause import BARE
from aioq.values.signed import Fields
from aioq.values.submission import Answer, Submission

#: For how long, in ms, a call may be sent again, unless its record says longer. lua/lib/tombstone.lua repeats it.
REPEATED_MS = 15_000

#: A job of which `enqueue` is told one of these is not waited for ahead. That a ttl is over, only a wait tells;
#: whose job has an id that a user chose, only the reply; and in the record of a member, that field has its group.
_UNAWAITED = frozenset(("ttl", "deferred_ttl", "nonce", "group"))

#: The fields of which a job may have one, beside its function and arguments, that a claim reads alone.
_ALONE = frozenset((b"opts", b"after"))

#: The longest time, in ms, for which a call may be sent again. lua/lib/end_job.lua has this number, too.
LONGEST_REPEAT_MS = 500_000


#: What holds for a call of jobs with words.
_SINGLE = f"expired_ttl={EXPIRED_TTL_MS}"
_WHOLE = f"{_SINGLE} whole=1"


class LoopProducing:
    """What the calls of one event loop on a queue share: batches, waits, durable writes, the try to register.

    Args:
        producing: sends what comes together.
        calls: the queue's.

    """

    __slots__ = ("committers", "enqueuing", "mailbox", "registration")

    def __init__(self, producing: Producing, calls: Calls) -> None:
        self.enqueuing: Batcher[Submission, Answer] = Batcher(
            partial(producing.enqueue_many, whole=False), attrgetter("size")
        )
        self.mailbox: Mailbox | None = None  # once there was a wait
        self.committers: dict[Level, Committer] = {}
        self.registration: Registration = Registration(producing.register, may_be_late=calls.connection.is_cluster)


class Producing:
    """What producers do with a queue: they store jobs, and wait for their ends.

    Args:
        calls: the queue's.

    """

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self._is_registered = False
        self._loops = PerLoop(partial(LoopProducing, self, calls))

    def enqueue(self, submission: Submission) -> Awaitable[Answer]:
        """Store one job; concurrent calls travel together."""
        return self._loops[running_loop()].enqueuing.submit(submission)

    async def enqueue_many(
        self,
        submissions: Sequence[Submission],
        send: Send | None = None,
        repeat_ms: int = 0,
        *,
        whole: bool = True,
    ) -> list[Answer]:
        """Store jobs in one call.

        Args:
            submissions: the jobs.
            send: another way than the connection's.
            repeat_ms: for how long that way may send the call again, if that is longer than the connection does.

            whole: whether one job refuses them all, if a job that it depends on is missing.

        Raises:
            NoSuchJobError: it does.
            ServerError: a submission has a word that the script cannot read; nothing is stored.

        """
        held = self._loops[running_loop()]

        if not self._is_registered:
            await held.registration.ensure()

        flat: list[Argument] = []
        mailbox = held.mailbox
        repeat_ms = min(max(repeat_ms, self._calls.connection.repeat_ms), LONGEST_REPEAT_MS)
        is_repeated_longer, words = repeat_ms > REPEATED_MS, ""

        if mailbox is not None and not mailbox.waits_ahead(len(submissions)):
            mailbox = None

        for each in submissions:
            fields = each.record.fields
            has_more = len(fields) > 1 + (b"data" in fields)
            is_awaited = b"after" not in fields and (not each.words or _UNAWAITED.isdisjoint(each.words))
            waiting = mailbox if is_awaited else None
            count = len(fields) + has_more + (waiting is not None) + is_repeated_longer
            flat += (each.record.id, count)

            if each.words:
                flat[-1], words = _head(count, each.words), _WHOLE if whole else _SINGLE

            flat += chain.from_iterable(fields.items())

            if has_more:
                flat += (b"more", _what_more(fields, each.words))

            if waiting is not None:
                flat += (b"after", "@" + waiting.channel)
                waiting.expect(each.record.id)

            if is_repeated_longer:
                flat += (b"repeat_ms", repeat_ms)

        reply = await self._calls.call("enqueue", send, words=words, jobs=flat)

        if not reply[-1]:  # mostly there are no rows
            return [Answer(reply[1])] * len(submissions)

        return _answers(reply, len(submissions))

    async def enqueue_durably(
        self, submissions: Sequence[Submission], level: Level, limit: float
    ) -> tuple[list[Answer], Durability]:
        """As `enqueue_many`, and wait until the jobs are durable; see Committer. Also says what was reached."""
        reached = MEMORY
        committers = self._loops[running_loop()].committers

        if level not in committers:
            committers[level] = Committer(self._calls.connection, level, self._calls.keys.job)

        async def send(command: Command) -> Any:
            nonlocal reached
            reply, reached = await committers[level].submit(command, limit)

            return reply

        repeat_ms = self._calls.connection.repeat_ms + round(1000 * limit)

        return await self.enqueue_many(submissions, send, repeat_ms), reached

    async def register(self) -> None:
        """Put the queue on the list of all queues; a suspension of all workers holds for it too.

        Raises:
            ServerUnsuitable: the queue is stored in a newer format.

        """
        shared, keys = self._calls.connection.shared, self._calls.keys
        commands: list[Command] = [("SADD", shared.queues, self._calls.queue), ("PTTL", shared.suspended)]
        number: Command = ("SET", keys.format, FORMAT, "NX")

        if self._calls.connection.is_cluster:
            await self._check_format(await self._calls.connection.call(number))
            # The list may be on a server that is away. Others go on meanwhile, and it is tried again later.
            _, left = await self._calls.connection.calls(commands, patient=False)
        else:
            _, left, is_new = await self._calls.connection.calls([*commands, number])
            await self._check_format(is_new)

        if left == -1 or left > 0:
            told = await self._calls.connection.call(("GET", shared.suspended)) or BARE
            limit: Command = () if left == -1 else ("PX", left)
            await self._calls.send(("SET", keys.suspended, told, *limit))

        self._is_registered = True

    async def _check_format(self, is_new: object) -> None:
        """Refuse a newer format. A number that was written just now is ours, and needs no right to read it."""
        if not is_new:
            stored = await self._calls.connection.call(("GET", self._calls.keys.format))
            refuse_newer(self._calls.queue, read_format(stored))

    async def unregister(self) -> None:
        """Take the queue off the list of all queues; the next enqueue puts it there again."""
        await self._calls.send(("DEL", self._calls.keys.format))
        await self._calls.send(("SREM", self._calls.shared.queues, self._calls.queue))
        self._is_registered = False

    async def wait(self, channel: str, ids: Sequence[str]) -> list[Standing]:
        """Register a channel for the ends of these jobs; see Mailbox."""
        reply = await self._calls.call("wait", channel=channel, ids=list(ids))

        return [row if isinstance(row, int) else fields_of(row) for row in reply[1]]

    @property
    def mailbox(self) -> Mailbox:
        """Waits for the ends of jobs, in the running event loop."""
        held = self._loops[running_loop()]

        if held.mailbox is None:
            held.mailbox = Mailbox(
                self._calls.connection.listener,
                self._calls.shared.waiter,
                self.wait,
                insists=self._calls.connection.has_others,
            )

        return held.mailbox

    async def is_registered(self) -> bool:
        """Whether the queue is on the list of all queues."""
        return bool(await self._calls.send(("SISMEMBER", self._calls.shared.queues, self._calls.queue)))

    def forget(self, ids: Sequence[str]) -> None:
        """Drop what is kept here of the ends of jobs that have been deleted."""
        mailbox = self._loops[running_loop()].mailbox

        if mailbox is not None:
            mailbox.forget(ids)


def _head(count: int, words: Mapping[str, str | int]) -> str:
    """What `enqueue` is told of a job that does not simply go to the end of the queue."""
    head = str(count)

    for name, value in words.items():
        head += f" {name}={value}"  # most have one word; a join takes longer

    return head


def _what_more(fields: Fields, words: Mapping[str, str | int]) -> bytes:
    """What a claim is told to read, beside function and arguments: one field, or all ("1")."""
    last = next(reversed(fields))

    return last if not words and last in _ALONE and len(fields) == 2 + (b"data" in fields) else b"1"


def _answers(reply: Any, count: int) -> list[Answer]:
    """What became of each job of a call. The reply has rows for those only that were not simply stored."""
    if reply[0] == b"unknown":
        raise ServerError(f"enqueue.lua cannot read the word {text(reply[1])!r}")

    if reply[0] == b"orphan":
        raise NoSuchJobError(
            f"job {text(reply[1])} is to depend on job {text(reply[2])}, which is not in its queue. Enqueue that"
            " one before, or before it in the same call. Nothing was enqueued"
        )

    answers = [Answer(reply[1])] * count

    for position, verdict, *ids in reply[2]:
        answers[position] = Answer(reply[1], verdict.decode(), text(ids[-1]))

    return answers
