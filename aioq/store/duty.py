"""Duty: what workers do with a queue."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from aioq.store.calls import Calls, unexpected, verdict_of
from aioq.store.format import FORMAT, refuse_newer
from aioq.store.net.command import Argument, Command
from aioq.store.reply import fields_of, text
from aioq.values.beat import Beat
from aioq.values.claim import Claim, Claims
from aioq.values.departed import STOPPED
from aioq.values.options import EXPIRED_TTL_MS, FAILURE_TTL_MS
from aioq.values.outcome import Failed, FailedRun, Finished, FinishedRun, Interrupted, Outcome, Retried
from aioq.values.record import JobRecord

#: Jobs that one call of a script touches beyond what it was asked for: due ones, late ones, reclaimed ones.
JOBS_PER_CALL = 100

#: Of due and of late ones, a claim moves fewer: many workers claim at once, and while one runs others wait.
#: With 100,000 jobs due and four workers, p99 of others' commands is 4 ms; with 100 it was 28, at the same rate.
DUE_JOBS_PER_CALL = 50


class Duty:
    """What workers do with a queue.

    Args:
        calls: the queue's.

    """

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    async def join(self, worker: str, lease_ms: int, session: int = 0) -> None:
        """Begin to serve the queue, with a lease.

        Raises:
            ServerUnsuitable: the queue is stored in a newer format.

        """
        reply = await self._calls.call("join", worker=worker, lease=lease_ms, session=session, known_format=FORMAT)

        if reply[0] == b"newer":
            refuse_newer(self._calls.queue, reply[1])

    async def leave(self, worker: str, reason: str = STOPPED) -> bool:
        """Stop serving the queue. False: the worker still holds jobs, and keeps its lease.

        Args:
            worker: its name.
            reason: why it leaves, one of values/departed.py; "": it has never served the queue.

        """
        return bool((await self._calls.call("leave", worker=worker, reason=reason))[0] == b"ok")

    async def reclaim(
        self, worker: str, held: Sequence[Claim] | None = None, session: int = 0, *, reaped: bool = False
    ) -> tuple[bool, list[str], list[str]]:
        """Take back jobs of a lost worker; or, with `held`, those that this worker claimed without knowing it.

        With `held` a new session begins: a claim of an older one that is still on its way will be refused.
        With `reaped` the caller has seen the end of the worker's process, so no lease need end.
        Returns whether there is more to take, the ids that went back to the queue, and those that failed.
        """
        reply = await self._calls.call(
            "reclaim",
            worker=worker.encode(errors="surrogateescape"),
            cause="resync" if held is not None else "reaped" if reaped else "lost",
            session=session,
            chunk=JOBS_PER_CALL if held is None else 100_000,
            expired_ttl=EXPIRED_TTL_MS,
            failure_ttl=FAILURE_TTL_MS,
            held=[f"{claim.record.id} {claim.fence}" for claim in held or ()],
        )

        if reply[0] == b"alive":
            return False, [], []

        return bool(reply[1]), [text(each) for each in reply[2]], [text(each) for each in reply[3]]

    async def late_workers(self) -> list[str]:
        """The names of workers that hold jobs although their lease has ended."""
        return read_late_workers(await self._calls.call("holders", worker=""))

    async def sweep(self, overdue: list[str] | None = None) -> bool:
        """Take ids whose retention has passed out of the registries. True: there may be more.

        Args:
            overdue: gets the names of groups to which nobody has gone on to add members, see `Groups.close`.

        """
        _, swept, late = await self._calls.call("sweep", chunk=JOBS_PER_CALL)

        if overdue is not None:
            overdue += map(text, late)

        return bool(swept == JOBS_PER_CALL)

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
        return self._calls.command(
            "claim",
            worker=worker,
            session=session,
            limit=limit,
            held=held,
            suspects=suspects,
            slots=slots or limit,
            chunk=DUE_JOBS_PER_CALL,
            expired_ttl=EXPIRED_TTL_MS,
        )

    def read_claims(self, reply: Any, worker: str) -> Claims:
        """The claims of a worker in a reply."""
        if reply[0] != b"ok":
            return Claims(verdict_of("claim", reply), [], -1)

        started_at, name = b"%d" % reply[1], worker.encode()
        flat = iter(reply[3])
        signer = self._calls.signer
        jobs = []
        sinces: dict[bytes | None, int] = {}  # when jobs came into their lanes: many have one moment in common

        for job_id, fence, row in zip(flat, flat, flat, strict=True):
            # The fields are those from before the claim. Most jobs are nothing but a call.
            if len(row) == 3:
                func, data, created_at = row
                since, is_damaged = created_at, created_at is None or data is None or func is None
                fields = {b"func": func, b"data": data, b"created_at": created_at}
            else:
                is_damaged = None in row
                fields = fields_of(row)
                since = fields.get(b"enqueued_at") or fields.get(b"created_at")

            if b"." not in job_id:  # callbacks are not counted
                sinces[since] = sinces.get(since, 0) + 1

            if is_damaged:  # it lacks one of its fields
                fields = {field: value for field, value in fields.items() if value is not None}

            record = JobRecord(job_id.decode(), fields, signer)
            jobs.append(Claim(record.as_claimed(fence, started_at, name), fence))

        is_reserved, suspects, has_rows = (reply[4] if len(reply) > 4 else None) or (0, 0, 0)
        expired = reply[5] if len(reply) > 5 else 0
        # A damaged moment is no number.
        waits_ms = {reply[1] - int(each): n for each, n in sinces.items() if each and each.isdigit()}

        return Claims("ok", jobs, int(reply[2]), bool(is_reserved), suspects, bool(has_rows), waits_ms, expired)

    def end_commands(self, ended: Iterable[tuple[Claim, Outcome]]) -> list[tuple[Command, list[Claim]]]:
        """The calls that record how runs ended, each with the claims that it covers, in its order."""
        flats: dict[str, tuple[list[Argument], list[Claim]]] = {}

        for claim, outcome in ended:
            verb, values = _row(outcome)
            flat, claims = flats.setdefault(verb, ([], []))
            flat += (claim.record.id, claim.fence, *values)
            claims.append(claim)

        return [
            (self._calls.command(verb, jobs=flat, **_END[verb]), claims) for verb, (flat, claims) in flats.items()
        ]

    def beat_command(self, worker: str, lease_ms: int) -> Command:
        """The call that renews a lease; `read_beat` reads its reply."""
        return self._calls.command("beat", worker=worker, lease=lease_ms)

    def holders_command(self, worker: str) -> Command:
        """The call that names the other workers that hold jobs; `read_holders` reads its reply."""
        return self._calls.command("holders", worker=worker)


def read_beat(reply: Any) -> Beat:
    """The beat in a reply."""
    # The name of a worker may be anything, and must be the same when it is reclaimed.
    lost = [name.decode(errors="surrogateescape") for name in reply[2]]

    return Beat(verdict_of("beat", reply) == "lapsed", int(reply[1]), lost, int(reply[3]))


def read_late_workers(reply: Any) -> list[str]:
    """The names of workers in a reply of `holders` that hold jobs although their lease has ended."""
    return sorted(text(name) for name, end in read_holders(reply).items() if end < reply[1])


def read_holders(reply: Any) -> dict[bytes, float]:
    """The other workers that hold jobs, each with the end of its lease by the server's clock in ms."""
    verdict_of("holders", reply)
    flat = iter(reply[2])

    return {name: float(end) for name, end in zip(flat, flat, strict=True)}


