"""Programs that use one Queue in many event loops, threads and forks: each is a process of its own.

    python -m tests.client.programs NAME URL RUNNER

RUNNER is "asyncio" or "uvloop". A program prints one JSON value. Warnings are errors here, and what cannot be
raised (in the end of an object, say) goes to stderr, which must stay empty.
"""

from __future__ import annotations

import asyncio
import gc
import json
import multiprocessing
import os
import sys
import threading
import time
import warnings
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import redis

from aioq import Queue
from tests import jobs

Run = Callable[[Coroutine[Any, Any, Any]], Any]


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def loops() -> int:
    gc.collect()
    return sum(isinstance(each, asyncio.AbstractEventLoop) for each in gc.get_objects())


def many(queue: Queue, run: Run) -> object:
    """A thousand event loops in a row: what is open, and how many loops are left, after ten and after all."""
    seen = []

    for number in range(1000):
        run(queue.enqueue(jobs.add, number, 1))

        if number in (9, 999):
            seen.append([descriptors(), loops()])

    run(queue.aclose())
    return seen


def closed_by_hand(queue: Queue, run: Run) -> object:
    """Event loops that are closed without `shutdown_asyncgens`, with a connection and a subscription left open."""

    async def use() -> None:
        job = await queue.enqueue(jobs.add, 1, 1)

        try:
            await job.result(timeout=0.1)
        except TimeoutError:
            pass

    seen = []

    for number in range(20):
        loop = asyncio.new_event_loop()
        loop.run_until_complete(use())
        loop.run_until_complete(stop_tasks())
        loop.close()

        if number in (9, 19):
            seen.append(descriptors())

    before = descriptors()
    run(queue.aclose())
    return seen, before > descriptors()


async def stop_tasks() -> None:
    """As asyncio.run does at the end."""
    others = asyncio.all_tasks() - {asyncio.current_task()}

    for task in others:
        task.cancel()

    await asyncio.wait(others)


def forks(queue: Queue, run: Run) -> object:
    """Children of all kinds while the parent's event loop runs and waits: its connections stay as they are."""

    def in_child() -> None:
        """What a child does with its parent's queue, by new event loops of its own."""
        run(queue.enqueue(jobs.add, 1, 1))

        async def more() -> None:
            job = await queue.enqueue(jobs.add, 1, 1)
            assert await queue.fetch_job(job.id) is not None
            await asyncio.gather(*(queue.count() for _ in range(50)))

            try:
                await job.result(timeout=0.05)
            except TimeoutError:
                pass

        run(more())
        gc.collect()

    def child_of_os_fork() -> None:
        try:
            in_child()
            os._exit(0)
        except BaseException as error:
            print(repr(error), file=sys.stderr, flush=True)
            os._exit(1)

    def fork() -> int:
        pid = os.fork()

        if pid == 0:
            child_of_os_fork()

        return pid

    async def ended(pid: int) -> None:
        while not (found := os.waitpid(pid, os.WNOHANG))[0]:
            await queue.count()

        assert found[1] == 0

    async def parent() -> list[list[int]]:
        with redis.Redis.from_url(sys.argv[2]) as client:

            def connections() -> list[int]:
                return sorted(each["id"] for each in client.client_list())

            waits = [asyncio.create_task((await queue.enqueue(jobs.add, 1, 1)).result()) for _ in range(2)]
            await asyncio.sleep(0.1)
            await queue.count()
            before = connections()

            await ended(fork())
            await ended(await asyncio.to_thread(fork))

            child = multiprocessing.get_context("fork").Process(target=in_child)
            child.start()

            while child.exitcode is None:
                await queue.count()

            assert child.exitcode == 0
            child.close()

            after = connections()
            assert not any(wait.done() for wait in waits)

            for wait in waits:
                wait.cancel()

            return [before, after]

    return run(parent())


def fork_during_an_open(queue: Queue, run: Run) -> object:
    """A fork while the connection is being made, in a thread's event loop: the child makes its own."""
    made = []

    for number in range(20):

        async def forking(steps: int = number) -> None:
            opening = asyncio.create_task(queue.enqueue(jobs.add, 1, 1))

            for _ in range(steps):
                await asyncio.sleep(0)

            pid = os.fork()

            if pid == 0:
                try:
                    run(queue.enqueue(jobs.add, 1, 1))
                    gc.collect()
                    os._exit(0)
                finally:
                    os._exit(1)

            await asyncio.wait_for(opening, 5)
            made.append(os.waitpid(pid, 0)[1])

        run(forking())

    return made


