"""A simulation of one shard: producers, the server's core, and workers with a core and slots each.

It follows what aioq does. Enqueues that arrive during a call share the next one (`aioq/store/net/batcher.py`). A
worker takes outcomes along and brings claims back, with up to two trips under way (`aioq/worker/courier.py`),
claims ahead by its pace (`aioq/worker/pace.py`), and is woken by a token when it is idle. Each core does one thing
at a time, in the order in which it comes. So an event is a call or a step of a job, and a heap of them is all that
is needed: with a library whose jobs are generators, most of the time would go into those.
"""

from __future__ import annotations

import heapq
import math
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from aioq.store.net.batcher import FULL_ITEMS, MAX_ITEMS, MOST_UNDER_WAY
from aioq.worker import courier, demand, pace
from benchmarks.bench import percentile

SHAPES = ("fixed", "exponential", "lognormal")

#: The width of the lognormal distribution: its p99 is about six times its mean.
SIGMA = 1.0


@dataclass(frozen=True)
class Costs:
    """What aioq takes: µs of CPU for each call and for each job in it, bytes, and seconds on the way.

    The defaults are those of the last table of docs/benchmarks.md. That table has no lone jobs: `claim_call` and
    `worker_call` are from `python -m benchmarks.sizing --calibrate`. `hop` is a guess for loopback.
    """

    client_call: float = 56.0
    client_job: float = 13.0
    enqueue_call: float = 51.1
    enqueue_job: float = 5.6
    claim_call: float = 78.0
    claim_job: float = 13.6
    worker_call: float = 88.0
    worker_job: float = 10.4
    hop: float = 10e-6
    queued_bytes: float = 229
    finished_bytes: float = 397


@dataclass(frozen=True)
class Load:
    """What is to be done.

    Args:
        rate: jobs per second, at random moments.
        duration: mean seconds from a body's begin to its end on a core that is free.
        cpu: seconds of it on the worker's core.
        shape: of the durations, one of SHAPES; the part of CPU is the same in all.
        burst: jobs that come at once, beside the steady ones.
        every: seconds between bursts; the first one comes at the start.
        producers: processes that enqueue to a shard.
        tick: seconds; jobs come together at its multiples, as from a timer. 0: each at its own moment.

    """

    rate: float
    duration: float = 0.0
    cpu: float = 0.0
    shape: str = "fixed"
    burst: int = 0
    every: float = 60.0
    producers: int = 1
    tick: float = 0.0

    @property
    def mean_rate(self) -> float:
        return self.rate + self.burst / self.every


@dataclass(frozen=True)
class Setup:
    """Who does it.

    Args:
        workers: processes.
        slots: jobs that each of them runs side by side.
        shared: all workers and producers have one core together, as in a benchmark on two cores.

    """

    workers: int
    slots: int
    shared: bool = False


@dataclass(frozen=True)
class Prediction:
    """What came of it. Shares are of the time until the last job had ended.

    Args:
        jobs: how many were simulated.
        rate: jobs per second, from the first arrival to the last end.
        p50: seconds from the call of enqueue to the body's begin.
        p99: the same.
        server: share of its core.
        worker: share of a worker's core, the mean of all.
        slots: share of the slots in use.
        server_us: µs of the server for each job.
        client_us: µs of producers for each job.
        worker_us: µs of workers for each job, the job's own CPU included.
        deepest: the most jobs that waited in the queue.

    """

    jobs: int
    rate: float
    p50: float
    p99: float
    server: float
    worker: float
    slots: float
    client_us: float
    server_us: float
    worker_us: float
    deepest: int


class Core:
    """Does one thing at a time, in the order in which they come."""

    def __init__(self) -> None:
        self.free = 0.0

    def take(self, now: float, seconds: float) -> float:
        """When it will have done this."""
        self.free = max(now, self.free) + seconds

        return self.free


@dataclass
class Job:
    arrived: float
    duration: float
    cpu: float


@dataclass
class Producer:
    core: Core
    waiting: deque[Job] = field(default_factory=deque)
    flights: int = 0


@dataclass
class Worker:
    """The state of a worker, in the words of the courier."""

    core: Core
    held: int = 0
    asked: int = 0
    running: int = 0
    outbox: int = 0
    trips: int = 0
    looking: bool = True
    departing: bool = False
    ahead: int = 0
    ended: int = 0
    noted: tuple[float, int] = (0.0, 0)
    begun: deque[Job] = field(default_factory=deque)
    used: float = 0.0


