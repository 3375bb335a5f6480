"""Fixtures of the client's tests: a burst worker, a bare client, and a word that is each test's own."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Iterator

import pytest
import redis

from aioq import Worker
from tests.conftest import Server


@pytest.fixture
def raw(server: Server) -> Iterator[redis.Redis]:
    """A bare client of the test's server."""
    with server.client() as client:
        yield client


@pytest.fixture
def burst(server: Server) -> Callable[..., Awaitable[int]]:
    """Runs a worker until its queues are empty."""

    async def run(*queues: str, **options: object) -> int:
        return await Worker(list(queues) or ["default"], server.url, **options).run(burst=True)

    return run


@pytest.fixture
def key() -> str:
    """A word by which a test and its jobs find each other in `work`."""
    return secrets.token_hex(8)
