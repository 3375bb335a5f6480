"""A server that webhooks are sent to, on this event loop."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Request:
    line: str
    headers: dict[str, str]  # their names in lower case
    body: bytes

    @property
    def told(self) -> dict[str, Any]:
        return json.loads(self.body)


@dataclass
class Receiver:
    """Notes requests, and answers them.

    Args:
        port: where it listens.
        answers: the status lines of the next answers; then "204 No Content".
        hear: called with each request.

    """

    port: int
    answers: list[str] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    hear: Callable[[Request], None] = lambda _: None
    answering: asyncio.Event = field(default_factory=asyncio.Event)

    def url(self, path: str = "/jobs", host: str = "127.0.0.1", scheme: str = "http") -> str:
        return f"{scheme}://{host}:{self.port}{path}"

    @property
    def types(self) -> list[str]:
        return [request.told["type"] for request in self.requests]

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            headers = dict(line.split(": ", 1) for line in head[1:] if line)
            headers = {name.lower(): value for name, value in headers.items()}
            body = await reader.readexactly(int(headers["content-length"]))
            self.requests.append(Request(head[0], headers, body))
            self.hear(self.requests[-1])
            await self.answering.wait()
            status = self.answers.pop(0) if self.answers else "204 No Content"
            writer.write(f"HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n".encode())
            await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # whoever has sent it is gone
        finally:
            writer.close()


@asynccontextmanager
async def receiving(hear: Callable[[Request], None] = lambda _: None, **options: Any) -> AsyncIterator[Receiver]:
    """A receiver; the other options are those of `asyncio.start_server`."""
    receiver = Receiver(0, hear=hear)
    receiver.answering.set()
    server = await asyncio.start_server(receiver.answer, "127.0.0.1", 0, **options)
    receiver.port = server.sockets[0].getsockname()[1]

    async with server:
        yield receiver
