from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
import redis
from redis.asyncio.connection import UnixDomainSocketConnection

from aioq.store import Connection
from aioq.store.net.stream import ReplyError, pack
from aioq.store.net.wire import Wire
from aioq.values.errors import ServerError, ServerUnreachable
from tests.conftest import Server
from tests.tools import eventually


@pytest.fixture
async def wire(server: Server) -> AsyncIterator[Wire]:
    wire = await Wire.open(UnixDomainSocketConnection(path=str(server.socket), protocol=2, socket_timeout=5))
    yield wire
    await wire.aclose()


@pytest.fixture
def short_path() -> Iterator[Path]:
    """Unix socket names have at most 107 bytes."""
    with tempfile.TemporaryDirectory(prefix="aioq-") as folder:
        yield Path(folder)


@contextlib.asynccontextmanager
async def answering(answer: Callable[[], bytes], folder: Path) -> AsyncIterator[Path]:
    """A server on a socket of its own; it accepts the handshake, and then answers as the test says."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1000):
            writer.write(b"+OK\r\n" * data.count(b"SETINFO") if b"SETINFO" in data else answer())

        writer.close()

    path = folder / "fake.sock"
    server = await asyncio.start_unix_server(serve, path)

    try:
        yield path
    finally:
        server.close()


async def test_replies_come_in_order_however_many_round_trips_are_under_way(wire: Wire) -> None:
    trips = [wire.send(pack([("ECHO", f"{number}.{part}") for part in range(3)]), 3) for number in range(200)]

    assert await asyncio.gather(*trips) == [
        [f"{number}.{part}".encode() for part in range(3)] for number in range(200)
    ]


async def test_an_error_stands_in_the_place_of_its_reply(wire: Wire) -> None:
    first, second, third = await wire.send(pack([("PING",), ("NO-SUCH",), ("EVALSHA", "0" * 40, 0)]), 3)

    assert first == b"PONG"
    assert isinstance(second, ReplyError)
    assert second.code == "ERR"
    assert third.code == "NOSCRIPT"


async def test_a_reply_that_comes_in_pieces_is_put_together(wire: Wire) -> None:
    big = b"x" * 3_000_000

    assert await wire.send(pack([("ECHO", big), ("PING",)]), 2) == [big, b"PONG"]


async def test_a_caller_that_gives_up_leaves_its_reply_to_nobody(wire: Wire) -> None:
    trip = wire.send(pack([("ECHO", "old")]), 1)
    trip.cancel()

    assert await wire.send(pack([("ECHO", "new")]), 1) == [b"new"]


async def test_round_trips_under_way_fail_when_the_connection_is_lost(wire: Wire, client: redis.Redis) -> None:
    trips = [wire.send(pack([("BLPOP", "aioq:none", 0)]), 1) for _ in range(3)]
    await eventually(lambda: client.info("clients")["blocked_clients"] == 1)
    client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")

    for trip in trips:
        with pytest.raises(ConnectionResetError):
            await trip

    assert not wire.is_open

    with pytest.raises(ConnectionResetError):
        wire.send(pack([("PING",)]), 1)


async def test_a_server_that_takes_too_long_is_given_up(server: Server) -> None:
    wire = await Wire.open(UnixDomainSocketConnection(path=str(server.socket), protocol=2, socket_timeout=0.2))
    assert await wire.send(pack([("PING",)]), 1) == [b"PONG"]
    await asyncio.sleep(0.3)  # an idle wire is not late
    assert await wire.send(pack([("PING",)]), 1) == [b"PONG"]

    with pytest.raises(TimeoutError, match=r"no answer within 0\.2 s"):
        await wire.send(pack([("BLPOP", "aioq:none", 0)]), 1)

    await wire.aclose()


async def test_what_is_not_resp_ends_the_connection(short_path: Path) -> None:
    async with answering(lambda: b"HTTP/1.1 400 Bad Request\r\n\r\n", short_path) as path:
        wire = await Wire.open(UnixDomainSocketConnection(path=str(path), protocol=2))

        with pytest.raises(OSError, match="does not speak RESP"):
            await wire.send(pack([("PING",)]), 1)

        await wire.aclose()


async def test_a_reply_that_nobody_asked_for_ends_the_connection(short_path: Path) -> None:
    async with answering(lambda: b"+one\r\n+two\r\n", short_path) as path:
        wire = await Wire.open(UnixDomainSocketConnection(path=str(path), protocol=2))
        assert await wire.send(pack([("PING",)]), 1) == [b"one"]
        await eventually(lambda: not wire.is_open)
        await wire.aclose()


async def test_callers_that_come_while_it_is_opened_share_it_even_if_the_first_gives_up(
    server: Server, client: redis.Redis
) -> None:
    before = len(client.client_list())
    connection = Connection(server.url)
    first = asyncio.create_task(connection.call(("PING",)))
    others = [asyncio.create_task(connection.call(("ECHO", str(number)))) for number in range(5)]
    await asyncio.sleep(0)
    first.cancel()

    assert await asyncio.gather(*others) == [b"0", b"1", b"2", b"3", b"4"]
    assert len(client.client_list()) == before + 1
    await connection.aclose()


@pytest.mark.parametrize("code", ["LOADING", "READONLY", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN", "BUSY"])
async def test_a_patient_call_waits_for_a_server_that_cannot_answer_yet(code: str, short_path: Path) -> None:
    answers = [f"-{code} not now\r\n".encode()] * 2 + [b"+PONG\r\n"]

    async with answering(lambda: answers.pop(0), short_path) as path:
        connection = Connection(f"unix://{path}")
        assert await connection.call(("PING",)) == b"PONG"
        assert answers == []

        answers.append(f"-{code} not now\r\n".encode())
        impatient = connection.sibling()

        with pytest.raises(ServerUnreachable, match=code):
            await impatient.call(("PING",))

        await impatient.aclose()
        await connection.aclose()


async def test_a_value_that_cannot_be_packed_sends_nothing(connection: Connection) -> None:
    with pytest.raises(ServerError, match="cannot be sent"):
        await connection.calls([("SET", "aioq:x", "1"), ("SET", "aioq:x", None)])

    assert await connection.call(("EXISTS", "aioq:x")) == 0


def test_a_connection_may_be_used_by_one_event_loop_after_another(server: Server) -> None:
    connection = Connection(server.url)

    async def ask() -> bytes:
        answer = await connection.call(("PING",))
        await connection.aclose()

        return answer

    assert asyncio.run(ask()) == asyncio.run(ask()) == b"PONG"
