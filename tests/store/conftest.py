"""A store on the real server; after each test that uses it, an audit of what it has left there."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import redis

from aioq.store import Connection, Store
from tests.conftest import Server
from tests.store.tools import audit


@pytest.fixture
def client(server: Server) -> Iterator[redis.Redis]:
    """A plain client of the same server, undecoded."""
    with redis.Redis.from_url(server.url) as client:
        yield client


@pytest.fixture
def ghosts() -> None:
    """For a test that leaves lane entries whose jobs are gone: the audit does not mind them."""


@pytest.fixture
def store(connection: Connection, client: redis.Redis, request: pytest.FixtureRequest) -> Iterator[Store]:
    """An empty queue. What stands on the server at the end must be whole."""
    store = Store(connection, "default")
    yield store

    assert audit(client, store, ghosts="ghosts" in request.fixturenames) == []
