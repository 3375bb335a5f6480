"""A way to one server: scripts are loaded when they are called first, and run in the order of their calls."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import redis

from aioq.store.net import library
from aioq.store.net.command import Command
from aioq.store.net.node import Node
from aioq.store.net.source import address_of
from tests.conftest import Server

FIRST = library.add("first", "return {'first', redis.call('INCR', KEYS[1])}")
SECOND = library.add("second", "return {'second', redis.call('INCR', KEYS[1])}")


def call(sha: str) -> Command:
    return ("EVALSHA", sha, 1, "n")


@pytest.fixture
async def node(server: Server, client: redis.Redis) -> AsyncIterator[Node]:
    node = Node(address_of(server.url), 5)
    client.script_flush()

    yield node

    await node.aclose()
    client.delete("n")


async def test_only_scripts_that_are_called_are_loaded(node: Node, client: redis.Redis) -> None:
    assert await node.round_trip([call(FIRST)]) == [[b"first", 1]]
    assert client.script_exists(FIRST, SECOND) == [True, False]


@pytest.mark.parametrize("shas", [(FIRST, SECOND), (SECOND, FIRST), (FIRST, SECOND, FIRST)])
async def test_calls_run_in_their_order_though_some_of_their_scripts_are_missing(
    node: Node, client: redis.Redis, shas: tuple[str, ...]
) -> None:
    client.script_load("return {'second', redis.call('INCR', KEYS[1])}")
    assert [each[1] for each in await node.round_trip([call(sha) for sha in shas])] == [*range(1, len(shas) + 1)]


async def test_after_a_flush_of_the_scripts_they_are_loaded_again(node: Node, client: redis.Redis) -> None:
    await node.round_trip([call(FIRST), call(SECOND)])
    client.script_flush()
    assert [each[1] for each in await node.round_trip([call(FIRST), call(SECOND)])] == [3, 4]
    client.script_flush()
    await node.round_trip([call(SECOND)])
    assert [each[1] for each in await node.round_trip([call(FIRST), call(SECOND)])] == [6, 7]


async def test_a_new_connection_may_lead_to_a_server_that_knows_some_of_them_only(
    node: Node, client: redis.Redis
) -> None:
    await node.round_trip([call(FIRST), call(SECOND)])
    client.script_flush()
    client.script_load("return {'second', redis.call('INCR', KEYS[1])}")
    await node.aclose()
    assert [each[1] for each in await node.round_trip([call(FIRST), call(SECOND)])] == [3, 4]
