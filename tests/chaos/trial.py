"""A trial: one topology lives for a while under load and faults, is drained, read and judged."""

from __future__ import annotations

import asyncio
import json
import random
import re
import signal
import time
from collections import Counter
from dataclasses import asdict, dataclass, field, replace
from itertools import zip_longest
from typing import Any

from aioq import Queue
from aioq.doctor import examine
from aioq.store import Connection
from aioq.values.errors import AioqError
from aioq.values.record import JobRecord
from aioq.values.result import present_result
from aioq.values.states import JobStatus
from tests.tools import leaks

from .bodies import fence_of
from .checker import check
from .history import NO_FENCE, Event, gather
from .judging import acked, how_ended, jobs, reason, repeats
from .nemesis import SERIAL, Fault, of_mix
from .promises import is_brief, is_over
from .slot import STUCK, end_of
from .told import read_audit, read_tags
from .topology import TOPOLOGIES, Topology

#: Between two faults of the server, in seconds, on average.
PAUSE = 3.0

#: When all is healed, everything must have ended within this many seconds: the longest body, a lease, a delay.
LIVENESS = 60.0


@dataclass(frozen=True)
class Plan:
    """What a trial does. The seed and the rest of it give the schedule of orders and faults."""

    seed: str
    mix: str = "mixed"  # of nemesis.MIXES, or the name of one fault
    seconds: float = 60.0
    gap: float = 1.5  # seconds between two faults, on average
    faults: int | None = None  # no more than these
    workers: int = 6
    producers: int = 2
    rate: float = 20.0  # orders a second
    kind: str = "valkey9"
    disk: str = "always"
    topology: str = "standalone"
    load: str = "usual"  # of workload.LOADS
    loops: float = 0.1  # the share of orders that other event loops of the producers carry out


@dataclass
class Outcome:
    """What came of a trial."""

    plan: Plan
    jobs: int = 0
    runs: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    hit: Counter[str] = field(default_factory=Counter)  # runs that came again by a fault
    twice: Counter[str] = field(default_factory=Counter)  # those of them whose first run had come to its end
    recoveries: dict[str, list[float]] = field(default_factory=dict)  # seconds, see `judge`
    lost: int = 0  # jobs that were confirmed and have no state, whatever excuses it
    buried: int = 0  # jobs that failed because their workers were lost three times
    killers: int = 0  # those of them that have ended their workers themselves
    violations: list[str] = field(default_factory=list)
    folder: str = ""

    def json(self) -> str:
        return json.dumps(vars(self) | {"plan": asdict(self.plan)})

    @classmethod
    def read(cls, text: str) -> Outcome:
        row = json.loads(text)
        counters = {name: Counter(row[name]) for name in ("faults", "hit", "twice")}

        return cls(**row | counters | {"plan": Plan(**row["plan"])})


async def run(plan: Plan) -> Outcome:
    """Carries a plan out. The folder with the history is kept if something is wrong with it."""
    options: dict[str, Any] = {"workers": plan.workers, "producers": plan.producers}

    if any(fault.mix == "clock" for fault in of_mix(plan.mix)):
        options["has_clock"] = True

    scene = TOPOLOGIES[plan.topology](plan.kind, plan.disk, **options)

    async with scene:
        supervisor = asyncio.create_task(scene.supervise())
        scene.start_producers(plan.seed, plan.seconds, plan.rate, plan.load, plan.loops)
        await haunt(scene, plan)
        await drain(scene)
        scene.is_drained = True
        await supervisor
        await read(scene)

    outcome = await asyncio.to_thread(judge, plan, gather(scene.folder))
    outcome.violations = scene.problems + outcome.violations

    if outcome.violations:
        outcome.folder = str(scene.folder)
    else:
        scene.discard()

    return outcome


async def haunt(scene: Topology, plan: Plan) -> None:
    """Faults until the time is over; then all of them are healed. Those of the server come one after the other."""
    found, until = of_mix(plan.mix), time.monotonic() + plan.seconds
    serial = [each for each in found if each.mix in SERIAL]
    others = [each for each in found if each.mix not in SERIAL]

    async with asyncio.TaskGroup() as group:
        for kinds in (serial, others):
            if kinds:
                group.create_task(chain(scene, plan, kinds, until))


