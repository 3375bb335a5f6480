"""What a connection has in one event loop: wires that are lent end with it."""

from __future__ import annotations

import asyncio

import pytest

from aioq import Connection
from aioq.errors import ServerUnreachable
from aioq.store.net.loop_connection import LoopConnection
from aioq.store.net.per_loop import running_loop
from aioq.store.net.stream import pack
from aioq.store.net.wire import Wire


def held_by(connection: Connection) -> LoopConnection:
    return connection._loops[running_loop()]


async def test_a_wire_that_was_lent_is_closed_with_it(connection: Connection) -> None:
    held = held_by(connection)
    wire = await held.lend_wire(5, "aioq:x")
    assert await wire.send(pack((("PING",),)), 1) == [b"PONG"]
    await held.aclose()
    assert not wire.is_open


async def test_a_wire_that_is_opened_during_a_close_is_closed_too(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    held, opened, go_on = held_by(connection), list[Wire](), asyncio.Event()
    open_wire = held.way.open_wire

    async def open_slowly(patience: float, key: str) -> Wire:
        opened.append(await open_wire(patience, key))
        await go_on.wait()

        return opened[0]

    monkeypatch.setattr(held.way, "open_wire", open_slowly)
    lending = asyncio.create_task(held.lend_wire(5, "aioq:x"))

    while not opened:
        await asyncio.sleep(0.001)

    await held.aclose()
    go_on.set()

    with pytest.raises(ServerUnreachable, match="closed meanwhile"):
        await lending

    assert not opened[0].is_open


async def test_it_can_be_used_again_after_a_close(connection: Connection) -> None:
    assert await connection.call(("PING",)) == b"PONG"
    await held_by(connection).aclose()
    assert await connection.call(("PING",)) == b"PONG"
