"""Route: one queue as a worker serves it."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence

from aioq.store import Connection, Store
from aioq.store.duty import read_holders
from aioq.values.claim import Claim
from aioq.values.errors import ServerError, ServerUnreachable
from aioq.values.numbers import count
from aioq.values.outcome import Outcome
from aioq.worker.figures import Figures
from aioq.worker.holders import Holders
from aioq.worker.lost_claim import LOSSES_UNTIL_FAILED, LostClaim
from aioq.worker.run import Cause, Run, cause_of_loss

log = logging.getLogger("aioq.worker")

#: The pauses between attempts to reach the server, in seconds: each is twice the one before.
SHORTEST_PAUSE_S = 0.05
LONGEST_PAUSE_S = 2.0

#: A burst gives a queue that was set aside up after this many refusals in a row.
REFUSALS_UNTIL_GIVEN_UP = 5

#: A run that has ended, and what it came to.
Ended = tuple[Run, Outcome]


class Route:
    """What a worker knows of a queue that it serves, and its calls about that queue alone.

    A queue is set aside when the server refuses its calls (a key of another type is in the way, say), or when the
    queue's server in a Cluster is away. It is then tried again and again by itself, and holds up no other queue.

    Args:
        connection: the worker's own, impatient one: it must know when a reply may have been lost.
        store: the queue.
        worker: the worker's name.
        lease_ms: how long a lease is, for joining the queue again.

    """

    def __init__(self, connection: Connection, store: Store, worker: str, lease_ms: int) -> None:
        self.store = store
        #: What is counted of the queue's jobs here.
        self.figures = Figures(store.statistics, worker)
        #: The number of the worker's session on this queue. A claim with an older number brings nothing.
        self.session = 0
        #: Outcomes that wait until the queue is served again; None: it is not set aside.
        self.waiting: list[Ended] | None = None
        #: How often in a row the server has refused the queue's calls.
        self.refusals = 0
        #: Whether nothing may be claimed here, since the worker does not keep its lease.
        self.is_barred = False
        #: The other workers that hold jobs of this queue.
        self.holders = Holders()
        #: The job whose claims were lost of late.
        self.lost_claim: LostClaim | None = None
        self._connection = connection
        self._worker = worker
        self._lease_ms = lease_ms

    @property
    def is_aside(self) -> bool:
        """Whether the queue is set aside."""
        return self.waiting is not None

    def set_aside(self, ended: Iterable[Ended] = ()) -> None:
        """Set the queue aside, with outcomes that come back from the server."""
        self.waiting = [*(self.waiting or ()), *ended]

    def serve_again(self) -> list[Ended]:
        """Serve the queue again. What has waited."""
        waiting, self.waiting = self.waiting, None

        return waiting or []

    def note_refusal(self, error: ServerError) -> None:
        """Count a refusal. A server of a Cluster that is away is none: it, or another one, comes back."""
        self.refusals += not isinstance(error, ServerUnreachable)

    def is_given_up(self, *, burst: bool) -> bool:
        """Whether a burst may end although outcomes wait here."""
        return burst and self.refusals >= REFUSALS_UNTIL_GIVEN_UP

    async def ask_for_holders(self) -> None:
        """Note which other workers hold jobs of this queue."""
        self.holders.note(read_holders(await self._connection.call(self.store.duty.holders_command(self._worker))))

    async def join(self) -> None:
        """Take a lease on the queue again."""
        await self.store.duty.join(self._worker, self._lease_ms, self.session)

    async def fail_lost_claim(self) -> None:
        """Fail a job whose claims are lost again and again."""
        if self.lost_claim is not None and self.lost_claim.losses >= LOSSES_UNTIL_FAILED:
            await self.lost_claim.fail(self._connection, self.store, self._worker)

    async def take_back(self, known: Sequence[Claim]) -> None:
        """Give jobs back that were claimed for this worker without its knowing: a reply was lost.

        Args:
            known: the claims of which the worker knows. They stay.

        """
        self.session += 1
        _, back, _ = await self.store.duty.reclaim(self._worker, known, self.session)

        if back:
            log.info("queue %s: %s of a lost reply went back", self.store.queue, count(len(back), "job"))

        if len(back) == 1:
            lost = self.lost_claim
            self.lost_claim = LostClaim(back[0], 1 + (lost.losses if lost and lost.id == back[0] else 0))

    async def invalid(self, held: Iterable[Run]) -> list[tuple[Run, Cause]]:
        """Those of the worker's runs whose claim on this queue is not valid any more, each with the reason."""
        runs = [run for run in held if run.store is self.store]
        records = await self.store.reads.load([run.id for run in runs])

        return [
            (run, cause_of_loss(record))
            for run, record in zip(runs, records, strict=True)
            if record is None or not record.is_claimed(run.claim.fence)
        ]

    async def heal(self, attempt: Callable[[Route], Awaitable[None]], failed: Callable[[], None]) -> None:
        """Try the queue with growing pauses until the server takes its calls again.

        Args:
            attempt: raises ServerError while it does not.
            failed: called after each attempt that was refused.

        """
        pause, since = SHORTEST_PAUSE_S, time.monotonic()

        while True:
            pause = min(2 * pause, LONGEST_PAUSE_S)
            await asyncio.sleep(pause * (0.5 + random.random()))  # noqa: S311 - spreads a crowd, no secret

            try:
                await attempt(self)
            except ServerError as error:
                self.note_refusal(error)
                failed()
                log.debug("queue %s stays aside: %s", self.store.queue, error)
            except Exception:  # it would stay aside for ever
                log.exception("queue %s stays aside: an error that nobody foresaw", self.store.queue)
            else:
                log.info("queue %s is served again after %.1f s", self.store.queue, time.monotonic() - since)

                return


def jobs_may_come(routes: Collection[Route]) -> bool:
    """Whether a burst must stay: a worker that holds jobs may be dead, or this one may claim none just now."""
    return any(route.is_barred or (route.holders.are_in_doubt and not route.is_aside) for route in routes)
