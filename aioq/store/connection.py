"""Connection: what all calls of a program go through, whatever is behind it: one server, a primary, a Cluster."""

from __future__ import annotations

import asyncio
import math
import os
import re
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, NoReturn

from aioq.store.keys import PREFIX, SharedKeys
from aioq.store.net.absent import advice_for_programs
from aioq.store.net.budget import CALL_TIMEOUT_S, PAUSES, Budget, attempt_timeout
from aioq.store.net.command import Argument, Command
from aioq.store.net.info import OLDEST, facts_of, version_of
from aioq.store.net.listener import Listener
from aioq.store.net.loop_connection import LoopConnection
from aioq.store.net.per_loop import PerLoop, running_loop
from aioq.store.net.refusals import refusal
from aioq.store.net.sharing import Sharing
from aioq.store.net.stream import ReplyError
from aioq.store.net.url import environment_url
from aioq.store.net.ways import Server, Way, address_of, slots_of, way_to
from aioq.store.net.wire import Wire
from aioq.store.scripts import Scripts, scripts_of
from aioq.values.durations import Duration, positive_ms
from aioq.values.errors import InvalidInput, InvalidType, ServerUnreachable, ServerUnsuitable
from aioq.values.signature import Keyring, Secret, read_secret

if TYPE_CHECKING:
    from aioq.store.net.address import Address
    from aioq.store.net.slots import SlotMap

PREFIX_VARIABLE = "AIOQ_PREFIX"
SECRET_VARIABLE = "AIOQ_SECRET"  # noqa: S105 - its name, not its value

#: Where the answers of many servers are collected, a call is not repeated after so many seconds of silence.
REPEAT_WITHIN_S = 1.0

#: What a blocking call may take beside its own time, in seconds.
BLOCKING_GRACE_S = 5.0