def read_refused(reply: Any) -> dict[int, str]:
    """Which of the runs in one call were not recorded, by position, and why: already, stale, gone."""
    if reply[0] != b"ok":  # of a call as a whole, the scripts that record outcomes say nothing else
        raise unexpected("finish", reply)

    flat = iter(reply[1])

    return {int(position): verdict.decode() for position, verdict in zip(flat, flat, strict=True)}


_END: dict[str, dict[str, Argument]] = {
    "finish": {},
    "fail": {"failure_ttl": FAILURE_TTL_MS},
    "retry": {"expired_ttl": EXPIRED_TTL_MS},
    "repeat": {"expired_ttl": EXPIRED_TTL_MS},
    "give_back": {"expired_ttl": EXPIRED_TTL_MS},
}


def _row(outcome: Outcome) -> tuple[str, tuple[Argument, ...]]:
    """The verb that records an outcome, and its arguments after id and fence."""
    if type(outcome) is Finished:
        return "finish", (outcome.result, outcome.ttl_ms or outcome.instead)

    if type(outcome) is Failed:
        return "fail", (_bytes(outcome.error),)

    if isinstance(outcome, Retried):
        return "retry", (_bytes(outcome.error), outcome.delay_ms, _retry_words(outcome))

    if isinstance(outcome, Interrupted):
        return "give_back", (int(outcome.begun),)

    if isinstance(outcome, FinishedRun):
        return "repeat", ("finished", outcome.result if outcome.ttl_ms else outcome.instead, outcome.due_ms)

    if isinstance(outcome, FailedRun):
        return "repeat", ("failed", _bytes(outcome.error), outcome.due_ms)

    raise TypeError(f"{outcome!r} is not an outcome")


def _retry_words(outcome: Retried) -> str:
    """What is more to a retry than its pause; '' for most."""
    if not (outcome.at_front or outcome.within_ms or outcome.is_asked):
        return ""

    words = ("lane=front" * outcome.at_front, "asked" * outcome.is_asked)

    return " ".join(filter(None, (*words, f"within={outcome.within_ms}" if outcome.within_ms else "")))


def _bytes(text: str) -> bytes:
    # What a user's exception says may not be valid Unicode; it is kept all the same.
    return text.encode(errors="backslashreplace")
