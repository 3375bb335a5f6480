"""A proxy before a server that can lose the reply of one script (it is run, never answered), or be far away."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Self

from aioq.store.script import script


class Proxy:
    """Passes bytes on, connection by connection.

    Args:
        socket: the server's.
        delay: seconds that bytes are on their way, in each direction.

    """

    def __init__(self, socket: Path, *, delay: float = 0) -> None:
        self._socket = socket
        self._delay = delay
        self._sha: bytes | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.cuts = 0

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self._port}/0"

    def cut_reply_of(self, verb: str) -> None:
        """The next call of this script is run, and its connection closed instead of answered."""
        self._sha = script(verb).sha.encode()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self._port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        self._tasks.add(task)
        try:
            up_reader, up_writer = await asyncio.open_unix_connection(str(self._socket))
            try:
                await self._pass(reader, writer, up_reader, up_writer)
            finally:
                writer.close()
                up_writer.close()
        except (asyncio.CancelledError, ConnectionError):
            pass
        finally:
            self._tasks.discard(task)

    async def _pass(self, reader, writer, up_reader, up_writer) -> None:
        cut = asyncio.Event()

        async def up() -> None:
            while data := await reader.read(65536):
                if self._sha is not None and self._sha in data:
                    self._sha = None
                    cut.set()
                await self._write(up_writer, data)

        async def down() -> None:
            while data := await up_reader.read(65536):
                # A script that the server does not know has not run; it is loaded, and called again.
                if cut.is_set() and b"NOSCRIPT" not in data:
                    self.cuts += 1
                    return
                await self._write(writer, data)

        ways = [asyncio.create_task(up()), asyncio.create_task(down())]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)

    async def _write(self, writer: asyncio.StreamWriter, data: bytes) -> None:
        if self._delay:  # a long way, not a narrow one: what comes next need not wait
            asyncio.get_running_loop().call_later(self._delay, _write_if_open, writer, data)
        else:
            writer.write(data)
            await writer.drain()


def _write_if_open(writer: asyncio.StreamWriter, data: bytes) -> None:
    if not writer.is_closing():
        writer.write(data)