class Connection:
    """The way to the server, opened when first used, in each event loop that uses it.

    It may be used in any number of event loops and threads at once. What is opened in a loop is closed with it.

    Args:
        source: a URL (redis://, rediss://, unix://, redis+sentinel://, redis+cluster://, embedded://), a
            redis.asyncio.Redis or RedisCluster that the caller owns and whose options are used, or None: the
            first of AIOQ_REDIS_URL, RQ_REDIS_URL and REDIS_URL that is set, else what REDIS_HOST and its like say,
            else redis://localhost:6379/0.
        prefix: the first word of every key. None: the environment's AIOQ_PREFIX, else "aioq". One that begins
            with "aioq-test:" is for a test, which can move the clock of everything there; see aioq.testing.
        patient: repeat a call a few times when the connection is lost; scripts are safe to repeat. Workers
            switch it off, because they must know when a reply may have been lost.
        secret: signs what is stored, and nothing is read that is not signed; several: the first one signs, all of
            them verify. None: the environment's AIOQ_SECRET.

    Raises:
        InvalidInput: the URL cannot be read, or the secret cannot be used, or AIOQ_SECRET is set and empty.

    """

    def __init__(
        self,
        source: Server = None,
        *,
        prefix: str | None = None,
        patient: bool = True,
        secret: Secret = None,
        call_timeout: Duration | None = None,
    ) -> None:
        self.shared: SharedKeys = SharedKeys(
            _check_prefix(os.environ.get(PREFIX_VARIABLE) or PREFIX if prefix is None else prefix)
        )
        self.keyring: Keyring | None = read_secret(secret, os.environ.get(SECRET_VARIABLE))
        #: What stores on this connection call. Others can be put here before there is a store.
        self.scripts: Scripts = scripts_of(self.shared.prefix)
        asked = None if call_timeout is None else positive_ms(call_timeout, "call_timeout") / 1000
        #: Nobody has named a server.
        self._is_default = not source and environment_url() is None
        address = address_of(source)
        self.call_timeout: float = asked or address.socket_timeout or CALL_TIMEOUT_S
        pauses = PAUSES if patient else ()
        self._begin(address, pauses, _attempt_timeout(address, self.call_timeout, pauses))

    def sibling(self, *, blocking: float = 0) -> Connection:
        """An impatient connection to the same server, with a share of its own in it.

        Args:
            blocking: seconds that the server may take to answer, beside its usual time.

        """
        usual = _attempt_timeout(self._address, self.call_timeout, ())
        timeout = blocking + BLOCKING_GRACE_S if blocking else usual

        return self._copy(self._address.sibling(), timeout, self._slots)

    def companion(self, timeout: float) -> Connection:
        """An impatient connection to the same server. It must not be used after this one is closed.

        A server that was started for this connection runs as long as this one is open.

        Args:
            timeout: seconds without a moving byte that a call may take.

        """
        other = self._copy(replace(self._address, provider=None), timeout, self._slots)
        other.call_timeout = timeout

        return other

    def sharing(self) -> Connection:
        """The same connection, where calls that begin together share a round trip. It is closed with this one."""
        other = self._copy(replace(self._address, provider=None), self._timeout, self._slots)
        other.pauses, other.repeat_ms = self.pauses, self.repeat_ms
        other._is_default = self._is_default  # noqa: SLF001 - of the same class
        other._loops = PerLoop(self._open_sharing, LoopConnection.aclose)  # noqa: SLF001

        return other

    async def servers(self) -> list[Connection]:
        """A connection for each server that has keys: this one, or one for each of a Cluster; closed with this."""
        way = self._loops[running_loop()].way
        nodes = await way.nodes()

        return [self] if nodes == [way] else [self._of_node(node) for node in nodes]

    async def by_server(self, keys: Sequence[Argument]) -> list[tuple[Connection, list[int]]]:
        """The positions of keys, each with a connection to the server that has them; closed with this."""
        way = self._loops[running_loop()].way
        groups = await way.by_server(keys)

        return [(self if each is way else self._of_node(each), mine) for each, mine in groups]

    @cached_property
    def place(self) -> tuple[object, ...]:
        """What two connections that see the same keys have in common: the server and the prefix."""
        return (*self._address.place, self.shared.prefix)

    @cached_property
    def identity(self) -> tuple[object, ...]:
        """What two connections that see the same jobs have in common: the server, the prefix and the secrets."""
        return (*self.place, self.keyring)

    @property
    def is_cluster(self) -> bool:
        """Whether each queue may be on another server."""
        return self._slots is not None

    @property
    def has_others(self) -> bool:
        """Whether another server may take over when one is silent."""
        return self._address.has_others

    @property
    def opened(self) -> int:
        """How often this event loop has connected to a server.

        If the number has grown, another server may answer by now, or the same one after a restart. It may have
        lost calls that were answered before.
        """
        return self._loops[running_loop()].way.opened

    async def lend_wire(self, blocking: float, key: Argument) -> Wire:
        """A wire of one's own, for commands that block the one that they are sent on. It is closed with this.

        Args:
            blocking: seconds that the server may take to answer, beside its usual time.
            key: what the commands are about.

        """
        held = self._loops[running_loop()]

        return await held.lend_wire(blocking + min(BLOCKING_GRACE_S, self.call_timeout), key)

    async def call(self, command: Command) -> Any:
        """One command, in one round trip; a script that the server has forgotten is loaded again."""
        return (await self.calls((command,)))[0]

    async def calls(self, commands: Sequence[Command], *, patient: bool = True) -> list[Any]:
        """Several commands in one round trip; the first error among the replies is raised.

        Args:
            commands: what is sent.
            patient: repeat them as the connection does. False: try once.

        """
        replies = await self._round_trip(commands, None if patient else ())

        for command, reply in zip(commands, replies, strict=True):
            if isinstance(reply, ReplyError):
                raise refusal(self.url, reply, command)

        return replies

    async def each(self, commands: Sequence[Command]) -> list[Any]:
        """Several commands in one round trip. Where the server refuses one, the error stands in its place.

        Raises:
            ServerUnreachable: nobody answers. It was tried again once, unless that is a server that is silent.

        """
        try:
            replies = await self._round_trip(commands, ())
        except ServerUnreachable as error:
            if not self.pauses or error.silence > REPEAT_WITHIN_S:
                raise

            replies = await self._round_trip(commands, self.pauses[:1])

        return [
            refusal(self.url, reply, command) if isinstance(reply, ReplyError) else reply
            for command, reply in zip(commands, replies, strict=True)
        ]

    async def check_server(self) -> None:
        """Refuse a server that is too old.

        Raises:
            ServerUnsuitable: it names the version and the oldest one that works.

        """
        info = await self.call(("INFO", "server"))
        kind, version, numbers = version_of(facts_of(info))

        if numbers < OLDEST[kind]:
            oldest = ".".join(str(part) for part in OLDEST[kind])
            raise ServerUnsuitable(
                f"{kind} {version} at {self.url} is too old; aioq needs {kind} {oldest} or later"
            )

    @property
    def listener(self) -> Listener:
        """The subscription that all who wait in this event loop share."""
        return self._loops[running_loop()].listener

    async def aclose(self) -> None:
        """Close what this event loop has opened here, and what loops that have ended have left open.

        What other loops have opened stays open, and so does a client that the caller owns.
        """
        await self._loops.aclose()
        provider = self._address.provider

        if provider is not None and not any(held.way.is_open for held in list(self._loops.values())):
            provider.close()

    async def _round_trip(self, commands: Sequence[Command], pauses: Sequence[float] | None = None) -> list[Any]:
        """One round trip, again after a pause while the connection is patient; errors of single replies stay."""
        if not commands:
            return []  # no answer would ever come

        way = self._loops[running_loop()].way

        try:
            return await way.round_trip(commands, self.call_timeout)
        except ServerUnreachable as error:
            failure, budget = error, Budget(self.call_timeout, self.pauses if pauses is None else pauses)

        while True:
            try:
                pause = budget.pause_after(failure)
            except ServerUnreachable:
                if self._is_default and failure.nobody_listens:
                    failure.advice = advice_for_programs()

                # The frames of these attempts help nobody who reads the traceback.
                raise failure.with_traceback(None) from None

            await asyncio.sleep(pause)

            try:
                return await way.round_trip(commands, budget.left)
            except ServerUnreachable as error:
                failure = error

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Connection is not pickled. Pass its URL, and open one where it is used")

    def _begin(
        self, address: Address, pauses: tuple[float, ...], timeout: float, slots: SlotMap | None = None
    ) -> None:
        self._address = address
        self.url: str = address.url
        self.pauses: tuple[float, ...] = pauses
        #: For how long, in ms, a call may be sent again after it was sent first; 0: it never is.
        self.repeat_ms: int = math.ceil(1000 * self.call_timeout) if pauses else 0
        self._slots = slots_of(address) if slots is None else slots
        self._timeout = timeout
        self._loops = PerLoop(self._open, LoopConnection.aclose)

    def _open(self) -> LoopConnection:
        """What the running loop gets."""
        return LoopConnection(way_to(self._address, self._slots, self._timeout))

    def _open_sharing(self) -> LoopConnection:
        return LoopConnection(Sharing(self._loops[running_loop()].way))

    def _copy(self, address: Address, timeout: float, slots: SlotMap | None = None) -> Connection:
        other = object.__new__(Connection)
        other._is_default = False
        other.shared, other.keyring, other.scripts = self.shared, self.keyring, self.scripts
        other.call_timeout = self.call_timeout
        other._begin(address, (), timeout, slots)

        return other

    def _of_node(self, node: Way) -> Connection:
        """A connection that uses a node of this one, which closes it."""
        other = self._copy(node.address, self._timeout)
        other._loops[running_loop()] = LoopConnection(node)  # noqa: SLF001 - of the same class

        return other


def connect(
    server: Server | Connection, *, prefix: str | None, secret: Secret, call_timeout: Duration | None = None
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

    if prefix is not None and prefix != server.shared.prefix:
        raise InvalidInput(
            f"prefix={prefix!r}: the connection has the prefix {server.shared.prefix!r}; leave the option away"
        )

    return server


def _attempt_timeout(address: Address, budget: float, pauses: Sequence[float]) -> float:
    return attempt_timeout(budget, address.socket_timeout, is_repeated=bool(pauses), has_others=address.has_others)


def _check_prefix(prefix: object) -> str:
    if not isinstance(prefix, str):
        raise InvalidType(f"prefix={prefix!r}: expected a str, not {type(prefix).__name__}")

    if not re.fullmatch(r"[A-Za-z0-9_.:@/+-]+", prefix):
        raise InvalidInput(f"prefix={prefix!r}: expected letters, digits or characters of _ . : @ / + -")

    return prefix
