"""Servers that take connections and say nothing, or do not even take them: whatever is under way ends in time."""

from __future__ import annotations

import asyncio
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from aioq import Queue, Worker
from aioq.errors import ServerUnreachable
from aioq.store import Connection
from tests import jobs as simple
from tests.cli.tools import Cli
from tests.conftest import Server
from tests.servers.cluster import ClusterOfSix
from tests.system import jobs
from tests.system.jobs import notes
from tests.system.proxy import Proxy
from tests.tools import RunningWorker, eventually

pytestmark = pytest.mark.timeout(90)

#: Seconds after its shutdown timeout within which a worker ends, and what a busy machine adds to that.
LEAVES_WITHIN, SLACK = 4.0, 3.0


@contextmanager
def black_hole() -> Iterator[int]:
    """A port that neither takes nor refuses connections: the row of those that wait to be taken is full."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        fillers = []

        for _ in range(4):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
            fillers.append(filler)

        yield listener.getsockname()[1]

        for filler in fillers:
            filler.close()


@contextmanager
def silent() -> Iterator[int]:
    """A port that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listener:
        yield listener.getsockname()[1]


# Stops


@pytest.mark.chaos
@pytest.mark.parametrize(
    ("how", "is_busy"),
    [
        ("frozen", True),
        ("held", False),
        *(pytest.param(*each, marks=pytest.mark.chaos) for each in (("frozen", False), ("held", True))),
    ],
)
async def test_a_worker_leaves_four_seconds_after_its_shutdown_timeout(
    own_server: Callable[..., Server], spawn, tmp_path: Path, how: str, is_busy: bool
) -> None:
    server, path = own_server(), tmp_path / "notes"
    assert server.process is not None

    async with Proxy(server.socket) as proxy:
        worker = await spawn(url=proxy.url, concurrency=10, shutdown_timeout=1)

        async with Queue("default", server.url) as queue:
            for _ in range(5 if is_busy else 0):
                await queue.enqueue(jobs.work, str(path), 60)

            await eventually(lambda: len(notes(path, "start")) == 5 * is_busy)
            await asyncio.sleep(0.2)
            server.process.send_signal(signal.SIGSTOP) if how == "frozen" else proxy.hold()
            begun = time.monotonic()
            worker.signal(signal.SIGTERM)

            try:
                await worker.ended(timeout=20)
                took = time.monotonic() - begun
            finally:
                server.process.send_signal(signal.SIGCONT)
                proxy.heal()

    assert took < 1 + LEAVES_WITHIN + SLACK, worker.text()
    assert "Traceback" not in worker.text()


@pytest.mark.chaos
async def test_a_worker_leaves_in_time_when_its_server_goes_silent_long_before(
    own_server: Callable[..., Server], spawn
) -> None:
    """It is in the middle of its attempts to come back."""
    server = own_server()
    assert server.process is not None
    worker = await spawn(url=f"{server.tcp_url}?socket_timeout=1", shutdown_timeout=1)
    server.process.send_signal(signal.SIGSTOP)
    await eventually(lambda: "trying again" in worker.text() or "no connection" in worker.text(), timeout=30)
    begun = time.monotonic()
    worker.signal(signal.SIGTERM)
    await worker.ended(timeout=20)
    server.process.send_signal(signal.SIGCONT)
    assert time.monotonic() - begun < 1 + LEAVES_WITHIN + SLACK


@pytest.mark.chaos
async def test_a_shard_that_is_silent_holds_up_no_sign_off_at_the_others(spawn) -> None:
    async with ClusterOfSix({"cluster-node-timeout": "60000"}) as scene:
        names = ["a", "b", "c", "d"]
        away = await asyncio.to_thread(scene.node_of, "a")
        others = [each for each in names if await asyncio.to_thread(scene.node_of, each) is not away]
        assert others
        worker = await spawn(url=scene.url(), queues=",".join(names), shutdown_timeout=1)

        away.freeze()
        bounded = f"{scene.url()}{'&' if '?' in scene.url() else '?'}socket_timeout=1"

        async with Queue("a", bounded) as lost, Queue(others[0], bounded) as near:
            await near.store.reads.count()
            begun = time.monotonic()

            with pytest.raises(ServerUnreachable):
                await lost.store.reads.count()

            assert time.monotonic() - begun < 1 + SLACK

        begun = time.monotonic()
        worker.signal(signal.SIGTERM)
        await worker.ended(timeout=20)
        took = time.monotonic() - begun

        for name in others:
            node = await asyncio.to_thread(scene.node_of, name)
            assert await asyncio.to_thread(node.call, "ZCARD", f"aioq:{{{name}}}:leases") == 0, worker.text()

        away.thaw()
        assert took < 1 + LEAVES_WITHIN + SLACK


@pytest.mark.parametrize("port", [silent, black_hole])
async def test_a_stop_is_heard_while_a_worker_still_tries_to_join(port) -> None:
    with port() as number:
        worker = Worker("default", f"redis://127.0.0.1:{number}/0")
        running = asyncio.create_task(worker.run())
        await asyncio.sleep(0.3)
        begun = time.monotonic()
        worker.request_stop()
        assert await running == 0
        assert time.monotonic() - begun < LEAVES_WITHIN + SLACK


