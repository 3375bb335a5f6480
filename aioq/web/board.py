"""Board: what the pages read from the server. Each method costs few calls, however many jobs there are.

What a page asks for at once shares a round trip; see `store/net/sharing.py`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import NamedTuple

from aioq.doctor import Setting, examine_server
from aioq.store import Connection, Directory, Store
from aioq.store.sight import QueueSight, look_at
from aioq.store.worker_info import WorkerInfo
from aioq.values.errors import ServerError, ServerUnreachable
from aioq.values.record import JobRecord
from aioq.web.past import Past

#: How a text is changed before it leaves the process: called with the name of the function, the name of the
#: argument (or its place; "result", "meta.<key>" or "error") and the text.
Redact = Callable[[str, str, str], str]

#: How long what the server says of itself is believed, in seconds.
FACTS_S = 60.0

#: The name of the task that asks it.
ASKING = "aioq web: facts of the server"

#: What stands for a text that could not be redacted.
HIDDEN = "(hidden)"


class ServerSight(NamedTuple):
    """What the server says of itself.

    Args:
        settings: the doctor's look at its settings; None: it has not answered yet.

    """

    settings: list[Setting] | None

    def value(self, name: str) -> str:
        """The value of a setting; "" if it is not told."""
        known = self.settings or ()

        return next((each.value for each in known if each.name == name and each.level != "unknown"), "")


class Board:
    """What the pages read.

    Args:
        connection: the server.
        redact: changes texts before they leave the process (None: nothing is changed).

    """

    def __init__(self, connection: Connection, redact: Redact | None = None) -> None:
        self.connection = connection.sharing()
        self._own = connection  # its round trips are measured, so nobody shares them
        self.past = Past(self.connection)
        self._redact = redact
        self._facts = ServerSight(None)
        self._facts_until = 0.0
        self._ahead_ms: float | None = None
        self._asking: asyncio.Task[None] | None = None

    def store(self, queue: str) -> Store:
        """One queue. No page makes one: a name without keys has empty lists."""
        return Store(self.connection, queue)

    async def names(self) -> list[str]:
        """The names of all queues, in order."""
        return await Directory(self.connection, away={}).queues()

    async def queues(self, names: list[str] | None = None) -> tuple[list[QueueSight], dict[str, ServerError]]:
        """These queues (None: all), and what could not be reached, by its name."""
        away: dict[str, ServerError] = {}
        wanted = await Directory(self.connection, away=away).queues() if names is None else names

        return await look_at(self.connection, wanted, away), away

    async def workers(self) -> list[WorkerInfo]:
        """The workers that tell of themselves."""
        return await Directory(self.connection, away={}).workers()

    def begin(self) -> None:
        """Ask the server for what it says of itself, if it is time for that. No page waits for it."""
        if time.monotonic() >= self._facts_until and (self._asking is None or self._asking.done()):
            self._asking = asyncio.create_task(self._ask_server(), name=ASKING)
            self._asking.add_done_callback(_heard)

    async def aclose(self) -> None:
        """Ask no more. The connection is its owner's."""
        if self._asking is not None and not self._asking.done():
            self._asking.cancel()
            await asyncio.wait([self._asking])

    def server(self) -> ServerSight:
        """What the server says of itself, as far as it is known. It is asked once a minute, beside the pages."""
        self.begin()

        return self._facts

    async def now_ms(self) -> int:
        """The moment by the server's clock, in ms since 1970. Only the first page asks, beside all else."""
        self.begin()

        if self._ahead_ms is None:
            self._ahead_ms = await self._ask_ahead()

        return round(time.time() * 1000 + self._ahead_ms)

    async def _ask_ahead(self) -> float:
        """By how many ms the server's clock is ahead of this machine's."""
        (server, *_) = await self.connection.servers()

        try:
            seconds, micros = await server.call(("TIME",))
        except ServerUnreachable:
            raise
        except ServerError:  # this user may not ask for it
            return 0.0

        return int(seconds) * 1000 + int(micros) / 1000 - time.time() * 1000

    async def _ask_server(self) -> None:
        self._ahead_ms = await self._ask_ahead()

        try:
            settings = await examine_server(self._own)
        except ServerUnreachable:
            raise
        except ServerError:
            settings = []

        self._facts, self._facts_until = ServerSight(settings), time.monotonic() + FACTS_S

    def shown(self, record: JobRecord, name: str, text: str) -> str:
        """A text of a job as it may leave the process."""
        return self.shown_of(record.func_name, name, text)

    def shown_of(self, function: str, name: str, text: str) -> str:
        """A text of a job of this function as it may leave the process."""
        if self._redact is None:
            return text

        try:
            return str(self._redact(function, name, text))
        except Exception:  # noqa: BLE001 - what hides texts must not show one because it has failed
            return HIDDEN

    @property
    def hides(self) -> bool:
        """Whether texts are changed before they leave the process."""
        return self._redact is not None


def _heard(asking: asyncio.Task[None]) -> None:
    """An error is told by the calls that the page itself makes."""
    if not asking.cancelled():
        asking.exception()
