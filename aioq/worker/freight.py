"""Freight: takes large outcomes to the server, one at a time, on a connection of its own.

On the courier's connection, a large outcome would hold up all claims and outcomes behind it for as long as the
line needs for its bytes.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from anyio import CancelScope

from aioq.store import Connection, Store
from aioq.store.duty import read_refused
from aioq.values.claim import Claim
from aioq.values.errors import PayloadTooLarge, ServerError, ServerUnreachable
from aioq.values.outcome import Failed, Finished, Outcome
from aioq.values.record import JobRecord
from aioq.values.summary import printable, type_name
from aioq.worker.failure import packed_failure
from aioq.worker.run import Run
from aioq.worker.telling import tell_of_failure

log = logging.getLogger("aioq.worker")

#: An outcome of more bytes than this is large, and a trip of the courier carries no more than this of small ones.
#: What a server allows for one value and for one call is at least 1 MiB, so it never refuses a trip for its size.
LARGE_BYTES = 524_288

#: A large outcome is too large for the server if it has failed so often in a row, and a small call has succeeded
#: after each of these times.
ATTEMPTS = 5

#: The pauses between attempts, in seconds: each is twice the one before.
SHORTEST_PAUSE = 0.1
LONGEST_PAUSE = 2.0

#: What a server says of a value that is longer than it takes (proto-max-bulk-len), if its words arrive.
REFUSED_SIZE = "Protocol error"


class Freight:
    """Large outcomes on their way.

    Args:
        connection: a sibling of the courier's. It is closed when `run` ends, and opens again when it is needed.

    """

    def __init__(self, connection: Connection) -> None:
        self.waiting: deque[tuple[Run, Outcome]] = deque()  # the one that is under way is the first
        self._connection = connection
        self._failures: dict[Run, int] = {}  # in a row
        self._arrival = asyncio.Event()

    def put(self, run: Run, outcome: Outcome) -> None:
        """Take a large outcome."""
        self.waiting.append((run, outcome))
        self._arrival.set()

    async def run(
        self, delivered: Callable[[Run], None], returned: Callable[[Run, Outcome, ServerError], None]
    ) -> None:
        """Deliver, until cancelled. What has not been confirmed until then stays in `waiting`.

        Args:
            delivered: called with a run whose outcome has been recorded.
            returned: called with an outcome that the server does not take, which is not large any more if it was
                refused for its size, and with the refusal.

        """
        pause = SHORTEST_PAUSE

        try:
            while True:
                await self._arrival.wait()
                self._arrival.clear()

                while self.waiting:
                    run, outcome = self.waiting[0]

                    try:
                        await self._send(run, outcome)
                    except ServerUnreachable as error:
                        log.warning("the large result of %s: %s; trying again", run.named, error)

                        if await self._is_too_large(run):
                            self._remove_first()
                            returned(run, _too_large(run, outcome, error), error)
                        else:
                            self.waiting.rotate(-1)  # in a Cluster, the next one's server may be there

                        await asyncio.sleep(pause * (0.5 + random.random()))  # noqa: S311 - spreads a crowd, no secret
                        pause = min(2 * pause, LONGEST_PAUSE)
                    except ServerError as error:
                        self._remove_first()
                        refused = _too_large(run, outcome, error) if REFUSED_SIZE in str(error) else outcome
                        returned(run, refused, error)
                    else:
                        self._remove_first()
                        pause = SHORTEST_PAUSE
                        delivered(run)
        finally:
            if self.waiting:
                self._arrival.set()

            with CancelScope(shield=True):
                await self._connection.aclose()

    def _remove_first(self) -> None:
        run, _ = self.waiting.popleft()
        self._failures.pop(run, None)

    async def _is_too_large(self, run: Run) -> bool:
        """Whether a call that has ended with its connection did so once too often.

        An unsteady line and a limit of the server look alike: the connection ends. With a server that is away,
        small calls fail as well.
        """
        try:
            await self._connection.call(("EXISTS", run.store.keys.job + run.id.encode()))
        except ServerError:
            self._failures.pop(run, None)
            return False

        self._failures[run] = self._failures.get(run, 0) + 1

        return self._failures[run] >= ATTEMPTS

    async def _send(self, run: Run, outcome: Outcome) -> None:
        ((command, claims),) = run.store.duty.end_commands([(run.claim, outcome)])
        sent_before = {run.claim} if run in self._failures else set()
        report(run.store.queue, [claims], await self._connection.calls((command,)), sent_before)


@dataclass(frozen=True, slots=True)
class LostClaim:
    """A job whose claims were lost again and again: its arguments may be too large for what the server may send.

    Args:
        id: the job's.
        losses: in a row, of claims of this job alone, while a small call succeeded after each.

    """

    id: str
    losses: int

    async def fail(self, connection: Connection, store: Store, worker: str) -> None:
        """End the run that was claimed last, if its arguments are large. Small ones are lost for other reasons."""
        key = store.keys.job + self.id.encode()
        size, (status, name, fence, func) = await connection.calls(
            (("HSTRLEN", key, "data"), ("HMGET", key, "status", "worker", "fence", "func"))
        )

        if size <= LARGE_BYTES or status != b"started" or name != worker.encode():
            return

        claim = Claim(JobRecord(self.id, {b"func": func or b""}), int(fence))
        error = PayloadTooLarge(
            f"the arguments have {size} bytes and do not reach the worker, while smaller replies do: see"
            " client-output-buffer-limit of the server. Store them elsewhere, and pass a reference to them"
        )
        tell_of_failure(self.id, claim.record.func_name, store.queue, error, worker)
        ((command, claims),) = store.duty.end_commands([(claim, _failed(claim, error))])
        report(store.queue, [claims], await connection.calls((command,)), set())


def is_large(outcome: Outcome) -> bool:
    """Whether an outcome does not travel with others."""
    return isinstance(outcome, Finished) and len(outcome.result) > LARGE_BYTES


def report(
    queue: str, covered: Sequence[Sequence[Claim]], replies: Sequence[object], sent_before: set[Claim]
) -> None:
    """Tell of runs that were not recorded.

    Args:
        queue: the name of the queue.
        covered: the claims that each of the replies is for.
        replies: what the server says.
        sent_before: claims whose outcome was sent before, so that the first call may have recorded it. Those that
            are covered are taken out.

    """
    for claims, reply in zip(covered, replies, strict=False):
        for position, verdict in read_refused(reply).items():
            claim = claims[position]

            if verdict != "already":
                log.log(
                    logging.INFO if claim in sent_before else logging.WARNING,
                    "%s (queue %s, job %s): the run with fence %d was not recorded%s (%s)",
                    printable(claim.record.func_name),
                    queue,
                    claim.record.id,
                    claim.fence,
                    " a second time" if claim in sent_before else "",
                    verdict,
                )

        if sent_before:
            sent_before.difference_update(claims)


def _too_large(run: Run, outcome: Outcome, refusal: ServerError) -> Outcome:
    size = len(outcome.result) if isinstance(outcome, Finished) else 0
    name = run.claim.record.func_name
    error = PayloadTooLarge(
        f"the result of {name} has {size} bytes, and the server does not take it, while it takes smaller calls:"
        f" {refusal} See its proto-max-bulk-len and client-query-buffer-limit. Store the result elsewhere, and"
        " return a reference to it"
    )
    tell_of_failure(run.id, name, run.store.queue, error, run.claim.record.worker)

    return _failed(run.claim, error)


def _failed(claim: Claim, error: Exception) -> Failed:
    return Failed(packed_failure(claim.record, error, f"{type_name(type(error))}: {error}"))