class Shard:
    """One run.

    Args:
        load: what arrives here.
        setup: who serves it.
        costs: what each step takes.
        count: jobs until arrivals end.
        seed: the same one brings the same figures.
        progress: called with the number of jobs that have ended, now and then.

    """

    def __init__(
        self,
        load: Load,
        setup: Setup,
        costs: Costs,
        count: int,
        seed: int,
        progress: Callable[[int], None] | None = None,
    ) -> None:
        self._load, self._setup, self._costs, self._count = load, setup, costs, count
        self._random = random.Random(seed)
        self._progress = progress
        one = Core()
        self._server = Core()
        self._producers = [Producer(one if setup.shared else Core()) for _ in range(load.producers)]
        self._workers = [Worker(one if setup.shared else Core()) for _ in range(setup.workers)]
        self._idle: deque[Worker] = deque(self._workers)
        self._lane: deque[Job] = deque()
        self._heap: list[tuple[float, int, Callable[[float], None]]] = []
        self._sequence = 0
        self._waits: list[float] = []
        self._server_used = self._slots_used = 0.0
        self._arrived = self._ended = self._deepest = 0
        self._steady = self._last = self._client_used = 0.0

    def run(self) -> Prediction:
        if self._load.burst:
            self._at(0.0, self._arrive_burst)

        if self._load.rate:
            self._steady = self._next(0.0)
            self._at(self._ticked(self._steady), self._arrive_one)

        while self._heap:
            now, _, event = heapq.heappop(self._heap)
            event(now)

        used = sum(worker.used for worker in self._workers)
        workers, slots = self._setup.workers, self._setup.slots

        return Prediction(
            jobs=self._ended,
            rate=self._ended / self._last,
            p50=percentile(self._waits, 0.5),
            p99=percentile(self._waits, 0.99),
            server=self._server_used / self._last,
            worker=used / self._last / workers,
            slots=self._slots_used / self._last / (workers * slots),
            client_us=self._client_used / self._ended * 1e6,
            server_us=self._server_used / self._ended * 1e6,
            worker_us=used / self._ended * 1e6,
            deepest=self._deepest,
        )

    def _at(self, moment: float, event: Callable[[float], None]) -> None:
        self._sequence += 1
        heapq.heappush(self._heap, (moment, self._sequence, event))

    # Arrivals

    def _arrive_one(self, now: float) -> None:
        if self._arrived < self._count:
            self._steady = self._next(self._steady)
            self._at(self._ticked(self._steady), self._arrive_one)
            self._arrive(now, 1)

    def _next(self, after: float) -> float:
        return after + self._random.expovariate(self._load.rate)

    def _ticked(self, moment: float) -> float:
        return math.ceil(moment / self._load.tick) * self._load.tick if self._load.tick else moment

    def _arrive_burst(self, now: float) -> None:
        if self._arrived < self._count:
            self._at(now + self._load.every, self._arrive_burst)
            self._arrive(now, min(self._load.burst, self._count - self._arrived))

    def _arrive(self, now: float, count: int) -> None:
        self._arrived += count

        for _ in range(count):
            scale = self._scale()
            producer = self._producers[self._random.randrange(len(self._producers))]
            producer.waiting.append(Job(now, self._load.duration * scale, self._load.cpu * scale))
            self._enqueue(now, producer)

    def _scale(self) -> float:
        if self._load.shape == "exponential":
            return self._random.expovariate(1)

        return self._random.lognormvariate(-(SIGMA**2) / 2, SIGMA) if self._load.shape == "lognormal" else 1.0

    # Producers

    def _enqueue(self, now: float, producer: Producer) -> None:
        """Send what waits, by the rules of the batcher."""
        enough = 1 if producer.flights == 0 else FULL_ITEMS

        if producer.flights < MOST_UNDER_WAY and len(producer.waiting) >= enough:
            batch = [producer.waiting.popleft() for _ in range(min(MAX_ITEMS, len(producer.waiting)))]
            producer.flights += 1
            costs = self._costs
            seconds = (costs.client_call + costs.client_job * len(batch)) / 1e6
            self._client_used += seconds
            left = producer.core.take(now, seconds)
            self._at(left + costs.hop, lambda moment: self._store(moment, producer, batch))

    def _store(self, now: float, producer: Producer, batch: list[Job]) -> None:
        costs = self._costs
        done = self._serve(now, costs.enqueue_call + costs.enqueue_job * len(batch))
        self._at(done, lambda moment: self._stored(moment, batch))
        self._at(done + costs.hop, lambda moment: self._answered(moment, producer))

    def _stored(self, now: float, batch: list[Job]) -> None:
        self._lane.extend(batch)
        self._deepest = max(self._deepest, len(self._lane))
        self._wake(now)

    def _answered(self, now: float, producer: Producer) -> None:
        producer.flights -= 1
        self._enqueue(now, producer)

    # The server

    def _serve(self, now: float, micros: float) -> float:
        self._server_used += micros / 1e6

        return self._server.take(now, micros / 1e6)

    def _wake(self, now: float) -> None:
        """A token for the worker that has been idle for longest. It will claim."""
        if self._lane and self._idle:
            worker = self._idle.popleft()
            done = self._serve(now, self._costs.claim_call)
            self._at(done + self._costs.hop, lambda moment: self._woken(moment, worker))

    def _woken(self, now: float, worker: Worker) -> None:
        worker.looking = True
        self._work(worker, now, self._costs.worker_call)
        self._consider(now, worker)

    # Workers

    def _work(self, worker: Worker, now: float, micros: float) -> float:
        worker.used += micros / 1e6

        return worker.core.take(now, micros / 1e6)

    def _wants(self, worker: Worker) -> int:
        room = self._setup.slots + worker.ahead - worker.held - worker.asked

        return max(0, min(room, self._setup.slots, demand.JOBS_PER_ROUND_TRIP))

    def _is_worth_a_trip(self, worker: Worker) -> bool:
        load = worker.outbox + (self._wants(worker) if worker.looking else 0)

        if not worker.trips:
            return load > 0

        return worker.trips < courier.ROUND_TRIPS_AT_ONCE and 2 * load >= min(
            self._setup.slots, demand.JOBS_PER_ROUND_TRIP
        )

    def _consider(self, now: float, worker: Worker) -> None:
        """Like the courier's loop, it has its turn after all that is ready before it."""
        if not worker.departing and self._is_worth_a_trip(worker):
            worker.departing = True
            self._at(self._work(worker, now, self._costs.worker_call), lambda moment: self._depart(moment, worker))

    def _depart(self, now: float, worker: Worker) -> None:
        worker.departing = False

        if not self._is_worth_a_trip(worker):
            return

        self._note(now, worker)
        outcomes, wanted = min(worker.outbox, demand.JOBS_PER_ROUND_TRIP), self._wants(worker)
        worker.outbox -= outcomes
        worker.asked += wanted
        worker.trips += 1
        self._at(now + self._costs.hop, lambda moment: self._visit(moment, worker, outcomes, wanted))
        self._consider(now, worker)

    def _note(self, now: float, worker: Worker) -> None:
        since, ended = worker.noted

        if now - since >= pace.PACE_WINDOW_S:
            most = self._setup.slots if self._setup.slots >= pace.CLAIMING_AHEAD_MIN_SLOTS else 0
            worker.ahead = min(most, int((worker.ended - ended) / (now - since) * pace.CLAIMED_AHEAD_BEGIN_S))
            worker.noted = (now, worker.ended)

    def _visit(self, now: float, worker: Worker, outcomes: int, wanted: int) -> None:
        """The trip at the server: outcomes and claims are half of a job's cost each."""
        claims = [self._lane.popleft() for _ in range(min(wanted, len(self._lane)))]
        done = self._serve(now, self._costs.claim_call + self._costs.claim_job * (outcomes + len(claims)) / 2)
        self._at(done + self._costs.hop, lambda moment: self._arrived_trip(moment, worker, claims, wanted))

    def _arrived_trip(self, now: float, worker: Worker, claims: list[Job], wanted: int) -> None:
        worker.trips -= 1
        worker.asked -= wanted

        if wanted:
            worker.looking = len(claims) == wanted

        worker.held += len(claims)
        worker.begun.extend(claims)
        self._begin(now, worker)
        self._consider(now, worker)
        self._rest(now, worker)

    def _rest(self, now: float, worker: Worker) -> None:
        """Wait for a token, if the queue was empty and slots are free."""
        if not worker.looking and not worker.trips and self._wants(worker) and worker not in self._idle:
            self._idle.append(worker)
            self._wake(now)

    def _begin(self, now: float, worker: Worker) -> None:
        while worker.begun and worker.running < self._setup.slots:
            job = worker.begun.popleft()
            worker.running += 1
            self._waits.append(max(now, worker.core.free) - job.arrived)
            sleeps = job.duration > job.cpu
            micros = (self._costs.worker_job + job.cpu * 1e6) / (2 if sleeps else 1)
            done = self._work(worker, now, micros)

            if sleeps:
                moment = done + job.duration - job.cpu
                self._at(moment, partial(self._resume, worker, micros, now))
            else:
                self._at(done, partial(self._end, worker, now))

    def _resume(self, worker: Worker, micros: float, began: float, now: float) -> None:
        self._at(self._work(worker, now, micros), partial(self._end, worker, began))

    def _end(self, worker: Worker, began: float, now: float) -> None:
        self._slots_used += now - began
        worker.running -= 1
        worker.held -= 1
        worker.ended += 1
        worker.outbox += 1
        self._ended += 1
        self._last = now

        if self._progress and self._ended % 1000 == 0:
            self._progress(self._ended)

        self._begin(now, worker)
        self._consider(now, worker)
        self._rest(now, worker)


def simulate(
    load: Load,
    setup: Setup,
    costs: Costs | None = None,
    *,
    count: int | None = None,
    seed: int = 1,
    progress: Callable[[int], None] | None = None,
) -> Prediction:
    """What one shard makes of a load. The same arguments bring the same figures.

    Args:
        load: what arrives.
        setup: who serves it.
        costs: what each step takes; by default the last table's.
        count: jobs; by default those of some seconds or of a burst, and never more than 200,000.
        seed: of all that is random.
        progress: called with the number of jobs that have ended, now and then.

    """
    return Shard(load, setup, costs or Costs(), count or default_count(load), seed, progress).run()


def default_count(load: Load) -> int:
    """Enough jobs for a p99: those of ten seconds and of two bursts, within limits."""
    steady = max(2_000, math.ceil(load.rate * max(10, 5 * load.duration)))
    bursts = load.burst + math.ceil(load.rate * load.every) if load.burst else 0

    return min(200_000, max(steady, bursts) if load.rate else load.burst)
