"""A producer in a process of its own: `python -m tests.chaos.producer URL QUEUE SEED SECONDS RATE`."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Awaitable, Sequence
from typing import Any

from aioq import Job, JobFailed, Queue, Retry
from aioq.values.errors import AioqError, ServerError, ServerFull

from . import bodies
from .bodies import note
from .workload import Order, orders

#: How long a result is waited for, and a job that is to begin or to fail, in seconds: longer than any fault lasts.
PATIENCE = 60.0


async def ask(operation: str, jobs: Sequence[str], call: Awaitable[Any], **details: object) -> bool:
    """Notes an operation, and whether it was carried out: ok, fail, or info (nobody knows)."""
    for job in jobs:
        note("invoke", operation, job, **details)

    try:
        await call
        outcome = "ok"
    except ServerFull:
        outcome = "fail"
    except ServerError:
        outcome = "info"
    except AioqError:  # it was refused: the job has ended, say
        outcome = "fail"

    for job in jobs:
        note(outcome, operation, job)  # type: ignore[arg-type]

    return outcome == "ok"


async def hear(job: Job[Any]) -> None:
    """Waits for a result, and notes which run it is of."""
    note("invoke", "result", job.id)

    try:
        fence = await job.result(timeout=PATIENCE)
        note("commit", "", job.id, fence=fence)
        note("ok", "result", job.id)
    except JobFailed:
        note("ok", "result", job.id)
    except (AioqError, TimeoutError) as error:
        note("info", "result", job.id)
        print(f"{job.id}: {type(error).__name__}: {error}", flush=True)


async def until(condition: str, job: Job[Any]) -> bool:
    """Waits until a job is in a state; that there is no server for a while does not end it."""
    deadline = time.monotonic() + PATIENCE

    while time.monotonic() < deadline:
        try:
            status = await job.get_status()
        except ServerError:
            status = None
        except AioqError:
            return False  # it is gone

        if status == condition:
            return True

        if status is not None and status.is_final:
            return False

        await asyncio.sleep(0.1)

    return False


def make(order: Order, job_id: str | None) -> tuple[Job[Any], int]:
    """The job of an order, and how often it may be retried."""
    options: dict[str, Any] = {"job_id": job_id}

    match order.kind:
        case "thread":
            return Job.create(bodies.work_sync, (order.seconds,), **options), 0
        case "block":
            return Job.create(bodies.block, (order.seconds,), **options), 0
        case "retry":
            retries = 1 + order.number % 3
            retry = Retry(max=retries, interval=0.2 * (order.number % 2))
            return Job.create(bodies.fail, (order.seconds, retries), retry=retry, **options), retries
        case "fail" | "requeue":
            return Job.create(bodies.fail, (order.seconds, 1000), **options), 0
        case "timeout":
            return Job.create(bodies.work, (30.0,), job_timeout=0.5, **options), 0
        case "ttl":
            return Job.create(bodies.work, (order.seconds,), ttl=0.1 + order.delay / 4, **options), 0
        case "meta":
            return Job.create(bodies.tell, (order.seconds,), **options), 0

    return Job.create(bodies.work, (order.seconds, b"x" * order.pad), **options), 0


async def carry_out(order: Order, queue: Queue, seed: str) -> None:
    """One order, with all that follows from it."""
    job_id = f"{seed}-{order.number}"

    if order.kind == "many":
        ids = [f"{job_id}-{number}" for number in range(10)]
        calls = [Queue.prepare_data(bodies.work, (0.0,), job_id=each) for each in ids]
        await ask("enqueue", ids, queue.enqueue_many(calls))

        return

    if order.kind == "schedule":
        due = time.monotonic() + order.delay
        later = queue.using(job_id=job_id).enqueue_in(order.delay, bodies.work, order.seconds)
        await ask("enqueue", [job_id], later, due=due)

        return

    job, retries = make(order, job_id if order.chosen_id else None)

    if not await ask("enqueue", [job.id], queue.enqueue_job(job), retries=retries):
        return

    match order.kind:
        case "wait":
            await hear(job)
        case "cancel":
            await asyncio.sleep(order.delay)
            await ask("cancel", [job.id], job.cancel())
        case "stop" if await until("started", job):
            await ask("stop", [job.id], job.stop())
        case "requeue" if await until("failed", job):
            await ask("requeue", [job.id], job.requeue())


async def main(url: str, name: str, seed: str, seconds: str, rate: str) -> None:
    begun = time.monotonic()

    async with Queue(name, url) as queue, asyncio.TaskGroup() as group:
        for order in orders(seed, float(seconds), float(rate)):
            await asyncio.sleep(max(0.0, begun + order.at - time.monotonic()))
            group.create_task(carry_out(order, queue, seed))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
