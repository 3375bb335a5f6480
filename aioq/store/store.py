"""Store: one queue as the server keeps it. One method is one script, and has the script's name."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from operator import attrgetter
from typing import Any, NamedTuple

from aioq.store.batcher import Batcher
from aioq.store.committer import Committer
from aioq.store.connection import Connection
from aioq.store.examination import Finding, Subject, read_findings
from aioq.store.keys import Keys
from aioq.store.listing import Listing
from aioq.store.mailbox import Mailbox, Standing
from aioq.store.per_loop import PerLoop, running_loop
from aioq.store.registration import Registration
from aioq.store.script import Argument, Command, all_scripts
from aioq.values.cause import ExceptionClasses
from aioq.values.durability import MEMORY, Durability, Level
from aioq.values.errors import ServerError
from aioq.values.options import CANCELED_TTL_MS, EXPIRED_TTL_MS, FAILURE_TTL_MS
from aioq.values.outcome import Failed, Finished, Interrupted, Outcome, Retried
from aioq.values.record import Fields, JobRecord
from aioq.values.states import JobStatus

#: A way for a command to the server, and its reply back.
Send = Callable[[Command], Awaitable[Any]]

#: Jobs that one call of a script touches beyond what it was asked for: due ones, late ones, reclaimed ones.
CHUNK = 100

#: Of due and of late ones, a claim moves fewer: many workers claim at once, and while one runs others wait.
#: With 100,000 jobs due and four workers, p99 of others' commands is 4 ms; with 100 it was 28, at the same rate.
DUE = 50

#: For how long, in ms, a call may be sent again, unless its record says longer. lua/lib/tombstone.lua repeats it.
REPEATED_MS = 15_000

#: The longest time, in ms, for which a call may be sent again. lua/lib/end_job.lua has this number, too.
LONGEST_REPEAT_MS = 500_000


@dataclass(slots=True)  # one is made for each job, and a frozen one or a tuple takes twice as long
class Submission:
    """A job on its way to the server.

    size is that of the values in bytes; due is "" (now), "+ms" (from now) or a moment in ms; ttl_ms is 0 for none;
    nonce marks an id that the user chose; durability is what is waited for, and is not stored.
    """

    record: JobRecord
    size: int = 0
    at_front: bool = False
    due: str = ""
    ttl_ms: int = 0
    nonce: str = ""
    durability: Level = "memory"


class Claim(NamedTuple):
    """A worker's right to one run of a job."""

    record: JobRecord
    fence: int


class Claims(NamedTuple):
    """What a claim brought. verdict: ok, paused, or missing (join the queue first).

    is_reserved: the worker may claim nothing more, of any queue, until a later claim of this one says otherwise.
    It runs a job that must run alone, or is to be empty for one. suspects: how many of the jobs, the first ones,
    were on workers that died, so that a worker may run only a few of them at a time.
    """

    verdict: str
    jobs: list[Claim]
    due_in_ms: int
    is_reserved: bool = False
    suspects: int = 0


class Beat(NamedTuple):
    """What a beat brought.

    lapsed: the lease had ended, and others have taken the jobs; next_end_ms: when another worker's lease ends (-1:
    there is none); lost: whose have ended; clock_ms: the server's clock (0: the queue did not answer).
    """

    lapsed: bool
    next_end_ms: int
    lost: list[str]
    clock_ms: int = 0


class Counts(NamedTuple):
    """How many jobs are in each state, and how many workers have a lease."""

    queued: int
    scheduled: int
    started: int
    finished: int
    failed: int
    canceled: int
    stopped: int
    expired: int
    workers: int


class LoopStore:
    """What the calls of one event loop on a queue share: batches, waits, durable writes, the try to register.

    Args:
        store: the queue.

    """

    __slots__ = ("committers", "enqueuing", "mailbox", "registration")

    def __init__(self, store: Store) -> None:
        self.enqueuing: Batcher[Submission, int] = Batcher(store.enqueue_many, attrgetter("size"))
        self.mailbox: Mailbox | None = None  # once there was a wait
        self.committers: dict[Level, Committer] = {}
        self.registration = Registration(store.register, may_be_late=store.connection.is_cluster)


