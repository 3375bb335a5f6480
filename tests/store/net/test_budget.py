"""What a call costs whose server is silent, or whose line is slow: real servers, frozen or behind a slow line."""

from __future__ import annotations

import asyncio
import signal
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import redis
import redis.asyncio
import uvloop
from redis.asyncio.cluster import ClusterNode

from aioq import InvalidInput, Queue, Worker
from aioq.store import Connection
from aioq.store.net.budget import Budget, attempt_timeout
from aioq.store.net.node import Node
from aioq.store.net.source import address_of
from aioq.values.errors import ServerUnreachable
from tests import jobs
from tests.conftest import Server, free_port, port_of_nobody
from tests.servers.tls import Certificates, lacking, tls_binary
from tests.system.proxy import Proxy
from tests.tools import eventually


@pytest.fixture
def short_path() -> Iterator[Path]:
    """Unix socket names have at most 107 bytes."""
    with tempfile.TemporaryDirectory(prefix="aioq-") as folder:
        yield Path(folder)


@pytest.fixture
def tls() -> None:
    """Skips the test where nobody speaks TLS."""
    if why := lacking():
        pytest.skip(why)


@asynccontextmanager
async def frozen(server: Server) -> AsyncIterator[None]:
    """The server takes connections and answers nothing."""
    assert server.process is not None
    server.process.send_signal(signal.SIGSTOP)

    try:
        yield
    finally:
        server.process.send_signal(signal.SIGCONT)


async def seconds_until_given_up(call: Awaitable[object]) -> float:
    begun = time.monotonic()

    with pytest.raises(ServerUnreachable):
        await asyncio.wait_for(call, 30)

    return time.monotonic() - begun


