"""An hour in the life of a shop, for pictures: its queues have run jobs, and one of them had a bad time.

The jobs are enqueued, claimed and ended by the project's own scripts, and counted as a worker counts them. Only
the clock is moved on between the steps, and nobody calls a function: how long a run takes is drawn here.
"""

from __future__ import annotations

import math
import pickle
import random
from collections.abc import Iterator
from contextlib import aclosing
from typing import NamedTuple

from aioq import Queue
from aioq.store import Connection
from aioq.store.keys import TEST_PREFIX
from aioq.store.time_travel import advance
from aioq.values.claim import Claim
from aioq.values.failure import Failure
from aioq.values.figures import RUN, WAIT, pack_figures
from aioq.values.fingerprint import fingerprint
from aioq.values.histogram import Histogram
from aioq.values.outcome import Failed, Finished, Outcome

#: Only the clock of such a namespace can be moved on.
PREFIX = f"{TEST_PREFIX}shop"

#: A worker tells every ten seconds what it has counted, so an hour has 360 steps.
STEP_S, STEPS = 10, 360

#: The worker that has run these jobs. It leaves at the end of the hour.
WORKER, LEASE_MS = "web-0", 3 * 3_600_000

#: Results of the last minute are kept, and all failed jobs.
RESULT_TTL_MS = 60_000

TRACE = """Traceback (most recent call last):
  File "/srv/shop/shop.py", line 41, in charge
    answer = await pay.post("/charge", json={"order": order, "amount": amount})
  File "/srv/shop/pay.py", line 18, in post
    raise TimeoutError(f"no answer from http://pay{path} within 10 s")
TimeoutError: no answer from http://pay/charge within 10 s"""


class Step(NamedTuple):
    """What happens to a queue in ten seconds.

    Args:
        arrive: how many jobs are enqueued.
        most: how many of those that wait can be run.
        run_ms: the median time of a run that does not fail. The others wait for an answer for ten seconds.
        failing: the share of runs that fail.

    """

    arrive: int
    most: int
    run_ms: float
    failing: float = 0.0


def mail(chance: random.Random) -> Iterator[Step]:
    """Waves of letters, and one newsletter."""
    for at in range(STEPS):
        wave = 6 + 2.5 * math.sin(at / 40) + chance.gauss(0, 0.8)
        yield Step(max(1, round(wave)) + (90 if at == 290 else 0), 12, 35)


def billing(chance: random.Random) -> Iterator[Step]:
    """Charges. For ten minutes no answer comes, and what has waited by then is caught up with."""
    for at in range(STEPS):
        arrive = max(0, round(3.5 + chance.gauss(0, 0.8)))
        is_bad = 150 <= at < 210
        yield Step(arrive, 2, 1500, 0.65) if is_bad else Step(arrive, 7, 180, 0.006)


async def pass_an_hour(url: str) -> None:
    """Let the hour pass in the namespace, which is empty."""
    chance = random.Random(7)

    async with aclosing(Connection(url, prefix=PREFIX)) as connection:
        hours = {
            Scene(Queue("mail", connection), "shop.send", chance): mail(chance),
            Scene(Queue("billing", connection), "shop.charge", chance): billing(chance),
        }

        # The hour ends now: pages compare what they read with the server's own clock.
        await advance(connection, -1000 * STEP_S * STEPS)

        for scene in hours:
            await scene.queue.store.duty.join(WORKER, LEASE_MS)

        for number in range(1, STEPS + 1):
            for scene, steps in hours.items():
                await scene.play(number, next(steps))

            await advance(connection, 1000 * STEP_S)

        for scene in hours:
            await scene.play(STEPS + 1, Step(0, 0, 0))
            await scene.queue.store.duty.leave(WORKER)


class Scene:
    """One queue, and the worker's part on it."""

    def __init__(self, queue: Queue, function: str, chance: random.Random) -> None:
        self.queue = queue
        self._function = function
        self._chance = chance
        self._slow: list[tuple[Claim, Outcome]] = []  # those end in the next step

    async def play(self, number: int, step: Step) -> None:
        """Enqueue, claim, end and count; the number is that of the step."""
        store, connection = self.queue.store, self.queue.connection
        jobs = [
            Queue.prepare_data(
                self._function, kwargs={"order": 1000 * number + at}, result_ttl=RESULT_TTL_MS / 1000
            )
            for at in range(step.arrive)
        ]
        await self.queue.enqueue_many(jobs)
        reply = await connection.call(store.duty.claim_command(WORKER, step.most))
        claims = store.duty.read_claims(reply, WORKER)
        begun = [(claim, self._end(claim, step)) for claim in claims.jobs]
        ended = self._slow + [each for each in begun if isinstance(each[1], Finished)]
        runs_ms = [self._run_ms(outcome, step) for _, outcome in ended]
        self._slow = [each for each in begun if isinstance(each[1], Failed)]

        for command, _ in store.duty.end_commands(ended):
            await connection.call(command)

        failed = sum(isinstance(outcome, Failed) for _, outcome in ended)
        counted = {"started": len(begun), "finished": len(ended) - failed, "failed": failed}
        counted |= {"wait_ms": sum(claims.waits_ms), "run_ms": sum(runs_ms)}

        for letter, times in ((WAIT, claims.waits_ms), (RUN, runs_ms)):
            counted |= {f"{letter}{bucket}": found for bucket, found in Histogram.of(times).counts.items()}

        await store.statistics.tally(WORKER, number, pack_figures(counted))

    def _run_ms(self, outcome: Outcome, step: Step) -> float:
        return 1000 * STEP_S if isinstance(outcome, Failed) else step.run_ms * self._chance.lognormvariate(0, 0.5)

    def _end(self, claim: Claim, step: Step) -> Outcome:
        if self._chance.random() >= step.failing:
            return Finished(b"p" + pickle.dumps(None), RESULT_TTL_MS)

        message = TRACE.rpartition(": ")[2]
        told = fingerprint(claim.record.func_name, "TimeoutError", message, TRACE)

        return Failed(Failure(TRACE, "TimeoutError", message, b"", told).pack())
