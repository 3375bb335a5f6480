"""A subscription asks its server whether it is there, and gives up one that is silent."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable

import pytest

from aioq import Connection
from tests.conftest import Server
from tests.store.net.test_listener import listen
from tests.tools import eventually


async def test_a_server_that_has_gone_silent_is_left_and_listened_to_again(
    own_server: Callable[..., Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A frozen server ends no connection. That it is silent is noticed, and told when it can be heard again."""
    monkeypatch.setattr("aioq.store.net.node.QUESTION_INTERVAL_S", 0.2)
    server = own_server()
    connection = Connection(server.url, call_timeout=0.5)
    ear = await listen(connection.listener, "one")
    assert server.process is not None
    server.process.send_signal(signal.SIGSTOP)
    await asyncio.sleep(0.6)
    server.process.send_signal(signal.SIGCONT)
    await eventually(lambda: ear.missed == 1)

    with server.client() as client:
        await eventually(lambda: client.publish("one", "x") == 1)

    await eventually(lambda: ear.heard)
    await connection.aclose()


async def test_a_server_that_publishes_nothing_but_lives_is_not_left(
    own_server: Callable[..., Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aioq.store.net.node.QUESTION_INTERVAL_S", 0.05)
    server = own_server()
    connection = Connection(server.url)
    ear = await listen(connection.listener, "one")

    with server.client() as client:
        (before,) = client.client_list("pubsub")
        await eventually(lambda: client.info("commandstats")["cmdstat_ping"]["calls"] > 5)
        (after,) = client.client_list("pubsub")

    assert before["id"] == after["id"]
    assert ear.missed == 0
    await connection.aclose()