# Waits


@pytest.mark.chaos
async def test_a_wait_is_answered_after_its_connections_have_died_silently(server: Server, start_worker) -> None:
    """As behind a router that has forgotten them: nothing passes any more on what is open; new ones are fine."""
    await start_worker()

    async with Proxy(server.socket) as first, Proxy(server.socket) as second:
        async with Queue("default", first.url) as queue:
            await (await queue.enqueue(simple.noop)).result(timeout=10)
            job = await queue.enqueue(simple.sleep, 1)
            waiting = asyncio.create_task(job.result(timeout=60))
            await asyncio.sleep(0.5)
            first.hold()
            address = queue.connection._address
            address.kwargs["port"] = int(second.url.rsplit(":", 1)[1].split("/")[0])  # the new ones go there
            begun = time.monotonic()
            assert await waiting == 1
            assert time.monotonic() - begun < 15 + SLACK
            first.heal()


# Starts that are cancelled


async def test_a_worker_that_is_cancelled_at_any_step_of_its_start_leaves_no_connection(
    server: Server, raw
) -> None:
    before = len(raw.client_list())

    for steps in range(0, 140, 2):
        running = asyncio.create_task(Worker("default", server.url).run())

        for _ in range(steps):
            await asyncio.sleep(0)

        running.cancel()
        await asyncio.wait([running])

    await eventually(lambda: len(raw.client_list()) <= before)


@pytest.mark.parametrize("kind", ["call", "listen", "lend"])
async def test_what_is_cancelled_while_it_opens_leaves_no_connection(server: Server, raw, kind: str) -> None:
    """In small steps, so that each moment of redis-py's handshake is met."""
    before, opened = len(raw.client_list()), 0

    for steps in range(60):
        connection = Connection(server.tcp_url)
        calls = {
            "call": lambda: connection.call(("PING",)),
            "listen": lambda: connection.listener.listen("c", lambda _: None, lambda: None),
            "lend": lambda: connection.lend_wire(1, "aioq:key"),
        }
        opening = asyncio.ensure_future(calls[kind]())

        for _ in range(steps):
            await asyncio.sleep(0)

        opened += opening.done()
        opening.cancel()
        await asyncio.wait([opening])
        await connection.aclose()

    await eventually(lambda: len(raw.client_list()) <= before)
    assert opened < 60


# Commands


@pytest.mark.parametrize(
    "words",
    [
        "info",
        "ls",
        "doctor",
        "suspend",
        "resume",
        "enqueue builtins.len x",
        "job show x",
        "requeue --queue q --all",
        "worker -b",
    ],
)
def test_a_command_ends_within_its_budget_with_one_line(environment: dict[str, str], words: str) -> None:
    with silent() as port:
        begun = time.monotonic()
        found = Cli(f"redis://127.0.0.1:{port}/0?socket_timeout=1", environment).call(*words.split())
        assert time.monotonic() - begun < 25  # on a busy machine

    assert found.exit_code == 1
    assert found.stdout == ""
    (line,) = found.stderr.splitlines()
    assert line.startswith("Error: no connection to redis://127.0.0.1")


def test_a_command_ends_where_nobody_takes_or_refuses_connections(environment: dict[str, str]) -> None:
    with black_hole() as port:
        found = Cli(f"redis://127.0.0.1:{port}/0?socket_timeout=1", environment).process("info")

    assert found.returncode == 1
    assert "no connection" in found.stderr


@pytest.mark.parametrize("port", [silent, black_hole])
@pytest.mark.parametrize(
    "url", ["redis://127.0.0.1:{}/0", "redis+sentinel://127.0.0.1:{}/main", "redis+cluster://127.0.0.1:{}"]
)
async def test_a_socket_timeout_holds_whatever_kind_of_server_is_silent(url: str, port) -> None:
    with port() as number:
        async with Queue("default", f"{url.format(number)}?socket_timeout=1") as queue:
            begun = time.monotonic()

            with pytest.raises(ServerUnreachable):
                await queue.count()

            assert 0.8 < time.monotonic() - begun < 1 + SLACK


async def test_a_call_where_nobody_takes_or_refuses_connections_has_its_budget() -> None:
    with black_hole() as port:
        async with Queue("default", f"redis://127.0.0.1:{port}/0", call_timeout=1.5) as queue:
            begun = time.monotonic()

            with pytest.raises(ServerUnreachable):
                await queue.enqueue(simple.noop)

            assert 1 < time.monotonic() - begun < 3


async def test_a_worker_starts_again_after_a_stop_that_came_while_it_joined(server: Server) -> None:
    with silent() as port:
        worker = Worker("default", f"redis://127.0.0.1:{port}/0")
        running = asyncio.create_task(worker.run())
        await asyncio.sleep(0.1)
        worker.request_stop()
        await running

    async with RunningWorker(["default"], connection=server.url), Queue("default", server.url) as queue:
        assert await (await queue.enqueue(simple.add, 1, 2)).result(timeout=10) == 3
