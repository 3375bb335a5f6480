"""The server that tests use: one that is named, or an embedded one for all tests of this process."""

from __future__ import annotations

import asyncio
import atexit
import os
import shutil
import tempfile
import threading

from aioq.embedded import EmbeddedError, EmbeddedServer
from aioq.store import Connection
from aioq.store.keys import TEST_PREFIX
from aioq.store.net.per_loop import running_loop
from aioq.store.time_travel import clear
from aioq.values.errors import ServerUnreachable, WrongContext

#: Names the server that tests use.
URL_VARIABLE = "AIOQ_TEST_URL"

_embedded: list[EmbeddedServer] = []
_guard = threading.Lock()


def server_url(url: str | None = None) -> str:
    """The URL of the server that tests use.

    Args:
        url: the one that is asked for. None: that in AIOQ_TEST_URL, else an embedded server of this process. It
            has a folder of its own, which is removed at the end of the process.

    Raises:
        ServerUnreachable: no server is named, and the embedded one cannot be started.

    """
    return url or os.environ.get(URL_VARIABLE) or _embedded_url()


def _embedded_url() -> str:
    with _guard:
        if not _embedded:
            folder = tempfile.mkdtemp(prefix="aioq-test-")

            try:
                _embedded.append(EmbeddedServer.open(folder))
            except EmbeddedError as error:
                shutil.rmtree(folder, ignore_errors=True)

                raise ServerUnreachable(f"tests need a server: {error}. Or name one in {URL_VARIABLE}") from error

            atexit.register(_end, os.getpid())

        # Not by its folder: each kit would take a share of its own in the server.
        return _embedded[0].url


def _end(pid: int) -> None:
    if os.getpid() == pid:  # the server is not that of a fork
        _embedded[0].close()
        shutil.rmtree(_embedded[0].directory, ignore_errors=True)


class Cleaner:
    """Removes what tests have left on a server, for code that runs in no event loop, such as plain fixtures.

    It keeps an event loop of its own, and a connection there.

    Args:
        url: the server.

    """

    def __init__(self, url: str) -> None:
        self._loop, self._turn = asyncio.new_event_loop(), threading.Lock()
        self._connection = Connection(url, prefix=f"{TEST_PREFIX}cleaner")

    def clear(self, prefix: str) -> None:
        """Remove everything that is stored in the namespace of a test.

        Raises:
            WrongContext: an event loop runs here.

        """
        if running_loop() is not None:
            raise WrongContext("an event loop runs here: use `await kit.aclose()` in the place of `kit.close()`")

        with self._turn:
            self._loop.run_until_complete(clear(self._connection, prefix))

    def close(self) -> None:
        """Close the connection and the event loop."""
        self._loop.run_until_complete(self._connection.aclose())
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.close()


_cleaners: dict[str, Cleaner] = {}


def cleaner_of(url: str) -> Cleaner:
    """The cleaner of a server, for all tests of this process."""
    with _guard:
        if url not in _cleaners:
            _cleaners[url] = Cleaner(url)

        return _cleaners[url]


def close_cleaners() -> None:
    """Close all cleaners. For the end of all tests."""
    while _cleaners:
        _cleaners.popitem()[1].close()


atexit.register(close_cleaners)
