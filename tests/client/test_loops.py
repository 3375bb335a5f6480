"""One Queue in many event loops and threads at once, in loops that end, and in forked children."""

from __future__ import annotations

import asyncio
import gc
import json
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import redis
import redis.asyncio
import uvloop

from aioq import Connection, Queue, ServerError
from aioq.errors import JobCanceled
from tests import jobs
from tests.conftest import Server
from tests.tools import eventually, eventually_sync

RUNNERS = {"asyncio": asyncio.run, "uvloop": uvloop.run}

#: Most of this tells little about the loop: with uvloop, one test and one program are enough for every day.
MOSTLY_ASYNCIO = ["asyncio", pytest.param("uvloop", marks=pytest.mark.chaos)]


@pytest.fixture(params=MOSTLY_ASYNCIO)
def run(request: pytest.FixtureRequest) -> Callable[[Coroutine[Any, Any, Any]], Any]:
    return RUNNERS[request.param]


@pytest.fixture
def program(server: Server, environment: dict[str, str]) -> Callable[..., Any]:
    """Runs one of tests/client/programs.py: what it prints. What it says on stderr is an error."""

    def start(name: str, runner: str) -> Any:
        command = [sys.executable, "-m", "tests.client.programs", name, server.tcp_url, runner]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=55, check=False)
        assert (done.returncode, done.stderr) == (0, "")
        return json.loads(done.stdout)

    return start


async def in_threads(number: int, function: Callable[[int], Any]) -> list[Any]:
    """What a function returns in so many threads at once."""
    with ThreadPoolExecutor(number) as pool:
        loop = asyncio.get_running_loop()
        return await asyncio.gather(*(loop.run_in_executor(pool, function, at) for at in range(number)))


async def use(queue: Queue, number: int) -> int:
    """Much of what there is: calls that travel together, waits, look-ups, registries, changes."""
    many = await asyncio.gather(*(queue.enqueue(jobs.add, number, at) for at in range(20)))
    assert [await job.result(timeout=20) for job in many] == [number + at for at in range(20)]

    later = await queue.enqueue_in(600, jobs.add, 1, 1)
    assert later.id in await queue.scheduled_job_registry.job_ids()
    wait = asyncio.create_task(later.result())
    await asyncio.sleep(0.01)
    await later.cancel()

    with pytest.raises(JobCanceled):
        await asyncio.wait_for(wait, 10)

    later.meta["seen"] = number
    await later.save_meta()
    found = await queue.fetch_job(later.id)
    assert found is not None and found.meta == {"seen": number}
    assert later.id in await queue.canceled_job_registry.job_ids()
    await queue.enqueue_many([Queue.prepare_data(jobs.add, (1, 1)) for _ in range(300)])
    await later.delete()

    return (await many[0].result(timeout=5)) - number


@pytest.mark.parametrize("run", RUNNERS, indirect=True)
@pytest.mark.parametrize("secret", [None, pytest.param("a secret of the tests", marks=pytest.mark.chaos)])
async def test_several_event_loops_use_one_queue_at_once(server: Server, start_worker, run, secret) -> None:
    await start_worker(secret=secret)
    queue = Queue("default", server.url, secret=secret)

    # Those of the threads come and go; the one here stays.
    here = asyncio.gather(*(use(queue, 1000 * number) for number in range(4)))
    assert await in_threads(4, lambda number: [run(use(queue, number)) for _ in range(3)]) == [[0] * 3] * 4
    assert await here == [0] * 4
    await queue.aclose()


async def test_threads_that_call_as_synchronous_views_do(server: Server, raw: redis.Redis, run) -> None:
    before = len(raw.client_list())
    queue = Queue("default", server.url)

    def view(_: int) -> list[str]:
        return [run(asyncio.wait_for(queue.enqueue(jobs.add, 1, 1), 10)).id for _ in range(10)]

    ids = [each for seen in await in_threads(8, view) for each in seen]
    assert len(set(ids)) == 80
    assert await queue.count() == 80
    await queue.aclose()
    await eventually(lambda: len(raw.client_list()) <= before)


async def test_a_job_is_waited_for_in_another_event_loop_than_its_own(server: Server, start_worker, run) -> None:
    await start_worker()
    queue = Queue("default", server.url)
    made = await asyncio.gather(*(queue.enqueue(jobs.add, number, 1) for number in range(10)))

    async def results() -> list[int]:
        return await asyncio.gather(*(job.result(timeout=20) for job in made))

    assert await in_threads(3, lambda _: run(results())) == [list(range(1, 11))] * 3
    await queue.aclose()


