"""A producer in a process of its own: `python -m tests.chaos.producer URL QUEUES SEED SECONDS RATE LOAD LOOPS`.

It has one Queue. Most orders are carried out on its main event loop; a share of them on a second loop that lives
as long, or each on a loop that a thread makes for it, as synchronous views of a web application do.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import os
import sys
import threading
import time
import traceback
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

from aioq import Dependency, Group, Job, JobFailed, Queue, Repeat, ResultOf, Retry, Webhook, acting_as
from aioq.values.errors import AioqError, ServerError, ServerFull

from . import bodies
from .bodies import note
from .workload import TAGS, Order, orders

#: How long a result is waited for, and a job that is to begin or to fail, in seconds: longer than any fault lasts.
PATIENCE = 60.0

#: The deadline of all attempts of a job that always raises, in seconds.
DEADLINE = 3.0

#: How long an order may take that another loop than the main one carries out, in seconds.
LONGEST_ORDER = 2.5 * PATIENCE


async def ask(
    operation: str, jobs: Sequence[str], call: Awaitable[Any], actor: str = "", **details: object
) -> bool:
    """Notes an operation, and whether it was carried out: ok, fail, or info (nobody knows). actor: who acts."""
    for job in jobs:
        note("invoke", operation, job, actor=actor, **details)

    try:
        with acting_as(actor) if actor else nullcontext():
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


async def hear(job: Job[Any], patience: float = PATIENCE) -> None:
    """Waits for a result, and notes which run it is of."""
    note("invoke", "result", job.id)

    try:
        value = await job.result(timeout=patience)
        note("commit", "", job.id, fence=bodies.fence_of(value))
        note("ok", "result", job.id)
    except JobFailed:
        note("ok", "result", job.id)
    except (ServerError, TimeoutError) as error:
        note("info", "result", job.id)
        print(f"{job.id}: {type(error).__name__}: {error}", flush=True)
    except AioqError:  # nothing is kept of it any more
        note("fail", "result", job.id)


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


def tags_of(order: Order) -> list[str]:
    return [] if order.number % 5 else [TAGS[0], TAGS[1 + order.number % 2]]


def make(order: Order, job_id: str | None) -> tuple[Job[Any], dict[str, Any]]:
    """The job of an order, and what the history must know of it: how often it may be retried, say."""
    options: dict[str, Any] = {"job_id": job_id}

    if tags := tags_of(order):
        options["tags"] = tags

    soon = order.number % 2  # seconds that a brief job is kept

    match order.kind:
        case "thread":
            return Job.create(bodies.work_sync, (order.seconds,), **options), {}
        case "block":
            return Job.create(bodies.block, (order.seconds,), **options), {}
        case "stick":
            return Job.create(bodies.stick, (order.seconds, bool(order.number % 2)), **options), {}
        case "retry":
            retries = 1 + order.number % 3
            retry = Retry(max=retries, interval=0.2 * (order.number % 2))
            return Job.create(bodies.fail, (order.seconds, retries), retry=retry, **options), {"retries": retries}
        case "deadline":
            options |= {"retry": Retry(interval=0.3, within=DEADLINE, at_front=bool(order.number % 2))}
            return Job.create(bodies.fail, (order.seconds, 1000), **options), {
                "retries": 1000,
                "deadline": DEADLINE,
            }
        case "repeat":
            times = 1 + order.number % 3
            repeat = Repeat(times, interval=0.2 * (order.number % 2))
            return Job.create(bodies.work, (order.seconds,), repeat=repeat, **options), {"repeats": times}
        case "fail" | "requeue":
            return Job.create(bodies.fail, (order.seconds, 1000), **options), {}
        case "drop":
            options |= {"failure_ttl": soon, "retry": Retry(max=1) if order.number % 3 == 0 else None}
            job = Job.create(bodies.fail, (order.seconds * soon, 1000), **options)
            return job, {"brief": True, "retries": int(order.number % 3 == 0)}
        case "timeout":
            return Job.create(bodies.work, (30.0,), job_timeout=0.5, **options), {}
        case "ttl":
            return Job.create(bodies.work, (order.seconds,), ttl=0.1 + order.delay / 4, **options), {}
        case "meta":
            return Job.create(bodies.tell, (order.seconds,), **options), {}
        case "call":
            options |= {"on_success": bodies.tell_end, "on_failure": bodies.tell_end}
            options["webhooks"] = Webhook(os.environ[bodies.RECEIVER], ["finished", "failed"])
            job = Job.create(bodies.fail, (order.seconds, 1000 * (order.number % 2)), **options)
            return job, {"called": True}
        case "large":
            return Job.create(bodies.give, (order.seconds, order.size), **options), {}
        case "forget" | "late":
            return Job.create(bodies.work, (order.seconds,), result_ttl=soon, **options), {"brief": True}
        case "kill":
            return Job.create(bodies.kill, (order.seconds, bool(order.number % 2)), **options), {"kills": True}

    return Job.create(bodies.work, (order.seconds, b"x" * order.pad), **options), {}


async def carry_out_pair(order: Order, queue: Queue, job_id: str) -> None:
    """A job that adds children, or that fails at first; and one that depends on it."""
    is_back = order.kind == "back"
    first = Job.create(bodies.fail, (order.seconds, 1)) if is_back else Job.create(bodies.adopt, (order.seconds,))

    if not await ask("enqueue", [first.id], queue.enqueue_job(first), queue=queue.name):
        return

    edge = Dependency(first, on_failure="cancel")
    then = queue.using(job_id=job_id, depends_on=edge).enqueue(bodies.work, order.seconds)
    is_there = await ask("enqueue", [job_id], then, queue=queue.name, after=first.id)

    if is_back and is_there and await until("failed", first):
        back = first.requeue(dependents=True, reset_retries=False)
        await ask("requeue", [first.id, job_id], back)


async def carry_out(order: Order, queue: Queue, other: Queue, seed: str) -> None:
    """One order, with all that follows from it.

    Args:
        order: the order.
        queue: where the producer puts its jobs.
        other: the queue of some of the jobs that these depend on.
        seed: of the producer.

    """
    job_id = f"{seed}-{order.number}"

    if order.kind == "many":
        ids = [f"{job_id}-{number}" for number in range(10)]
        calls = [Queue.prepare_data(bodies.work, (0.0,), job_id=each) for each in ids]
        await ask("enqueue", ids, queue.enqueue_many(calls), queue=queue.name)

        return

    if order.kind == "schedule":
        due = time.monotonic() + order.delay
        later = queue.using(job_id=job_id).enqueue_in(order.delay, bodies.work, order.seconds)
        await ask("enqueue", [job_id], later, due=due, queue=queue.name)

        return

    if order.kind == "group":
        ids = [f"{job_id}-{number}" for number in range(3)]
        calls = [Queue.prepare_data(bodies.work, (order.seconds,), job_id=each) for each in ids]
        group = Group.create(queue, job_id)

        if await ask("enqueue", ids, group.enqueue_many(queue, calls), queue=queue.name):
            await ask("group", ids, group.wait(timeout=PATIENCE))

        return

    if order.kind in ("after", "impatient"):
        first = Job.create(bodies.work, (order.seconds,))
        home = other if order.number % 2 else queue

        if await ask("enqueue", [first.id], home.enqueue_job(first), queue=home.name):
            edge, patience = Dependency(first, on_failure="cancel"), 0.0

            if order.kind == "impatient":
                patience = 0.1 + order.delay / 2

            options: dict[str, Any] = {"deferred_ttl": patience} if patience else {}
            then = queue.using(job_id=job_id, depends_on=edge, **options).enqueue(bodies.work, order.seconds)
            await ask("enqueue", [job_id], then, queue=queue.name, after=first.id, patience=patience)

        return

    if order.kind in ("adopt", "back"):
        await carry_out_pair(order, queue, job_id)

        return

    if order.kind == "take":
        first = Job.create(bodies.work, (order.seconds,), result_ttl=0)
        taken = (order.seconds, first.id, ResultOf(first))
        then = Job.create(bodies.take, taken, job_id=job_id, depends_on=Dependency(first, on_failure="cancel"))
        await ask("enqueue", [first.id, job_id], queue.enqueue_graph([then, first]), queue=queue.name, brief=True)

        return

    job, details = make(order, job_id if order.chosen_id else None)
    details["tags"] = ",".join(tags_of(order))
    actor = f"actor {job_id}" if order.number % 2 else ""

    if not await ask("enqueue", [job.id], queue.enqueue_job(job), queue=queue.name, **details):
        return

    match order.kind:
        case "wait" | "forget" | "repeat":
            await hear(job)
        case "large":
            await hear(job, 1.5 * PATIENCE)
        case "late":
            await asyncio.sleep(order.seconds + order.delay)
            await hear(job)
        case "cancel":
            await asyncio.sleep(order.delay)
            await ask("cancel", [job.id], job.cancel(), actor)
        case "stop" if await until("started", job):
            await ask("stop", [job.id], job.stop(), actor)
        case "requeue" if await until("failed", job):
            await ask("requeue", [job.id], job.requeue(), actor)


Work = Callable[[], Coroutine[Any, Any, None]]


@contextmanager
def second_loop() -> Iterator[asyncio.AbstractEventLoop]:
    """An event loop that turns on a thread of its own."""
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, daemon=True).start()

    try:
        yield loop
    finally:
        loop.call_soon_threadsafe(loop.stop)


async def on_a_loop_of_its_own(work: Work) -> None:
    """What a thread does that calls asyncio.run."""
    done: concurrent.futures.Future[None] = concurrent.futures.Future()

    def run() -> None:
        try:
            done.set_result(asyncio.run(work()))
        except Exception as error:  # it is raised again on the main loop
            done.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    await asyncio.wrap_future(done)


#: Orders that ended by an error which is none of aioq's own, or have not ended.
broken: list[Order] = []


async def on_its_loop(order: Order, second: asyncio.AbstractEventLoop, work: Work) -> None:
    """Carry an order out. An error that is none of aioq's own goes to the log, and the others go on."""
    try:
        async with asyncio.timeout(None if order.loop == "main" else LONGEST_ORDER):
            if order.loop == "second":
                await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work(), second))
            elif order.loop == "own":
                await on_a_loop_of_its_own(work)
            else:
                await work()
    except Exception:  # whatever it is, the producer ends with 1 for it
        broken.append(order)
        traceback.print_exc()


async def main(url: str, names: str, seed: str, seconds: str, rate: str, load: str, loops: str) -> None:
    """Carry out all orders of a seed.

    Args:
        url: the server.
        names: the queue of the jobs, and behind a comma another one, of jobs that these depend on.
        seed: of the orders; these words are as the trial gives them.
        seconds: for how long.
        rate: orders a second.
        load: what they are.
        loops: the share that other event loops carry out.

    """
    begun = time.monotonic()
    name, _, other_name = names.partition(",")

    with second_loop() as second:
        async with Queue(name, url) as queue, asyncio.TaskGroup() as group:
            other = Queue(other_name, queue.connection) if other_name else queue

            for order in orders(seed, float(seconds), float(rate), load, float(loops)):
                await asyncio.sleep(max(0.0, begun + order.at - time.monotonic()))
                work = lambda order=order: carry_out(order, queue, other, seed)  # noqa: E731
                group.create_task(on_its_loop(order, second, work))

    if broken:
        sys.exit(1)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