class Store:
    """The state of one queue. It may be used in any number of event loops and threads at once.

    Args:
        connection: the server.
        queue: the queue's name.
        exceptions: the classes that whoever waits here for a result lets be built of an error; the server knows
            nothing of them.

    """

    def __init__(self, connection: Connection, queue: str, exceptions: ExceptionClasses | None = None) -> None:
        self.connection = connection
        self.queue = queue
        self.exceptions = exceptions or {}
        #: The Queue that this belongs to, for handles on its jobs.
        self.opened_by: object | None = None
        self.keys = Keys.of(queue, connection.shared.prefix)
        self._heads: dict[str, Command] = {}
        self.signer = None if connection.keyring is None else connection.keyring.signer(self.keys.job)
        self._is_registered = False
        self._loops = PerLoop(partial(LoopStore, self))

    # Producers

    def enqueue(self, submission: Submission) -> Awaitable[int]:
        """Store one job; concurrent calls travel together. The server's clock in ms; 0: a live job has this id."""
        return self._loops[running_loop()].enqueuing.submit(submission)

    async def enqueue_many(
        self, submissions: Sequence[Submission], send: Send | None = None, repeat_ms: int = 0
    ) -> list[int]:
        """Store jobs in one call. The server's clock in ms, or 0 for each whose id belongs to a live job.

        Args:
            submissions: the jobs.
            send: another way than the connection's.
            repeat_ms: for how long that way may send the call again, if that is longer than the connection does.

        """
        held = self._loops[running_loop()]

        if not self._is_registered:
            await held.registration.ensure()

        flat: list[Argument] = []
        mailbox = held.mailbox
        repeat_ms = min(max(repeat_ms, self.connection.repeat_ms), LONGEST_REPEAT_MS)
        is_repeated_longer = repeat_ms > REPEATED_MS

        if mailbox is not None and not mailbox.waits_ahead(len(submissions)):
            mailbox = None

        for each in submissions:
            fields = each.record.fields
            has_more = len(fields) > 1 + (b"data" in fields)
            # That a ttl is over only a wait tells; and whose job has an id that a user chose, only the reply.
            waiting = None if each.ttl_ms or each.nonce else mailbox
            count = len(fields) + has_more + (waiting is not None) + is_repeated_longer
            has_words = each.at_front or each.due or each.ttl_ms or each.nonce
            flat += (each.record.id, _head(each, count) if has_words else count)
            flat += chain.from_iterable(fields.items())

            if has_more:  # tells a claim to read more than function and arguments
                flat += (b"more", b"1")

            if waiting is not None:
                flat += (b"after", "@" + waiting.channel)
                waiting.expect(each.record.id)

            if is_repeated_longer:
                flat += (b"repeat_ms", repeat_ms)

        reply = await self._call("enqueue", send, expired_ttl=EXPIRED_TTL_MS, jobs=flat)
        clock: int = reply[1]

        if not reply[2]:
            return [clock] * len(submissions)

        duplicates = set(reply[2])

        return [0 if position in duplicates else clock for position in range(len(submissions))]

    async def enqueue_durably(
        self, submissions: Sequence[Submission], level: Level, limit: float
    ) -> tuple[list[int], Durability]:
        """As `enqueue_many`, and wait until the jobs are durable; see Committer. Also says what was reached."""
        reached = MEMORY
        committers = self._loops[running_loop()].committers

        if level not in committers:
            committers[level] = Committer(self.connection, level, self.keys.job)

        async def send(command: Command) -> Any:
            nonlocal reached
            reply, reached = await committers[level].submit(command, limit)

            return reply

        repeat_ms = self.connection.repeat_ms + round(1000 * limit)

        return await self.enqueue_many(submissions, send, repeat_ms), reached

    async def register(self) -> None:
        """Put the queue on the list of all queues; a suspension of all workers holds for it too."""
        shared = self.connection.shared
        # Where the list may be on a server that is away, others go on meanwhile, and it is tried again later.
        commands = ("SADD", shared.queues, self.queue), ("PTTL", shared.suspended)
        _, left = await self.connection.calls(commands, patient=not self.connection.is_cluster)

        if left == -1:
            await self.connection.call(("SET", self.keys.suspended, "1"))
        elif left > 0:
            await self.connection.call(("SET", self.keys.suspended, "1", "PX", left))

        self._is_registered = True

    async def unregister(self) -> None:
        """Take the queue off the list of all queues; the next enqueue puts it there again."""
        await self.connection.call(("SREM", self.connection.shared.queues, self.queue))
        self._is_registered = False

    async def wait(self, channel: str, ids: Sequence[str]) -> list[Standing]:
        """Register a channel for the ends of these jobs; see Mailbox."""
        reply = await self._call("wait", channel=channel, ids=list(ids))

        return [row if isinstance(row, int) else fields_of(row) for row in reply[1]]

    @property
    def mailbox(self) -> Mailbox:
        """Waits for the ends of jobs, in the running event loop."""
        held = self._loops[running_loop()]

        if held.mailbox is None:
            held.mailbox = Mailbox(
                self.connection.listener,
                self.connection.shared.waiter,
                self.wait,
                insists=self.connection.has_others,
            )

        return held.mailbox

    # Changes of state that users ask for

    async def cancel(self, job_id: str) -> tuple[str, str]:
        """The verdict (ok, already, refused, gone), and the status that refuses."""
        return _verdict(
            await self._call(
                "cancel",
                control=self.connection.shared.control,
                canceled_ttl=CANCELED_TTL_MS,
                call=self._new_call(),
                repeat_ms=self.connection.repeat_ms,
                id=job_id,
            )
        )

    async def stop(self, job_id: str) -> tuple[str, str]:
        """As cancel, for a run in progress."""
        return _verdict(
            await self._call(
                "stop",
                control=self.connection.shared.control,
                failure_ttl=FAILURE_TTL_MS,
                call=self._new_call(),
                repeat_ms=self.connection.repeat_ms,
                id=job_id,
            )
        )

    async def delete(self, ids: Sequence[str], only: JobStatus | None = None) -> int:
        """Delete jobs (only those in a state); how many there were."""
        if not ids:
            return 0

        reply = await self._call(
            "delete",
            control=self.connection.shared.control,
            only=only or "",
            call=self._new_call(),
            repeat_ms=self.connection.repeat_ms,
            ids=list(ids),
        )

        mailbox = self._loops[running_loop()].mailbox

        if mailbox is not None:
            mailbox.forget(ids)

        return int(reply[1])

    async def requeue(
        self, ids: Sequence[str], *, at_front: bool, reset: bool, only: JobStatus | None = None
    ) -> list[str]:
        """Bring jobs back (only those in a state). For each id: ok, gone, or the status that does not allow it."""
        if not ids:
            return []

        reply = await self._call(
            "requeue",
            only=only or "",
            lane="front" if at_front else "",
            reset=int(reset),
            expired_ttl=EXPIRED_TTL_MS,
            call=self._new_call(),
            repeat_ms=self.connection.repeat_ms,
            ids=list(ids),
        )

        return [text(verdict) for verdict in reply[1]]

    async def save_meta(
        self, job_id: str, fence: int | None, changes: Sequence[bytes], removed: Sequence[bytes]
    ) -> str:
        """ok, stale (the run has lost its claim) or gone. changes: fields and values in turn."""
        reply = await self._call(
            "save_meta",
            id=job_id,
            fence="" if fence is None else fence,
            call=self._new_call(),
            repeat_ms=self.connection.repeat_ms,
            count=len(changes) // 2,
            changes=[*changes, *removed],
        )

        return reply[0].decode()  # type: ignore[no-any-return]

    async def pause(self, ttl_ms: int | None = None) -> None:
        """No worker claims from the queue, until resume or for ttl_ms."""
        await self.connection.call(_set(self.keys.paused, ttl_ms))

    async def resume(self) -> None:
        """End a pause."""
        await self.connection.call(("DEL", self.keys.paused))
        await self.wake()

    async def is_paused(self) -> bool:
        return bool(await self.connection.call(("EXISTS", self.keys.paused, self.keys.suspended)))

    # Reads: they never write

    async def load(self, ids: Sequence[str]) -> list[JobRecord | None]:
        """The records of these jobs, in order; None for one that is gone."""
        if not ids:
            return []

        reply = await self._call("load", ids=list(ids))

        return [
            JobRecord(job_id, fields_of(row), self.signer) if row else None
            for job_id, row in zip(ids, reply[1], strict=True)
        ]

    async def attempts(self, job_id: str) -> list[bytes]:
        """What is kept of the job's earlier runs, oldest first, each as JSON."""
        reply: list[bytes] = await self.connection.call(("LRANGE", self.keys.attempts + job_id.encode(), 0, -1))

        return reply

    async def count(self) -> Counts:
        """How many jobs are in each state."""
        return read_counts(await self.connection.call(self.count_command()))

    def count_command(self) -> Command:
        """The call that counts jobs; `read_counts` reads its reply."""
        return self._command("count", expired_ttl=EXPIRED_TTL_MS)

    async def ids(
        self,
        state: JobStatus,
        offset: int = 0,
        limit: int | None = None,
        *,
        desc: bool = False,
        before_ms: int | None = None,
    ) -> tuple[list[str], int]:
        """Ids of the jobs in one state, and the server's clock in ms when it was asked first."""
        listing = self.listing(state, offset, limit, desc=desc, before_ms=before_ms)
        found = [job_id async for ids in listing for job_id in ids]

        return found, listing.began_ms

    def listing(
        self,
        state: JobStatus,
        offset: int = 0,
        limit: int | None = None,
        *,
        desc: bool = False,
        size: int | None = None,
        before_ms: int | None = None,
        is_closed: bool = False,
    ) -> Listing:
        """The ids of the jobs in one state, page by page; the arguments are those of `Listing`."""
        return Listing(
            self._page, state, offset, limit, desc=desc, size=size, before_ms=before_ms, is_closed=is_closed
        )

    async def _page(
        self, state: JobStatus, cursor: bytes, skip: int, limit: int, page: int, order: str, before: int | str
    ) -> Any:
        return await self._call(
            "ids",
            state=state,
            cursor=cursor,
            skip=skip,
            limit=limit,
            page=page,
            order=order,
            before=before,
            expired_ttl=EXPIRED_TTL_MS,
        )

    # Looking for damage

    async def examine(self, subjects: Sequence[Subject], *, repair: bool = False) -> list[Finding]:
        """What is wrong with these subjects at one moment; `Examination` names all subjects of a queue.

        Args:
            subjects: as many as one script may look at: `examination.CHUNK`.
            repair: repair what is found, in the same call.

        """
        return read_findings(await self.connection.call(self.examine_command(subjects, repair=repair)))

    def examine_command(self, subjects: Sequence[Subject], *, repair: bool) -> Command:
        """The call that examines; `read_findings` reads its reply."""
        flat = [part for subject in subjects for part in subject]

        return self._command("examine", repair="1" if repair else "", expired_ttl=EXPIRED_TTL_MS, subjects=flat)

    async def is_registered(self) -> bool:
        """Whether the queue is on the list of all queues."""
        return bool(await self.connection.call(("SISMEMBER", self.connection.shared.queues, self.queue)))

    # Workers

    async def join(self, worker: str, lease_ms: int, session: int = 0) -> None:
        """Begin to serve the queue, with a lease."""
        await self._call("join", worker=worker, lease=lease_ms, session=session)

    async def leave(self, worker: str) -> bool:
        """Stop serving the queue. False: the worker still holds jobs, and keeps its lease."""
        return bool((await self._call("leave", worker=worker))[0] == b"ok")

    async def wake(self) -> None:
        """Let one idle worker look at the queue."""
        await self.connection.call(self.wake_command())

    def wake_command(self) -> Command:
        """The call that wakes an idle worker."""
        return self._command("wake")

    async def reclaim(
        self, worker: str, held: Sequence[Claim] | None = None, session: int = 0
    ) -> tuple[bool, list[str], list[str]]:
        """Take back jobs of a lost worker; or, with `held`, those that this worker claimed without knowing it.

        With `held` a new session begins: a claim of an older one that is still on its way will be refused.
        Returns whether there is more to take, the ids that went back to the queue, and those that failed.
        """
        reply = await self._call(
            "reclaim",
            worker=worker.encode(errors="surrogateescape"),
            cause="lost" if held is None else "resync",
            session=session,
            chunk=CHUNK if held is None else 100_000,
            expired_ttl=EXPIRED_TTL_MS,
            failure_ttl=FAILURE_TTL_MS,
            held=[f"{claim.record.id} {claim.fence}" for claim in held or ()],
        )

        if reply[0] == b"alive":
            return False, [], []

        return bool(reply[1]), [text(each) for each in reply[2]], [text(each) for each in reply[3]]

    async def late_workers(self) -> list[str]:
        """The names of workers that hold jobs although their lease has ended."""
        return read_late_workers(await self._call("holders", worker=""))

    async def sweep(self) -> bool:
        """Take ids whose retention has passed out of the registries. True: there may be more."""
        return bool((await self._call("sweep", chunk=CHUNK))[1] == CHUNK)

    def claim_command(
        self, worker: str, limit: int, session: int = 0, *, held: int = 0, suspects: int = 0, slots: int = 0
    ) -> Command:
        """The call that claims up to `limit` jobs; `read_claims` reads its reply.

        Args:
            worker: the worker's name.
            limit: the most jobs that it may bring.
            session: the number of the worker's session on this queue.
            held: how many jobs of any queue the worker has already, or has asked for.
            suspects: how many of these came as suspects.
            slots: how many jobs the worker runs side by side; 0: as many as it asks for.

        """
        return self._command(
            "claim",
            worker=worker,
            session=session,
            limit=limit,
            held=held,
            suspects=suspects,
            slots=slots or limit,
            chunk=DUE,
            expired_ttl=EXPIRED_TTL_MS,
        )

    def read_claims(self, reply: Any, worker: str) -> Claims:
        """The claims of a worker in a reply."""
        verdict = reply[0].decode()

        if verdict != "ok":
            return Claims(verdict, [], -1)

        started_at, name = b"%d" % reply[1], worker.encode()
        flat = iter(reply[3])
        jobs = []

        for job_id, fence, row in zip(flat, flat, flat, strict=True):
            fields = _plain_fields(*row) if len(row) == 3 else fields_of(row)
            # The fields are those from before the claim; what it changes is known.
            fields[b"status"], fields[b"fence"], fields[b"started_at"] = b"started", b"%d" % fence, started_at
            fields[b"worker"] = name
            fields.pop(b"expires_at", None)
            jobs.append(Claim(JobRecord(job_id.decode(), fields, self.signer), fence))

        is_reserved, suspects = reply[4] if len(reply) > 4 else (0, 0)

        return Claims(verdict, jobs, int(reply[2]), bool(is_reserved), suspects)

    def end_commands(self, ended: Iterable[tuple[Claim, Outcome]]) -> list[tuple[Command, list[Claim]]]:
        """The calls that record how runs ended, each with the claims that it covers, in its order."""
        flats: dict[str, tuple[list[Argument], list[Claim]]] = {}

        for claim, outcome in ended:
            verb, values = _row(outcome)
            flat, claims = flats.setdefault(verb, ([], []))
            flat += (claim.record.id, claim.fence, *values)
            claims.append(claim)

        return [(self._command(verb, jobs=flat, **_END[verb]), claims) for verb, (flat, claims) in flats.items()]

    def beat_command(self, worker: str, lease_ms: int) -> Command:
        """The call that renews a lease; `read_beat` reads its reply."""
        return self._command("beat", worker=worker, lease=lease_ms)

    def holders_command(self, worker: str) -> Command:
        """The call that names the other workers that hold jobs; `read_holders` reads its reply."""
        return self._command("holders", worker=worker)

    # Internals

    def _new_call(self) -> str:
        """A word for one call, by which a script knows it again if it is sent twice; "" if it never is."""
        return secrets.token_hex(6) if self.connection.repeat_ms else ""

    def _command(self, name: str, **values: Argument | Sequence[Argument]) -> Command:
        script = all_scripts()[name]

        try:
            head = self._heads[name]
        except KeyError:
            head = self._heads[name] = script.head(self.keys)

        return head + script.arguments(**values)

    async def _call(self, name: str, send: Send | None = None, /, **values: Argument | Sequence[Argument]) -> Any:
        reply = await (send or self.connection.call)(self._command(name, **values))

        if reply[0].decode() not in all_scripts()[name].says:
            raise ServerError(f"{name}.lua answered {reply[0]!r}; expected {sorted(all_scripts()[name].says)}")

        return reply