async def chain(scene: Topology, plan: Plan, kinds: list[Fault], until: float) -> None:
    rng, number = random.Random(f"{plan.seed} {plan.mix} {kinds[0].mix}"), 0

    async with asyncio.TaskGroup() as group:
        while number != plan.faults:
            is_serial = kinds[0].mix in SERIAL
            await asyncio.sleep(rng.uniform(1, 2 * PAUSE - 1) if is_serial else rng.expovariate(1 / plan.gap))

            if time.monotonic() >= until:
                break

            number += 1
            (fault,) = rng.choices(kinds, [each.weight for each in kinds])
            strike = group.create_task(hit(scene, fault, random.Random(f"{plan.seed} {fault.name} {number}")))

            if is_serial:
                await strike


async def hit(scene: Topology, fault: Fault, rng: random.Random) -> None:
    event = await fault.hit(scene, rng)

    if event is not None:
        scene.note(replace(event, name=fault.name))


async def drain(scene: Topology) -> None:
    """Wait until all producers are done and all jobs have ended, or too long."""
    deadline = time.monotonic() + 3 * LIVENESS

    for slot in scene.producers:
        if (code := await end_of(slot.process, deadline - time.monotonic())) is None:
            scene.problems.append(f"{slot.name} has not ended within {3 * LIVENESS:g} s; see its log")
            slot.process.kill()
            slot.process.wait()
        elif code not in (0, -signal.SIGKILL):
            scene.problems.append(f"{slot.name} ended with {code}; see its log")

    connection, begun = Connection(scene.url), time.monotonic()

    try:
        while not await is_empty(connection):
            # A job that ends its workers does so several times, and what it hit comes back after each.
            if time.monotonic() > max(begun, scene.deaths) + LIVENESS:
                scene.problems.append(f"jobs have not ended within {LIVENESS:g} s")
                break

            await asyncio.sleep(0.1)
    finally:
        await connection.aclose()


async def is_empty(connection: Connection) -> bool:
    counts = [await queue.store.reads.count() for queue in await Queue.all(connection)]

    states = ("queued", "started", "scheduled", "deferred")

    return not any(each.callbacks or any(each[state] for state in states) for each in counts)


async def read(scene: Topology) -> None:
    """Notes what is left: each job in each index, each result, each finding of the doctor, each key that leaks."""
    connection = Connection(scene.url)

    try:
        queues = await Queue.all(connection)

        for queue in queues:
            for status in JobStatus:
                await read_index(scene, queue, status)

        await read_audit(scene, queues)
        await read_tags(scene, queues)
        scene.problems += [str(found) for queue in queues for found in await examine(queue)]
        await dismiss(scene)
        scene.problems += [str(found) for queue in queues for found in await examine(queue)]
        await read_counts(scene, queues)
    finally:
        await connection.aclose()

    for admin in scene.admins():
        with admin as client:
            for key in leaks(client):
                scene.note(Event(time.monotonic(), "key", key))


async def read_index(scene: Topology, queue: Queue, status: JobStatus) -> None:
    offset, ids = 0, [""]

    while ids:
        ids, _ = await queue.store.reads.ids(status, offset, 1000)
        offset += len(ids)
        records = await queue.store.reads.load(ids)

        for job_id, record in zip(ids, records, strict=True):
            scene.note(Event(time.monotonic(), "final", status.value, job_id))
            fence = read_fence(record) if record is not None else None

            if fence is not None:
                scene.note(Event(time.monotonic(), "commit", "", job_id, fence))

            failure = record.failure if record is not None else None

            if failure is not None and failure.type == "aioq.errors.AbandonedJobError":
                scene.note(Event(time.monotonic(), "info", "buried", job_id, pid=last_worker(failure.text)))


