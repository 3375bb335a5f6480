"""A kit on the server of the tests."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from aioq.testing import TestKit
from tests.conftest import Server
from tests.testing import work


@pytest.fixture
async def kit(server: Server) -> AsyncIterator[TestKit]:
    work.seen.clear()

    async with TestKit(server.url) as kit:
        yield kit