def _head(submission: Submission, count: int) -> str:
    """What `enqueue` is told of a job that does not simply go to the end of the queue."""
    lane = "front" if submission.at_front else "main"

    return f"{count} {lane} {submission.due or '-'} {submission.ttl_ms or '-'} {submission.nonce or '-'}"


def read_counts(reply: Any) -> Counts:
    """The numbers in a reply of `count_command`."""
    return Counts(*(int(number) for number in reply[1:]))


def read_beat(reply: Any) -> Beat:
    """The beat in a reply."""
    # The name of a worker may be anything, and must be the same when it is reclaimed.
    lost = [name.decode(errors="surrogateescape") for name in reply[2]]

    return Beat(reply[0] == b"lapsed", int(reply[1]), lost, int(reply[3]))


def read_late_workers(reply: Any) -> list[str]:
    """The names of workers in a reply of `holders` that hold jobs although their lease has ended."""
    return sorted(text(name) for name, end in read_holders(reply).items() if end < reply[1])


def read_holders(reply: Any) -> dict[bytes, float]:
    """The other workers that hold jobs, each with the end of its lease by the server's clock in ms."""
    flat = iter(reply[2])

    return {name: float(end) for name, end in zip(flat, flat, strict=True)}


def read_refused(reply: Any) -> dict[int, str]:
    """Which of the runs in one call were not recorded, by position, and why: already, stale, gone."""
    flat = iter(reply[1])

    return {int(position): verdict.decode() for position, verdict in zip(flat, flat, strict=True)}


