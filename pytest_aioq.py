"""The pytest plugin of aioq: fixtures for tests of jobs. docs/testing.md tells how to use them.

It is a module of its own, since pytest loads it in every run where aioq is installed: a run that asks for none of
these fixtures imports nothing of aioq.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from aioq import Queue
    from aioq.testing import TestKit

#: The option that names the server for tests, in the file that configures pytest.
URL_OPTION = "aioq_test_url"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Announce the option that names a server."""
    parser.addini(
        URL_OPTION,
        "the URL of the server for tests of aioq (default: AIOQ_TEST_URL, else an embedded server)",
        default="",
    )


@pytest.fixture(scope="session")
def aioq_server(pytestconfig: pytest.Config) -> Iterator[str]:
    """The URL of the server: that in AIOQ_TEST_URL, that of the ini option `aioq_test_url`, or an embedded one."""
    from aioq.testing.server import URL_VARIABLE, close_cleaners, server_url  # noqa: PLC0415 - see above

    yield server_url(os.environ.get(URL_VARIABLE) or pytestconfig.getini(URL_OPTION) or None)
    close_cleaners()


@pytest.fixture
def aioq_kit(aioq_server: str) -> Iterator[TestKit]:
    """A TestKit with a namespace of its own for the test. What the test leaves there is removed."""
    from aioq.testing import TestKit  # noqa: PLC0415 - see above

    kit = TestKit(aioq_server)
    yield kit
    kit.close()


@pytest.fixture
def aioq_queue(aioq_kit: TestKit) -> Queue:
    """The queue "default" of the test's namespace."""
    return aioq_kit.queue()


@pytest.fixture
def aioq_environment(aioq_kit: TestKit, monkeypatch: pytest.MonkeyPatch) -> Mapping[str, str]:
    """AIOQ_REDIS_URL and AIOQ_PREFIX lead to the test's namespace, for code that opens its queues by them."""
    for name, value in aioq_kit.environment.items():
        monkeypatch.setenv(name, value)

    return aioq_kit.environment
