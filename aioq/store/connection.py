"""Connection: what all calls of a program go through, whatever is behind it: one server, a primary, a Cluster."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Mapping, Sequence
from typing import Any
from weakref import WeakSet

from aioq.store.address import Address, Server, address_of
from aioq.store.budget import CALL_TIMEOUT_S, PAUSES, Budget, attempt_timeout
from aioq.store.cluster import Cluster, ThreadCluster
from aioq.store.keys import SharedKeys
from aioq.store.listener import Listener
from aioq.store.node import Node, ThreadNode
from aioq.store.script import Argument, Command
from aioq.store.translation import refusal
from aioq.store.wire import ReplyError, Wire
from aioq.values.durations import Duration, positive_ms
from aioq.values.errors import InvalidInput, ServerUnreachable, ServerUnsuitable
from aioq.values.signature import Secret, read_secret

SECRET_VARIABLE = "AIOQ_SECRET"  # noqa: S105 - its name, not its value

OLDEST = {"redis": (6, 2), "valkey": (7, 2)}

#: What a blocking call may take beside its own time, in seconds.
GRACE = 5.0

Way = Node | Cluster


class Connection:
    """The way to the server, opened when first used.

    Args:
        source: a URL (redis://, rediss://, unix://, redis+sentinel://, redis+cluster://, embedded://), a
            redis.asyncio.Redis or RedisCluster that the caller owns and whose options are used, or None: the
            environment's AIOQ_REDIS_URL, else REDIS_URL, else redis://localhost:6379/0.
        prefix: the first word of every key (default "aioq").
        patient: repeat a call a few times when the connection is lost; scripts are safe to repeat. Workers
            switch it off, because they must know when a reply may have been lost.
        secret: signs what is stored, and nothing is read that is not signed; several: the first one signs, all of
            them verify. None: the environment's AIOQ_SECRET.

    Raises:
        InvalidInput: the URL cannot be read, or the secret cannot be used, or AIOQ_SECRET is set and empty.

    """

    _listener: Listener | None
    _lent: WeakSet[Wire]

    def __init__(
        self,
        source: Server = None,
        *,
        prefix: str = "aioq",
        patient: bool = True,
        secret: Secret = None,
        call_timeout: Duration | None = None,
    ) -> None:
        self.shared = SharedKeys(_check_prefix(prefix))
        self.keyring = read_secret(secret, os.environ.get(SECRET_VARIABLE))
        asked = None if call_timeout is None else positive_ms(call_timeout, "call_timeout") / 1000
        address, self._provider = address_of(source)
        self.call_timeout = asked or address.socket_timeout or CALL_TIMEOUT_S
        pauses = PAUSES if patient else ()
        self._set_way(_way_to(address, _attempt_timeout(address, self.call_timeout, pauses)), pauses)

    def sibling(self, *, blocking: float = 0) -> Connection:
        """An impatient connection to the same server, for one that needs its own.

        Args:
            blocking: seconds that the server may take to answer, beside its usual time.

        """
        timeout = _attempt_timeout(self._way.address, self.call_timeout, ())

        return self._copy(self._way.sibling(blocking + GRACE if blocking else timeout))

    async def servers(self) -> list[Connection]:
        """A connection for each server that has keys: this one, or one for each of a Cluster; closed with this."""
        with_keys = await self._way.nodes()

        return [self] if with_keys == [self._way] else [self._copy(node) for node in with_keys]

    @property
    def is_cluster(self) -> bool:
        """Whether each queue may be on another server."""
        return isinstance(self._way, Cluster)

    @property
    def has_others(self) -> bool:
        """Whether another server may take over when one is silent."""
        return self._way.address.has_others

    @property
    def opened(self) -> int:
        """How often a server was connected to. If it has grown, another one may answer by now, or one that has
        been restarted, and know less than what was confirmed.
        """
        return self._way.opened

    async def lend_wire(self, blocking: float, key: Argument) -> Wire:
        """A wire of one's own, for commands that block the one that they are sent on. It is closed with this.

        Args:
            blocking: seconds that the server may take to answer, beside its usual time.
            key: what the commands are about.

        """
        wire = await self._way.open_wire(blocking + min(GRACE, self.call_timeout), key)
        self._lent.add(wire)

        return wire

    async def call(self, command: Command) -> Any:
        """One command, in one round trip; a script that the server has forgotten is loaded again."""
        return (await self.calls((command,)))[0]

    async def calls(self, commands: Sequence[Command]) -> list[Any]:
        """Several commands in one round trip; the first error among the replies is raised."""
        replies = await self._trip(commands)

        for command, reply in zip(commands, replies, strict=True):
            if isinstance(reply, ReplyError):
                raise refusal(self.url, reply, command)

        return replies

    async def check_server(self) -> None:
        """Refuse a server that is too old.

        Raises:
            ServerUnsuitable: it names the version and the oldest one that works.

        """
        info = await self.call(("INFO", "server"))
        facts = dict(line.split(":", 1) for line in info.decode().splitlines() if ":" in line)
        kind, version, numbers = version_of(facts)

        if numbers < OLDEST[kind]:
            oldest = ".".join(str(part) for part in OLDEST[kind])
            raise ServerUnsuitable(
                f"{kind} {version} at {self.url} is too old; aioq needs {kind} {oldest} or later"
            )

    @property
    def listener(self) -> Listener:
        """The subscription that all who wait here share."""
        if self._listener is None:
            self._listener = Listener(self.url, self._way.open_subscription)

        return self._listener

    def for_thread(self, timeout: float) -> ThreadNode | ThreadCluster:
        """The way there for one thread beside the event loop. timeout: seconds that a call may take."""
        return self._way.for_thread(timeout)

    async def aclose(self) -> None:
        """Close what was opened here; a client that the caller owns stays open."""
        if self._listener is not None:
            await self._listener.aclose()

        await self._way.aclose()

        for wire in list(self._lent):
            if wire.loop is asyncio.get_running_loop():
                await wire.aclose()

        self._lent.clear()

        if self._provider is not None:
            self._provider.close()
            self._provider = None

    async def _trip(self, commands: Sequence[Command]) -> list[Any]:
        """One round trip, again after a pause while the connection is patient; errors of single replies stay."""
        try:
            return await self._way.trip(commands, self.call_timeout)
        except ServerUnreachable as error:
            failure, budget = error, Budget(self.call_timeout, self.pauses)

        while True:
            await asyncio.sleep(budget.pause_after(failure))

            try:
                return await self._way.trip(commands, budget.left)
            except ServerUnreachable as error:
                failure = error

    def _copy(self, way: Way) -> Connection:
        other = object.__new__(Connection)
        other.shared, other.keyring, other._provider = self.shared, self.keyring, None
        other.call_timeout = self.call_timeout
        other._set_way(way, ())

        return other

    def _set_way(self, way: Way, pauses: tuple[float, ...]) -> None:
        self._way, self.url, self.pauses = way, way.url, pauses
        self._listener = None
        self._lent = WeakSet()


def connect(
    server: Server | Connection, *, prefix: str, secret: Secret, call_timeout: Duration | None = None
) -> Connection:
    """The connection that is shared, or one that is opened with these options.

    Raises:
        InvalidInput: a shared connection was given together with an option that is the connection's to have.

    """
    if not isinstance(server, Connection):
        return Connection(server, prefix=prefix, secret=secret, call_timeout=call_timeout)

    for name, value in (("secret", secret), ("call_timeout", call_timeout)):
        if value is not None:
            raise InvalidInput(
                f"{name}: a Connection that is shared brings its own; give it to Connection({name}=…)"
            )

    return server


def version_of(facts: Mapping[str, str]) -> tuple[str, str, tuple[int, ...]]:
    """Whether the server is redis or valkey, its version, and the first two numbers of that."""
    kind = "valkey" if "valkey_version" in facts else "redis"
    version = facts.get(f"{kind}_version", "")

    return kind, version, tuple(int(part) for part in re.findall(r"\d+", version)[:2])


def _way_to(address: Address, timeout: float) -> Way:
    return Cluster(address, timeout) if address.seeds else Node(address, timeout)


def _attempt_timeout(address: Address, budget: float, pauses: Sequence[float]) -> float:
    return attempt_timeout(budget, address.socket_timeout, is_repeated=bool(pauses), has_others=address.has_others)


def _check_prefix(prefix: object) -> str:
    if not isinstance(prefix, str):
        raise TypeError(f"prefix={prefix!r}: expected a str, not {type(prefix).__name__}")

    if not re.fullmatch(r"[A-Za-z0-9_.:@/+-]+", prefix):
        raise InvalidInput(f"prefix={prefix!r}: expected letters, digits or characters of _ . : @ / + -")

    return prefix