_END: dict[str, dict[str, Argument]] = {
    "finish": {},
    "fail": {"failure_ttl": FAILURE_TTL_MS},
    "retry": {"expired_ttl": EXPIRED_TTL_MS},
    "release": {"expired_ttl": EXPIRED_TTL_MS},
}


def _row(outcome: Outcome) -> tuple[str, tuple[Argument, ...]]:
    """The verb that records an outcome, and its arguments after id and fence."""
    if isinstance(outcome, Finished):
        return "finish", (outcome.result, outcome.ttl_ms or outcome.instead)

    if isinstance(outcome, Failed):
        return "fail", (_bytes(outcome.error),)

    if isinstance(outcome, Retried):
        return "retry", (_bytes(outcome.error), outcome.delay_ms, "front" if outcome.at_front else "")

    if isinstance(outcome, Interrupted):
        return "release", (int(outcome.begun),)

    raise TypeError(f"{outcome!r} is not an outcome")


def _bytes(text: str) -> bytes:
    # What a user's exception says may not be valid Unicode; it is kept all the same.
    return text.encode(errors="backslashreplace")


def fields_of(row: Any) -> Fields:
    """A hash, from the flat list of a reply."""
    flat = iter(row)

    return dict(zip(flat, flat, strict=True))


def _plain_fields(func: bytes | None, data: bytes | None, created_at: bytes | None) -> Fields:
    """The fields of a job that is nothing but a call, as far as they are there."""
    if data is not None and func is not None and created_at is not None:
        return {b"func": func, b"data": data, b"created_at": created_at}

    names = (b"func", b"data", b"created_at")

    return {name: value for name, value in zip(names, (func, data, created_at), strict=True) if value is not None}


def _verdict(reply: Any) -> tuple[str, str]:
    return reply[0].decode(), text(reply[1]) if len(reply) > 1 else ""


def text(name: bytes) -> str:
    """A name that was stored, whatever its bytes are."""
    return name.decode(errors="backslashreplace")


def _set(key: bytes | str, ttl_ms: int | None) -> Command:
    return ("SET", key, "1") if ttl_ms is None else ("SET", key, "1", "PX", ttl_ms)