async def test_a_wait_goes_on_when_the_event_loops_beside_it_end(server: Server, start_worker, run) -> None:
    queue = Queue("default", server.url)
    job = await queue.enqueue(jobs.add, 1, 2)
    wait = asyncio.create_task(job.result())

    async def give_up() -> None:
        with pytest.raises(TimeoutError):
            await job.result(timeout=0.05)

    await in_threads(4, lambda _: run(give_up()))
    assert not wait.done()
    await start_worker()
    assert await asyncio.wait_for(wait, 10) == 3
    await queue.aclose()


async def test_who_closes_closes_only_what_its_own_event_loop_has_opened(
    server: Server, raw: redis.Redis, start_worker, run
) -> None:
    queue = Queue("default", server.url)
    job = await queue.enqueue(jobs.add, 1, 2)
    wait = asyncio.create_task(job.result())
    await eventually(lambda: raw.client_list("pubsub"))
    mine = {each["id"] for each in raw.client_list()}

    async def use_and_close() -> None:
        async with queue:
            await queue.count()

    await in_threads(4, lambda _: run(use_and_close()))
    await queue.count()
    await eventually(lambda: {each["id"] for each in raw.client_list()} == mine)
    await start_worker()
    assert await asyncio.wait_for(wait, 10) == 3
    await queue.aclose()


def test_what_loops_have_left_is_closed_by_whoever_closes(server: Server, raw: redis.Redis, run) -> None:
    """As at the end of a program that has no event loop of its own: `asyncio.run(queue.aclose())`."""
    before = len(raw.client_list())
    queue = Queue("default", server.url)

    for _ in range(3):
        loop = asyncio.new_event_loop()
        loop.run_until_complete(queue.enqueue(jobs.add, 1, 1))
        loop.close()

    # The next loop has closed what the one before had left. The server takes note of it a moment later.
    eventually_sync(lambda: len(raw.client_list()) == before + 1)
    run(queue.aclose())
    eventually_sync(lambda: len(raw.client_list()) <= before)
    gc.collect()


@pytest.mark.parametrize("end", ["in order", "closed at once"])
async def test_an_event_loop_that_ends_in_the_middle_of_an_open_takes_nobody_along(
    own_server: Callable[..., Server], run, end: str
) -> None:
    server = own_server()
    queue = Queue("default", server.tcp_url)
    assert server.process is not None
    server.process.send_signal(signal.SIGSTOP)  # connections are taken, and not answered

    def give_up(_: int) -> None:
        if end == "in order":
            with pytest.raises(TimeoutError):
                run(asyncio.wait_for(queue.enqueue(jobs.add, 1, 1), 0.3))
        else:
            loop = asyncio.new_event_loop()
            task = loop.create_task(asyncio.wait_for(queue.enqueue(jobs.add, 1, 1), 0.3))

            with pytest.raises(TimeoutError):
                loop.run_until_complete(task)

            loop.run_until_complete(cancel_others())
            loop.close()

    await in_threads(3, give_up)
    server.process.send_signal(signal.SIGCONT)
    ids = await in_threads(3, lambda _: run(asyncio.wait_for(queue.enqueue(jobs.add, 1, 1), 10)).id)
    assert len(set(ids)) == 3
    assert await asyncio.wait_for(queue.count(), 10) >= 3
    await queue.aclose()


async def cancel_others() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}

    for task in others:
        task.cancel()

    if others:
        await asyncio.wait(others)


async def test_a_server_that_is_away_fails_every_loop_and_none_hangs(
    own_server: Callable[..., Server], run
) -> None:
    server = own_server()
    queue = Queue("default", server.tcp_url)
    server.stop(kill=True)

    def fail(_: int) -> None:
        for _ in range(2):
            with pytest.raises(ServerError):
                run(asyncio.wait_for(queue.enqueue(jobs.add, 1, 1), 10))

    await in_threads(3, fail)
    server.start()
    assert len(set(await in_threads(3, lambda _: run(queue.enqueue(jobs.add, 1, 1)).id))) == 3


async def test_queues_that_share_a_connection_are_used_in_many_loops(server: Server, start_worker, run) -> None:
    await start_worker("one", "two")
    shared = Connection(server.url)
    queues = [Queue(name, shared) for name in ("one", "two")]

    async def both(number: int) -> list[int]:
        made = [await queue.enqueue(jobs.add, number, 1) for queue in queues]
        return [await job.result(timeout=20) for job in made]

    found = await in_threads(4, lambda number: [run(both(number)) for _ in range(3)])
    assert found == [[[number + 1] * 2] * 3 for number in range(4)]
    assert await both(9) == [10, 10]
    await shared.aclose()


