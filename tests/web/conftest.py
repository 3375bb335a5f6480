"""The dashboard of the test's server, as a client of HTTP sees it, and jobs in every state."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack

import httpx
import pytest

from tests.conftest import Server
from tests.web.tools import client


@pytest.fixture
async def browse(server: Server) -> AsyncIterator[Callable[..., httpx.AsyncClient]]:
    """Makes clients of dashboards; what these have opened is closed at the end."""
    async with AsyncExitStack() as stack:

        async def make(**options: object) -> httpx.AsyncClient:
            return await stack.enter_async_context(client(server.url, **options))

        yield make
