"""A proxy before a server that breaks the way to it: loses requests and replies, holds back, delays, resets.

It reads enough of RESP to tell one reply from the next, and to know which script each answers.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Self

from aioq.store.scripts import server_scripts

Way = Literal["up", "down"]

#: Where a call is cut: before the server sees it, after it has run, or in the middle of its reply.
Cut = Literal["request", "reply", "inside"]


@dataclass(slots=True)
class Trap:
    """Waits for the nth call of a script, and cuts its connection there."""

    verb: str
    where: Cut
    nth: int = 1


@dataclass(slots=True, eq=False)
class Line:
    """One client's connection: what it has asked and what has not been answered."""

    asked: deque[tuple[str, Trap | None]] = field(default_factory=deque)
    subscribed: bool = False  # then messages come that nobody asked for
    writers: list[asyncio.StreamWriter] = field(default_factory=list)


class Proxy:
    """Passes frames on, connection by connection.

    Args:
        server: a unix socket, or a port of this machine.
        rate: bytes per second that pass in each direction, over all connections together; None: no limit. It can
            be changed at any time.
        opaque: bytes are passed on unread, as those of TLS must be; then no call can be cut.

    """

    def __init__(self, server: Path | int, rate: float | None = None, *, opaque: bool = False) -> None:
        self._target = server
        self.rate = rate
        self._opaque = opaque
        self._free_at: dict[Way, float] = {"up": 0.0, "down": 0.0}
        self._verbs = {each.sha: verb for verb, each in server_scripts().by_name.items()}
        self._traps: list[Trap] = []
        self._lines: set[Line] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._gates: dict[Way, asyncio.Event] = {"up": asyncio.Event(), "down": asyncio.Event()}
        self.delay = 0.0
        self.cuts = 0
        self.heal()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self._port}/0"

    def cut(self, verb: str, where: Cut = "reply", nth: int = 1) -> None:
        """Cut the connection of the nth call of this script from now on."""
        self._traps.append(Trap(verb, where, nth))

    def cut_reply_of(self, verb: str) -> None:
        """The next call of this script is run, and its connection closed instead of answered."""
        self.cut(verb)

    def hold(self, *ways: Way) -> None:
        """Nothing passes any more, not even an end: the peer is silent. What was sent arrives after `heal`."""
        for way in ways or ("up", "down"):
            self._gates[way].clear()

    def heal(self) -> None:
        """Pass everything on again, at once, and forget what was to be cut."""
        self.delay = 0.0
        self._traps.clear()

        for gate in self._gates.values():
            gate.set()

    def reset(self) -> None:
        """End all connections with RST, as a router does that has forgotten them."""
        for line in self._lines:
            for writer in line.writers:
                found = writer.get_extra_info("socket")

                if found is not None and found.family != socket.AF_UNIX:
                    with suppress(OSError):  # it has just been closed
                        found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

                writer.transport.abort()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, sock=_listener(), limit=16_384)
        self._port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task, line = asyncio.current_task(), Line(writers=[writer])
        self._tasks.add(task)
        self._lines.add(line)
        try:
            up_reader, up_writer = await self._connect()
            line.writers.append(up_writer)
            ways = [
                asyncio.create_task(self._pass(line, "up", reader, up_writer)),
                asyncio.create_task(self._pass(line, "down", up_reader, writer)),
            ]
            try:
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for way in ways:
                    way.cancel()
                await asyncio.gather(*ways, return_exceptions=True)
        except (asyncio.CancelledError, OSError):
            pass
        finally:
            for each in line.writers:
                each.close()
            self._lines.discard(line)
            self._tasks.discard(task)

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        await self._gates["up"].wait()
        if isinstance(self._target, int):
            return await asyncio.open_connection("127.0.0.1", self._target)
        return await asyncio.open_unix_connection(str(self._target))

    async def _pass(
        self, line: Line, way: Way, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Pass on what comes one way, until its end or a cut."""
        buffer = bytearray()
        read = self._read_request if way == "up" else self._read_reply
        while data := await reader.read(self._step()):
            if way == "up":  # the client's bytes are taken at the line's rate
                await self._take_time(way, len(data))
            buffer += data
            passed, is_cut = bytearray(), False
            if self._opaque:
                passed, buffer = buffer, passed
            while not is_cut and (end := frame_end(buffer)) >= 0:
                frame = bytes(buffer[:end])
                del buffer[:end]
                kept = read(line, frame)
                is_cut = len(kept) < len(frame)
                passed += kept
            if self.delay:
                await asyncio.sleep(self.delay)
            await self._gates[way].wait()
            if way == "up" or self.rate is None:
                writer.write(passed)
                await writer.drain()
            else:  # and gets its replies at that rate, also a reply that is read here as a whole
                await self._write_slowly(way, writer, passed)
            if is_cut:
                self.cuts += 1
                return
        await self._gates[way].wait()

    def _step(self) -> int:
        """How many bytes pass at once: on a slow line, what it carries in a fiftieth of a second."""
        return 65536 if self.rate is None else max(512, min(65536, int(self.rate / 50)))

    async def _take_time(self, way: Way, count: int) -> None:
        """Wait as long as the line needs for these bytes, after those of other connections."""
        if self.rate is not None:
            now = asyncio.get_running_loop().time()
            self._free_at[way] = max(now, self._free_at[way]) + count / self.rate
            await asyncio.sleep(self._free_at[way] - now)

    async def _write_slowly(self, way: Way, writer: asyncio.StreamWriter, data: bytearray) -> None:
        step = self._step()
        for at in range(0, len(data), step):
            piece = bytes(data[at : at + step])
            await self._take_time(way, len(piece))
            await self._gates[way].wait()
            writer.write(piece)
            await writer.drain()

    def _read_request(self, line: Line, frame: bytes) -> bytes:
        """What of a request is passed on."""
        words = frame.split(b"\r\n", 5)
        verb = words[2].decode(errors="replace").lower() if len(words) > 2 else ""
        verb = self._verbs.get(words[4].decode(errors="replace"), verb) if verb == "evalsha" else verb
        line.subscribed |= verb.endswith("subscribe")
        trap = self._trap(verb)
        if trap is not None and trap.where == "request":
            return b""
        line.asked.append((verb, trap))
        return frame

    def _read_reply(self, line: Line, frame: bytes) -> bytes:
        """What of a reply is passed on."""
        if line.subscribed or not line.asked:
            return frame
        _, trap = line.asked.popleft()
        if trap is None:
            return frame
        if frame.startswith(b"-NOSCRIPT"):  # it has not run; it is loaded, and called again
            self._traps.append(trap)
            return frame
        return frame[: len(frame) // 2] if trap.where == "inside" else b""

    def _trap(self, verb: str) -> Trap | None:
        for trap in self._traps:
            if trap.verb == verb:
                trap.nth -= 1
                if trap.nth <= 0:
                    self._traps.remove(trap)
                    return trap
                break
        return None


def _listener() -> socket.socket:
    """Takes connections as a network does: the loopback device's own buffers would take megabytes at once."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=128)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 1460)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32_768)
    return listener


def frame_end(data: bytes | bytearray) -> int:
    """Where the first value of RESP in these bytes ends; -1: it is not whole yet."""
    left, at = 1, 0
    while left:
        line = data.find(b"\r\n", at)
        if line < 0:
            return -1
        kind, left = data[at : at + 1], left - 1
        if kind in (b"$", b"!", b"="):
            size = int(data[at + 1 : line])
            at = line + 2 + (size + 2 if size >= 0 else 0)
        else:
            if kind in (b"*", b"~", b">", b"%"):
                left += max(0, int(data[at + 1 : line])) * (2 if kind == b"%" else 1)
            at = line + 2
        if at > len(data):
            return -1
    return at