@asynccontextmanager
async def silent_after(words: bytes) -> AsyncIterator[int]:
    """A server that says +OK to each line until it has seen these words, and nothing from then on; its port."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        is_silent = False

        while data := await reader.read(1000):
            is_silent = is_silent or words in data
            writer.write(b"" if is_silent else b"+OK\r\n" * data.count(b"*"))

        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)

    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


# One budget for all attempts


def test_a_budget_counts_silence_and_pauses_and_then_raises_the_error() -> None:
    budget, error = Budget(10, (0.05, 0.2, 0.8)), ServerUnreachable("gone")
    error.silence = 4
    assert 0.025 <= budget.pause_after(error) <= 0.075
    assert 5.9 < budget.left < 6
    budget.pause_after(error)

    with pytest.raises(ServerUnreachable) as raised:
        budget.pause_after(error)

    assert raised.value is error


def test_a_budget_ends_with_its_attempts() -> None:
    budget, error = Budget(10, (0.05, 0.2)), ServerUnreachable("refused")
    budget.pause_after(error)
    budget.pause_after(error)

    with pytest.raises(ServerUnreachable):
        budget.pause_after(error)


@pytest.mark.parametrize(
    ("budget", "asked", "repeated", "others", "expected"),
    [
        (15, None, True, False, 5),
        (60, None, True, False, 20),
        (2, None, True, False, 2),
        (15, None, False, False, 15),
        (15, None, False, True, 5),
        (60, None, True, True, 5),
        (1, 1, True, False, 1),
        (15, 1, True, True, 1),
        (60, 60, True, False, 60),
        (3, 60, True, False, 3),
    ],
)
def test_an_attempt_gets_a_part_of_the_budget(
    budget: float, asked: float | None, repeated: bool, others: bool, expected: float
) -> None:
    assert attempt_timeout(budget, asked, is_repeated=repeated, has_others=others) == expected


@pytest.mark.parametrize("phase", ["open", "call"])
async def test_a_frozen_server_costs_no_more_than_the_call_timeout(
    own_server: Callable[..., Server], phase: str
) -> None:
    server = own_server()

    async with Queue("default", server.tcp_url, call_timeout="1.2s") as queue:
        if phase == "call":
            await queue.enqueue(jobs.noop)

        async with frozen(server):
            calls = [seconds_until_given_up(queue.enqueue(jobs.noop)) for _ in range(3)]
            assert all(0.8 < each < 4 for each in await asyncio.gather(*calls))

        await queue.enqueue(jobs.noop)


async def test_a_server_that_falls_silent_between_attempts_has_one_budget(
    own_server: Callable[..., Server],
) -> None:
    """The first attempt ends with its connection, after a part of the time; the next one gets what is left."""
    server = own_server()

    async with Proxy(server.socket) as proxy:
        connection = Connection(proxy.url, call_timeout=2)
        await connection.call(("PING",))
        proxy.hold()
        call = asyncio.create_task(seconds_until_given_up(connection.call(("PING",))))
        await asyncio.sleep(1)
        proxy.reset()
        assert 1.5 < await call < 4
        proxy.heal()
        await connection.aclose()


@pytest.mark.parametrize("words", [b"AUTH", b"SELECT", b"SETINFO"])
async def test_a_server_that_falls_silent_in_the_handshake_has_the_same_budget(words: bytes) -> None:
    async with silent_after(words) as port:
        connection = Connection(f"redis://user:secret@127.0.0.1:{port}/3", call_timeout=1)
        assert 0.7 < await seconds_until_given_up(connection.call(("PING",))) < 4
        await connection.aclose()


async def test_a_call_that_waits_for_a_connection_that_is_closed_fails_and_is_not_cancelled() -> None:
    """A CancelledError would end the caller, whom nobody has cancelled: a worker, say."""
    async with silent_after(b"SETINFO") as port:
        node = Node(address_of(f"redis://127.0.0.1:{port}"), 20)
        call = asyncio.create_task(node.round_trip((("PING",),)))
        await eventually(lambda: node._opening is not None)
        await node.aclose()

        with pytest.raises(ServerUnreachable, match="closed meanwhile"):
            await call


async def test_a_server_that_falls_silent_in_a_reply_has_the_same_budget(server: Server) -> None:
    async with Proxy(server.socket) as proxy:
        connection = Connection(proxy.url, call_timeout=1)
        await connection.call(("SET", "aioq:long", b"x" * 400_000, "PX", 60_000))
        proxy.rate = 400_000
        call = asyncio.create_task(seconds_until_given_up(connection.call(("GET", "aioq:long"))))
        await asyncio.sleep(0.3)
        proxy.hold()
        assert 1 < await call < 5
        proxy.heal()
        await connection.aclose()


async def test_new_calls_to_a_frozen_server_do_not_prolong_the_wait_of_older_ones(
    own_server: Callable[..., Server],
) -> None:
    """The kernel of a frozen server goes on taking bytes: they are not of the call that waits."""
    server = own_server()
    connection = Connection(server.tcp_url, patient=False, call_timeout=1)
    await connection.call(("PING",))

    async with frozen(server):
        first = asyncio.create_task(seconds_until_given_up(connection.call(("PING",))))
        others = []

        while not first.done():
            others.append(asyncio.create_task(connection.call(("ECHO", b"x" * 100_000))))
            await asyncio.sleep(0.1)

        assert first.result() < 4
        await asyncio.gather(*others, return_exceptions=True)

    await connection.aclose()


async def test_durable_calls_have_the_same_budget(own_server: Callable[..., Server]) -> None:
    server = own_server("--appendonly", "yes", "--appendfsync", "always")

    async with Queue("default", server.tcp_url, call_timeout=1) as queue:
        await queue.enqueue(jobs.noop, durability="fsync")

        async with frozen(server):  # WAITAOF may last for a second by itself
            assert await seconds_until_given_up(queue.enqueue(jobs.noop, durability="fsync")) < 6


async def test_calls_to_a_port_where_nobody_listens_fail_at_once_and_name_it() -> None:
    port = port_of_nobody()

    async with Queue("default", f"redis://127.0.0.1:{port}/0") as queue:
        assert await seconds_until_given_up(queue.enqueue(jobs.noop)) < 4


# What the caller asks for


@pytest.mark.parametrize("value", [0, -1, "soon", True, float("nan")])
def test_a_call_timeout_that_is_no_duration_is_refused(value: object) -> None:
    with pytest.raises((InvalidInput, TypeError), match="call_timeout"):
        Queue("default", "redis://127.0.0.1/0", call_timeout=value)  # type: ignore[arg-type]


async def test_a_shared_connection_brings_its_own_call_timeout() -> None:
    connection = Connection("redis://127.0.0.1/0", call_timeout=3)
    assert Queue("default", connection).connection.call_timeout == 3

    with pytest.raises(InvalidInput, match=r"Connection\(call_timeout=…\)"):
        Queue("default", connection, call_timeout=3)


@pytest.mark.parametrize("text", ["0", "-1", "nan", "inf"])
def test_a_socket_timeout_that_is_no_limit_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="socket_timeout"):
        Queue("default", f"redis://127.0.0.1/0?socket_timeout={text}")


URLS = ["redis://h", "unix:///run/x.sock", "redis+sentinel://h/main", "redis+cluster://h"]


@pytest.mark.parametrize("url", URLS)
def test_the_socket_timeout_of_a_url_is_the_budget(url: str) -> None:
    assert Connection(f"{url}?socket_timeout=1.5").call_timeout == 1.5
    assert Connection(url).call_timeout == 15
    assert Connection(f"{url}?socket_timeout=1.5", call_timeout=4).call_timeout == 4


def test_the_socket_timeout_of_a_client_is_the_budget_and_that_of_redis_py_is_not() -> None:
    sentinel = redis.asyncio.Sentinel([("h", 1)])
    node = ClusterNode("127.0.0.1", 1)
    given: list[tuple[object, float | None]] = [
        (redis.asyncio.Redis(), None),
        (redis.asyncio.Redis(socket_timeout=None), None),
        (redis.asyncio.Redis(socket_timeout=1.5), 1.5),
        (redis.asyncio.Redis.from_url("redis://h"), None),
        (redis.asyncio.Redis.from_url("redis://h?socket_timeout=1.5"), 1.5),
        (sentinel.master_for("main"), None),
        (sentinel.master_for("main", socket_timeout=1.5), 1.5),
        (redis.asyncio.RedisCluster(startup_nodes=[node]), None),
        (redis.asyncio.RedisCluster(startup_nodes=[node], socket_timeout=1.5), 1.5),
    ]

    for client, expected in given:
        assert address_of(client).socket_timeout == expected


async def test_the_socket_timeout_of_a_client_holds(own_server: Callable[..., Server]) -> None:
    server = own_server()
    client = redis.asyncio.Redis(port=server.port, socket_timeout=0.5)

    async with Queue("default", client) as queue:
        await queue.enqueue(jobs.noop)

        async with frozen(server):
            assert 0.4 < await seconds_until_given_up(queue.enqueue(jobs.noop)) < 2.5

    await client.aclose()


async def test_a_short_socket_timeout_ends_no_blocking_read(own_server: Callable[..., Server]) -> None:
    server = own_server()
    url = f"{server.tcp_url}?socket_timeout=0.5"
    worker = Worker("default", url)
    running = asyncio.create_task(worker.run())

    async with Queue("default", url) as queue:
        assert await (await queue.enqueue(jobs.add, 1, 2)).result(timeout=10) == 3
        await asyncio.sleep(1.2)  # longer than the socket_timeout: the idle worker's BLPOP must still be there

        with server.client() as client:
            (blocked,) = [each for each in client.client_list() if each["cmd"] == "blpop"]
            assert int(blocked["age"]) >= 1

    worker.request_stop()
    await running


# Slow lines


@pytest.mark.chaos
async def test_calls_and_replies_may_take_longer_than_the_timeout_while_bytes_move(server: Server) -> None:
    """Three seconds each way, with a patience of one and a half."""
    size = 900_000

    async with Proxy(server.socket, rate=300_000) as proxy:
        connection = Connection(proxy.url, patient=False, call_timeout=1.5)
        begun = time.monotonic()
        assert await connection.call(("SET", "aioq:long", b"x" * size, "PX", 60_000)) == b"OK"
        assert time.monotonic() - begun > 1.5
        assert len(await connection.call(("GET", "aioq:long"))) == size
        await connection.aclose()


async def test_small_calls_behind_a_large_one_wait_for_as_long_as_the_line_needs(server: Server) -> None:
    async with Proxy(server.socket, rate=500_000) as proxy:
        connection = Connection(proxy.url, patient=False, call_timeout=1.5)
        large = ("SET", "aioq:long", b"x" * 1_000_000, "PX", 60_000)
        calls = [("ECHO", b"a"), large, ("ECHO", b"b"), ("ECHO", b"c")]
        found = await asyncio.gather(*(connection.call(each) for each in calls))
        assert found == [b"a", b"OK", b"b", b"c"]
        await connection.aclose()


async def test_large_calls_of_one_wire_arrive_whole_and_in_order(server: Server) -> None:
    connection = Connection(server.tcp_url)
    values = [bytes([number]) * (number % 3 * 400_000 + 5) for number in range(12)]
    assert await asyncio.gather(*(connection.call(("ECHO", value)) for value in values)) == values
    await connection.aclose()


@pytest.mark.chaos
@pytest.mark.parametrize(
    ("is_tls", "loop_factory"),
    [
        pytest.param(False, asyncio.new_event_loop, id="plain-asyncio"),
        pytest.param(True, uvloop.new_event_loop, id="tls-uvloop"),
        pytest.param(False, uvloop.new_event_loop, id="plain-uvloop", marks=pytest.mark.chaos),
        pytest.param(True, asyncio.new_event_loop, id="tls-asyncio", marks=pytest.mark.chaos),
    ],
)
def test_bytes_are_seen_to_move_on_every_event_loop_and_with_tls(
    short_path: Path,
    tmp_path: Path,
    tls: None,
    loop_factory: Callable[[], asyncio.AbstractEventLoop],
    is_tls: bool,
) -> None:
    """Two and a half seconds each way, with a patience of one and a half."""
    certificates, tls_port = Certificates.make(tmp_path), free_port()
    settings = {"tls-port": str(tls_port)} | dict(certificates.settings()) if is_tls else {}
    settings.pop("tls-replication", None)
    options = [part for name, value in settings.items() for part in (f"--{name}", value)]
    server = Server(short_path, *options, binary=tls_binary() if is_tls else None)

    async def carry() -> None:
        async with Proxy(tls_port if is_tls else server.port, rate=800_000, opaque=True) as proxy:
            url = proxy.url
            url = f"redis{url[5:]}" if not is_tls else f"rediss{url[5:]}?ssl_ca_certs={certificates.certificate}"
            connection = Connection(url, patient=False, call_timeout=1.5)
            large = connection.call(("SET", "aioq:long", b"x" * 2_000_000, "PX", 60_000))
            assert await asyncio.gather(large, connection.call(("ECHO", b"a"))) == [b"OK", b"a"]
            assert len(await connection.call(("GET", "aioq:long"))) == 2_000_000
            await connection.aclose()

    server.start()

    try:
        with asyncio.Runner(loop_factory=loop_factory) as runner:
            runner.run(carry())
    finally:
        server.stop(kill=True)


async def test_a_large_call_that_is_cut_half_way_is_sent_again(server: Server) -> None:
    async with Proxy(server.socket, rate=1_000_000) as proxy:
        connection = Connection(proxy.url, call_timeout=1)
        call = asyncio.create_task(connection.call(("SET", "aioq:long", b"x" * 1_500_000, "PX", 60_000)))
        await asyncio.sleep(1)
        proxy.reset()
        assert await call == b"OK"
        await connection.aclose()


@pytest.mark.chaos
async def test_many_jobs_are_enqueued_over_a_slow_line(server: Server) -> None:
    async with (
        Proxy(server.socket, rate=1_000_000) as proxy,
        Queue("default", proxy.url, call_timeout=0.7) as queue,
    ):
        payloads = [Queue.prepare_data(jobs.add, (b"x" * 50_000, number)) for number in range(40)]
        assert len(await queue.enqueue_many(payloads)) == 40
        together = [queue.enqueue(jobs.add, b"x" * 100_000, number) for number in range(20)]
        assert len(await asyncio.gather(*together)) == 20
        proxy.rate = None
        await queue.empty()
        await queue.delete()
