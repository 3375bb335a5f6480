"""Programs without an event loop that fork, are interrupted and end: each is a process of its own.

    python -m tests.sync.programs NAME URL RUNNER

RUNNER is "asyncio" or "uvloop". Most print one JSON value. Warnings are errors here. What cannot be raised goes to
stderr, which must stay empty.
"""

from __future__ import annotations

import asyncio
import atexit
import gc
import json
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import redis

from aioq.sync import Queue
from aioq.sync.calling import run
from aioq.sync.loop import background
from tests import jobs


def opened(queue: Queue) -> int:
    """How often the loop of this process has connected to the server."""

    async def ask() -> int:
        return queue.connection.opened

    return run(ask)


def tasks() -> list[str]:
    """What waits on the event loop for the end of a job."""
    found = asyncio.all_tasks(background.loop())
    return [repr(each) for each in found if "_carry_out" in repr(each)]


def eventually(condition: Callable[[], Any], seconds: float = 5) -> bool:
    until = time.monotonic() + seconds

    while not condition():
        if time.monotonic() > until:
            return False

        time.sleep(0.01)

    return True


def switches() -> int:
    """How often a thread of this process has gone to sleep."""
    status = [path.read_text() for path in Path("/proc/self/task").glob("*/status")]
    return sum(int(text.rpartition("\nvoluntary_ctxt_switches:")[2].split()[0]) for text in status)


def use_in_child(url: str) -> None:
    """What a child does, with a Queue of its own or with that of its parent."""
    queue = inherited[0] if inherited else Queue("default", url)
    job = queue.enqueue(jobs.add, os.getpid(), 1)
    assert job.result(timeout=10) == os.getpid() + 1
    assert threading.active_count() == 2
    gc.collect()


#: The queue of the parent, which a forked child uses, too.
inherited: list[Queue] = []


def forks(queue: Queue) -> object:
    """Children of all kinds, while a thread of the parent waits and others make calls."""
    inherited.append(queue)
    waiting = queue.enqueue_in(600, jobs.noop)
    ended: list[str] = []
    thread = threading.Thread(target=lambda: ended.append(_end_of(waiting)))
    thread.start()
    busy = threading.Event()

    def make_calls() -> None:
        while not busy.is_set():
            queue.count()

    others = [threading.Thread(target=make_calls) for _ in range(2)]
    for each in others:
        each.start()

    before, codes = opened(queue), []

    for number in range(6):
        if (pid := os.fork()) == 0:
            try:
                use_in_child(sys.argv[2])
                if number % 2:
                    queue.close()
                os._exit(0)
            except BaseException as error:
                print(repr(error), file=sys.stderr, flush=True)
                os._exit(1)

        codes.append(os.waitpid(pid, 0)[1])

    for method in ("fork", "spawn"):
        child = multiprocessing.get_context(method).Process(target=use_in_child, args=(sys.argv[2],))
        child.start()
        child.join()
        codes.append(child.exitcode)

    busy.set()
    for each in others:
        each.join()

    kept = opened(queue) == before == 1
    waiting.cancel()
    thread.join(10)
    queue.close()
    return {"codes": codes, "kept": kept, "ended": ended}


def _end_of(job: Any) -> str:
    try:
        return str(job.result())
    except Exception as error:
        return type(error).__name__


def fork_that_ends_as_a_program(queue: Queue) -> object:
    """A child that leaves by the end of the interpreter, with its own loop running."""
    queue.count()

    if (pid := os.fork()) == 0:
        queue.enqueue(jobs.noop)
        sys.exit(7)

    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def fork_in_a_handler(queue: Queue) -> object:
    """A signal handler forks while its thread waits: in the child the wait is over, and the parent's goes on."""
    job, here = queue.enqueue_in(600, jobs.noop), []

    def handler(*_: object) -> None:
        here.append(os.fork())

    signal.signal(signal.SIGUSR1, handler)
    threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGUSR1)).start()

    try:
        job.result(timeout=1)
    except TimeoutError:
        return os.waitstatus_to_exitcode(os.waitpid(here[0], 0)[1])
    except RuntimeError as error:
        print(error, file=sys.stderr) if "was forked during the call" not in str(error) else None
        queue.count()
        os._exit(3)

    return "ended"


def call_in_a_handler(queue: Queue) -> object:
    """A signal handler makes a call while its thread waits in one."""
    job = queue.enqueue_in(600, jobs.noop)
    signal.signal(signal.SIGUSR1, lambda *_: job.cancel())
    threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGUSR1)).start()
    return _end_of(job)


def interrupted(queue: Queue) -> object:
    """Waits; the test sends SIGINT. Then nothing waits any longer, and the queue works."""
    job = queue.enqueue_in(600, jobs.noop)
    assert queue.count() == 0
    threading.Thread(target=_tell_when_it_waits, daemon=True).start()

    try:
        job.result()
    except KeyboardInterrupt:
        interrupted_at = time.time()

    over = eventually(lambda: not tasks())
    return {"at": interrupted_at, "over": over, "count": queue.count()}


def ends_by_an_interrupt(queue: Queue) -> object:
    """As a script of a user's: nothing catches the KeyboardInterrupt."""
    job = queue.enqueue_in(600, jobs.noop)
    threading.Thread(target=_tell_when_it_waits, daemon=True).start()
    job.result()  # the line
    return None


def _tell_when_it_waits() -> None:
    assert eventually(lambda: len(tasks()) == 1)
    time.sleep(0.05)
    print("waits", flush=True)


def sleeps(queue: Queue) -> object:
    """How often the threads of a program that waits wake up within a second."""
    job = queue.enqueue_in(600, jobs.noop)
    found: list[int] = []

    def count() -> None:
        assert eventually(tasks)
        time.sleep(0.2)
        before = switches()
        time.sleep(1)
        found.append(switches() - before)
        job.cancel()

    threading.Thread(target=count).start()
    return [_end_of(job), *found]


def ends(queue: Queue) -> object:
    """Threads wait, connections are open, and handlers of atexit make calls: the interpreter ends all the same."""
    job = queue.enqueue_in(600, jobs.noop)
    threading.Thread(target=job.result, daemon=True).start()
    assert eventually(tasks)
    last = threading.Thread(target=lambda: (time.sleep(0.2), print(json.dumps(queue.count()))))
    last.start()
    atexit.register(lambda: queue.enqueue(jobs.noop, job_id="at-exit"))
    return None


def ends_without_server(queue: Queue) -> object:
    """The server is silent when the program ends."""
    queue.count()
    with redis.Redis.from_url(sys.argv[2]) as client:
        pid = client.info("server")["process_id"]
    os.kill(pid, signal.SIGSTOP)
    atexit.register(os.kill, pid, signal.SIGCONT)
    return queue.name


def main() -> None:
    if sys.argv[3] == "asyncio":
        sys.modules["uvloop"] = None  # type: ignore[assignment]  # as where it is not installed

    queue = Queue("default", sys.argv[2])
    found = globals()[sys.argv[1]](queue)

    if found is not None:
        print(json.dumps(found))


if __name__ == "__main__":
    main()
