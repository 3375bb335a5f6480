"""Large outcomes: they go to the server one at a time, on a connection of their own.

On the courier's connection, a large outcome would hold up all claims and outcomes behind it for as long as the
line needs for its bytes.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections import deque
from collections.abc import Callable, Sequence

from anyio import CancelScope

from aioq.store import Connection
from aioq.store.duty import read_refused
from aioq.values.claim import Claim
from aioq.values.errors import PayloadTooLarge, ServerError, ServerUnreachable
from aioq.values.outcome import Failed, Finished, Outcome
from aioq.values.summary import printable, type_name
from aioq.worker.failure import packed_failure
from aioq.worker.run import Run
from aioq.worker.series import in_series
from aioq.worker.telling import tell_of_failure

log = logging.getLogger("aioq.worker")

#: An outcome of more bytes than this is large, and a round trip of the courier carries no more than this of small
#: ones. A server allows at least 1 MiB for one value and for one call, so no round trip is too large for it.
LARGE_BYTES = 524_288

#: A large outcome is too large for the server if its call has failed so often in a row, and a small call has
#: succeeded after each of these times.
FAILURES_UNTIL_TOO_LARGE = 5

#: The pauses between attempts, in seconds: each is twice the one before.
SHORTEST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 2.0

#: What a server says of a value that is longer than it takes (proto-max-bulk-len), if its words arrive.
SIZE_REFUSAL_TEXT = "Protocol error"


class LargeOutcomes:
    """Takes large outcomes to the server.

    Args:
        connection: a sibling of the courier's. It is closed when `run` ends, and opens again when it is needed.

    """

    def __init__(self, connection: Connection) -> None:
        #: The first one is under way.
        self.waiting: deque[tuple[Run, Outcome]] = deque()
        self._connection = connection
        self._failures_in_a_row: dict[Run, int] = {}
        self._added = asyncio.Event()

    def put(self, run: Run, outcome: Outcome) -> None:
        """Take a large outcome."""
        self.waiting.append((run, outcome))
        self._added.set()

    async def run(
        self,
        recorded: Callable[[Run, list[tuple[Run, Outcome]]], None],
        refused: Callable[[Run, Outcome, ServerError], None],
    ) -> None:
        """Send outcomes until cancelled. Those that the server has not confirmed until then stay in `waiting`.

        Args:
            recorded: called with a run whose call was answered, and with its outcome if that was recorded.
            refused: called with an outcome that the server does not take, and with the refusal. If it was refused
                for its size, a small outcome that says so takes its place.

        """
        pause = SHORTEST_PAUSE_S

        try:
            while True:
                await self._added.wait()
                self._added.clear()

                while self.waiting:
                    run, outcome = self.waiting[0]

                    try:
                        is_recorded = await self._send(run, outcome)
                    except ServerUnreachable as error:
                        log.warning("the large result of %s: %s; trying again", run.named, error)

                        if await self._is_too_large(run):
                            self._remove_first()
                            refused(run, _too_large(run, outcome, error), error)
                        else:
                            self.waiting.rotate(-1)  # in a Cluster, the next one's server may be there

                        await asyncio.sleep(pause * (0.5 + random.random()))  # noqa: S311 - spreads a crowd, no secret
                        pause = min(2 * pause, LONGEST_PAUSE_S)
                    except ServerError as error:
                        self._remove_first()
                        is_too_large = SIZE_REFUSAL_TEXT in str(error)
                        refused(run, _too_large(run, outcome, error) if is_too_large else outcome, error)
                    else:
                        self._remove_first()
                        pause = SHORTEST_PAUSE_S
                        recorded(run, [(run, outcome)] if is_recorded else [])
        finally:
            if self.waiting:
                self._added.set()

            with CancelScope(shield=True):
                await self._connection.aclose()

    def _remove_first(self) -> None:
        run, _ = self.waiting.popleft()
        self._failures_in_a_row.pop(run, None)

    async def _is_too_large(self, run: Run) -> bool:
        """Whether the connection has ended once too often under the call with this outcome.

        An unsteady line and a limit of the server look alike: the connection ends. With a server that is away,
        small calls fail as well.
        """
        try:
            await self._connection.call(("EXISTS", run.store.keys.job + run.id.encode()))
        except ServerError:
            self._failures_in_a_row.pop(run, None)
            return False

        self._failures_in_a_row[run] = self._failures_in_a_row.get(run, 0) + 1

        return self._failures_in_a_row[run] >= FAILURES_UNTIL_TOO_LARGE

    async def _send(self, run: Run, outcome: Outcome) -> bool:
        """Record an outcome. False: another claim is the valid one."""
        ((command, claims),) = run.store.duty.end_commands([(run.claim, outcome)])
        sent_before = {run.claim} if run in self._failures_in_a_row else set()
        replies = await self._connection.calls((command,))

        return not report_refused(run.store.queue, [claims], replies, sent_before)


def is_large(outcome: Outcome) -> bool:
    """Whether an outcome goes to the server alone."""
    return isinstance(outcome, Finished) and len(outcome.result) > LARGE_BYTES


def report_refused(
    queue: str, covered: Sequence[Sequence[Claim]], replies: Sequence[object], sent_before: set[Claim]
) -> list[Claim]:
    """Log which runs were not recorded, and name their claims.

    Args:
        queue: the name of the queue.
        covered: the claims that each of the replies is for.
        replies: what the server says.
        sent_before: claims whose outcome was sent before, so that the first call may have recorded it. Those that
            are covered are taken out.

    """
    refused = []

    for claims, reply in zip(covered, replies, strict=False):
        for position, verdict in read_refused(reply).items():
            claim = claims[position]

            if verdict != "already":
                refused.append(claim)
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

    return refused


def _too_large(run: Run, outcome: Outcome, refusal: ServerError) -> Outcome:
    size = len(outcome.result) if isinstance(outcome, Finished) else 0
    name = run.claim.record.func_name
    error = PayloadTooLarge(
        f"the result of {name} has {size} bytes, and the server does not take it, while it takes smaller calls:"
        f" {refusal} See its proto-max-bulk-len and client-query-buffer-limit. Store the result elsewhere, and"
        " return a reference to it"
    )
    tell_of_failure(run.id, name, run.store.queue, error, run.claim.record.worker)

    return in_series(run, failed(run.claim, error))


def failed(claim: Claim, error: Exception) -> Failed:
    """The outcome of a run that the worker fails for a reason of its own."""
    return Failed(packed_failure(claim.record, error, f"{type_name(type(error))}: {error}"))
