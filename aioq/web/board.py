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

#: What stands for a text that could not be redacted.
HIDDEN = "(hidden)"


class ServerSight(NamedTuple):
    """What the server says of itself.

    Args:
        settings: the doctor's look at its settings.
        ahead_ms: by how many ms its clock is ahead of this machine's.

    """

    settings: list[Setting]
    ahead_ms: float

    def value(self, name: str) -> str:
        """The value of a setting; "" if it is not told."""
        return next((each.value for each in self.settings if each.name == name and each.level != "unknown"), "")


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
        self._facts: ServerSight | None = None
        self._facts_until = 0.0
        self._asking: asyncio.Task[ServerSight] | None = None

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
        """Ask the server for what it says of itself, if it is time for that. Then no page has to wait for it."""
        if time.monotonic() >= self._facts_until and (self._asking is None or self._asking.done()):
            self._asking = asyncio.create_task(self._ask_server(), name="aioq web: facts of the server")
            self._asking.add_done_callback(_heard)

    async def server(self) -> ServerSight:
        """What the server says of itself. It is asked once a minute, and only the first page waits for it."""
        self.begin()

        if self._facts is not None:
            return self._facts

        assert self._asking is not None

        return await asyncio.shield(self._asking)

    async def now_ms(self) -> int:
        """The moment by the server's clock, in ms since 1970."""
        return round(time.time() * 1000 + (await self.server()).ahead_ms)

    async def _ask_server(self) -> ServerSight:
        (server, *_) = await self._own.servers()

        try:
            seconds, micros = await server.call(("TIME",))
            ahead = int(seconds) * 1000 + int(micros) / 1000 - time.time() * 1000
        except ServerUnreachable:
            raise
        except ServerError:  # this user may not ask for it
            ahead = 0.0

        try:
            settings = await examine_server(self._own)
        except ServerUnreachable:
            raise
        except ServerError:
            settings = []

        self._facts, self._facts_until = ServerSight(settings, ahead), time.monotonic() + FACTS_S

        return self._facts

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


def _heard(asking: asyncio.Task[ServerSight]) -> None:
    """An error is told by the calls that the page itself makes."""
    if not asking.cancelled():
        asking.exception()