async def read_counts(scene: Topology, queues: list[Queue]) -> None:
    """Notes what the statistics tell, now that all workers have told theirs. Fingerprints must list all failures.

    Jobs that are kept for a second go meanwhile, so the numbers may agree a little later.
    """
    totals = [(await queue.statistics(step="hour")).total for queue in queues]

    for name in ("finished", "failed"):
        scene.note(Event(time.monotonic(), "counted", name, fence=sum(getattr(each, name) for each in totals)))

    for queue in queues:
        for _ in range(20):
            listed = sum(each.count for each in await queue.store.failures.all())
            failed = (await queue.store.reads.count())[JobStatus.FAILED]

            if listed == failed:
                break

            await asyncio.sleep(0.2)
        else:
            scene.problems.append(f"{failed} jobs of {queue.name} have failed, and fingerprints list {listed}")


def last_worker(text: str) -> int:
    """The process of the worker on which a job was alone when it failed for that; 0 if the error names none.

    A worker may be killed between its claim and the call of the function, so no event tells of that run.
    """
    found = re.findall(r"(\d+)\.\w+ \(alone\)", text)

    return int(found[-1]) if found else 0


def read_fence(record: JobRecord) -> int | None:
    """The fence of the run whose result a record has; None if it has none, or says that it is not kept."""
    result = present_result(record)

    if result is None or result.type != "finished":
        return None

    try:
        return fence_of(result.return_value)
    except AioqError as error:
        return None if type(error).__name__ == "ResultNotKept" else NO_FENCE


async def dismiss(scene: Topology) -> None:
    """End all workers in order. One that has ended by itself is a problem, and one that does not end."""
    for slot in scene.workers:
        assert slot.worker is not None

        if slot.process.poll() is not None:
            scene.problems.append(f"{slot.name} ended by itself:\n{slot.worker.text()[-2000:]}")
        else:
            slot.worker.signal(signal.SIGTERM)

    for slot in scene.workers:
        assert slot.worker is not None

        if (code := await end_of(slot.process, STUCK)) is None:
            scene.problems.append(f"{slot.name} does not end:\n{slot.worker.text()[-2000:]}")
            slot.process.kill()
            slot.process.wait()
        elif code != 0:
            scene.problems.append(f"{slot.name} ended with {code}:\n{slot.worker.text()[-2000:]}")


def judge(plan: Plan, history: list[Event]) -> Outcome:
    """What the history says. No server is needed for it.

    A recovery is, after a fault that hit one worker, the time from the fault until a job that it ran runs again;
    after one of the server, from when it was healed until any job begins.
    """
    history = sorted(history, key=lambda event: event.at)
    faults = [event for event in history if event.kind == "fault"]
    outcome = Outcome(plan, faults=Counter(event.name for event in faults))
    outcome.violations = [str(violation) for violation in check(history)]

    for events in jobs(history).values():
        outcome.jobs += 1
        outcome.runs += sum(event.kind == "begin" for event in events)
        is_buried = any(event.name == "buried" for event in events)
        outcome.buried += is_buried
        outcome.killers += is_buried and any(event.kills for event in events)
        is_gone = not any(event.kind == "final" for event in events)
        is_fine = is_brief(events) and is_over(events, history)
        outcome.lost += acked(events) and is_gone and not is_fine

        for before, after in repeats(events):
            cause = reason(before, after, events, faults)

            if cause is None or cause.kind == "invoke" or how_ended(events, before) == "raised":
                continue  # a retry, or it was asked for

            outcome.hit[cause.name] += 1
            outcome.twice[cause.name] += how_ended(events, before) == "returned"

            if cause.pid:
                wait = after.at - max(cause.at, before.at)
                outcome.recoveries.setdefault(cause.name, []).append(wait)

    begins = [event.at for event in history if event.kind == "begin"]
    outages = [each for each in faults if not each.pid]

    for one, two in zip_longest(outages, outages[1:]):
        # All of them were hit: how soon was there work again? Nobody knows, if the next fault came before it.
        healed = max(one.at, one.until)
        first = next((at for at in begins if at >= healed), None)

        if first is not None and (two is None or first < two.at):
            outcome.recoveries.setdefault(one.name, []).append(first - healed)

    return outcome