async def test_a_client_of_the_caller_that_works_in_another_loop_lends_its_options(server: Server, run) -> None:
    """Only its options are used, so it does not matter which event loop it is bound to."""
    theirs = redis.asyncio.Redis.from_url(server.url)
    await theirs.ping()  # it has a connection of this loop now
    queue = Queue("default", theirs)
    await in_threads(3, lambda _: [run(queue.enqueue(jobs.add, 1, 1)) for _ in range(3)])
    assert await queue.count() == 9
    assert await theirs.ping()
    await queue.aclose()
    await theirs.aclose()


async def test_durable_jobs_are_enqueued_by_two_loops_at_once(own_server: Callable[..., Server], run) -> None:
    server = own_server("--appendonly", "yes", "--appendfsync", "always")
    queue = Queue("default", server.url, default_durability="fsync")

    async def some() -> list[str]:
        made = await asyncio.gather(*(queue.enqueue(jobs.add, 1, 1) for _ in range(10)))
        return [job.durability.level for job in made if job.durability]

    here = asyncio.create_task(some())
    assert await in_threads(3, lambda _: [run(some()) for _ in range(2)]) == [[["fsync"] * 10] * 2] * 3
    assert await here == ["fsync"] * 10
    assert await queue.count() == 70
    await queue.aclose()


async def test_replicated_jobs_are_enqueued_by_two_loops_at_once(own_server: Callable[..., Server], run) -> None:
    primary = own_server("--repl-diskless-sync-delay", "0")
    own_server("--replicaof", "127.0.0.1", str(primary.port))

    with primary.client() as client:
        await eventually(lambda: client.set("x", 1) and client.wait(1, 100))
        client.delete("x")

    queue = Queue("default", primary.url, default_durability="replicated")

    async def some() -> set[str]:
        made = await asyncio.gather(*(queue.enqueue(jobs.add, 1, 1) for _ in range(10)))
        return {job.durability.level for job in made if job.durability}

    here = asyncio.create_task(some())
    assert await in_threads(2, lambda _: [run(some()) for _ in range(2)]) == [[{"replicated"}] * 2] * 2
    assert await here == {"replicated"}
    await queue.aclose()


async def test_a_loop_that_was_closed_while_it_waited_leaves_the_other_loops_alone(server: Server, run) -> None:
    """An application that stops its loop from another thread, and closes it."""
    queue = Queue("default", server.url)
    loop = asyncio.new_event_loop()
    job = await queue.enqueue(jobs.add, 1, 1)

    def forever() -> None:
        wait = loop.create_task(job.result())
        loop.run_forever()
        assert not wait.done()
        loop.run_until_complete(cancel_others())
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()

    thread = threading.Thread(target=forever)
    thread.start()
    await asyncio.sleep(0.1)
    loop.call_soon_threadsafe(loop.stop)
    await asyncio.to_thread(thread.join)
    await in_threads(2, lambda _: run(asyncio.wait_for(queue.enqueue(jobs.add, 1, 1), 5)))
    assert await asyncio.wait_for(queue.count(), 5) == 3
    await queue.aclose()


@pytest.mark.chaos
def test_a_thousand_loops_in_a_row_leave_nothing(program) -> None:
    first, last = program("many", "asyncio")
    assert last == first


@pytest.mark.chaos
@pytest.mark.parametrize("runner", MOSTLY_ASYNCIO)
def test_threads_whose_loops_end_leave_nothing_open(program, runner: str) -> None:
    assert program("threads_that_end", runner) == [True, [], 0]


def test_loops_that_are_closed_at_once_leave_no_more_than_one_of_them_open(program) -> None:
    (first, last), closes = program("closed_by_hand", "asyncio")
    assert first == last
    assert closes


@pytest.mark.parametrize("runner", MOSTLY_ASYNCIO)
def test_a_forked_child_gets_connections_of_its_own(program, runner: str) -> None:
    before, after = program("forks", runner)
    assert before == after


@pytest.mark.chaos
@pytest.mark.parametrize("runner", RUNNERS)
def test_a_fork_while_a_connection_is_made(program, runner: str) -> None:
    assert program("fork_during_an_open", runner) == [0] * 20


@pytest.mark.parametrize("runner", MOSTLY_ASYNCIO)
def test_children_of_a_parent_that_has_used_the_queue(program, runner: str) -> None:
    assert program("preloaded", runner) == [[0] * 4, "JobCanceled"]


@pytest.mark.parametrize("runner", MOSTLY_ASYNCIO)
def test_what_a_parent_closes_ends_though_a_forked_child_lives(program, runner: str) -> None:
    assert program("closed_beside_a_child", runner) == [2, 0]


def test_a_forked_child_with_its_parents_loop_does_not_talk_on_its_parents_connection(program) -> None:
    assert program("fork_with_its_loop", "asyncio") == [True, False]