def closed_beside_a_child(queue: Queue, run: Run) -> object:
    """What the parent closes is closed at the server, too, while a child lives that was forked before."""

    async def parent() -> list[int]:
        with redis.Redis.from_url(sys.argv[2]) as client:
            before = len(client.client_list())
            job = await queue.enqueue(jobs.add, 1, 1)
            wait = asyncio.create_task(job.result())
            await asyncio.sleep(0.1)
            opened = len(client.client_list()) - before
            reader, writer = os.pipe()
            pid = os.fork()

            if pid == 0:
                os.close(writer)
                os.read(reader, 1)  # until the parent has seen what it wants to see
                os._exit(0)

            os.close(reader)
            wait.cancel()
            await queue.aclose()
            deadline = time.monotonic() + 5

            while (left := len(client.client_list()) - before) and time.monotonic() < deadline:
                await asyncio.sleep(0.01)

            os.close(writer)
            os.waitpid(pid, 0)
            return [opened, left]

    return run(parent())


def fork_with_its_loop(queue: Queue, run: Run) -> object:
    """A child that goes on with the parent's event loop object: it has a connection of its own all the same."""
    loop = asyncio.new_event_loop()

    def connection_id() -> int:
        return int(loop.run_until_complete(queue.connection.call(("CLIENT", "ID"))))

    before = connection_id()
    reader, writer = os.pipe()
    pid = os.fork()

    if pid == 0:
        os.write(writer, b"%d" % connection_id())
        os._exit(0)

    assert os.waitpid(pid, 0)[1] == 0
    other = int(os.read(reader, 100))

    for each in (reader, writer):
        os.close(each)

    after = connection_id()
    loop.run_until_complete(queue.aclose())
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.close()
    return [after == before, other == before]


def preloaded(queue: Queue, run: Run) -> object:
    """As gunicorn with --preload: the parent has used the queue, also in a thread that still waits, and forks.

    The children use it at once, and end by sys.exit: the interpreter is taken down, with all objects.
    """
    run(queue.enqueue(jobs.add, 1, 1))
    waits, answers = threading.Event(), []

    async def wait() -> None:
        job = await queue.enqueue(jobs.add, 1, 1)
        waiting = asyncio.create_task(job.result())
        await asyncio.sleep(0.1)
        waits.set()

        while waits.is_set():
            answers.append(await asyncio.wait_for(queue.count(), 2))

        await job.cancel()
        await asyncio.wait([waiting], timeout=2)
        answers.append(type(waiting.exception()).__name__)

    thread = threading.Thread(target=lambda: run(wait()))
    thread.start()
    waits.wait()
    children = []

    for _ in range(4):
        children.append(os.fork())

        if children[-1] == 0:
            run(several(queue))
            sys.exit(0)

    ended = [os.waitpid(child, 0)[1] for child in children]
    waits.clear()
    thread.join()
    return [ended, answers[-1]]


async def several(queue: Queue) -> None:
    ids = [(await queue.enqueue(jobs.add, 1, 1)).id for _ in range(20)]
    assert len(set(ids)) == 20


def threads_that_end(queue: Queue, run: Run) -> object:
    """Threads whose event loops end while others of this Queue go on; what is open before and after."""

    async def use() -> None:
        await queue.enqueue(jobs.add, 1, 1)
        await queue.count()

    run(use())
    before = descriptors()
    stop = time.monotonic() + 3
    errors: list[BaseException] = []

    def view() -> None:
        try:
            while time.monotonic() < stop:
                run(use())
        except BaseException as error:
            errors.append(error)

    async def long() -> int:
        number = 0

        while time.monotonic() < stop:
            await use()
            number += 1

        return number

    threads = [threading.Thread(target=view) for _ in range(4)]

    for thread in threads:
        thread.start()

    number = run(long())

    for thread in threads:
        thread.join()

    gc.collect()
    return [number > 10, list(map(repr, errors)), descriptors() - before]


if __name__ == "__main__":
    # Python 3.12 and later warn of every fork beside threads, which is what is done here.
    warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)
    _, name, url, runner = sys.argv
    chosen: Run = asyncio.run

    if runner == "uvloop":
        import uvloop

        chosen = uvloop.run

    print(json.dumps(globals()[name](Queue("default", url), chosen)))
