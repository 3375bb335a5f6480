"""Connection: the way to one server. It alone knows redis-py, its errors and its options."""

from __future__ import annotations

import asyncio
import importlib
import os
import random
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol
from urllib.parse import urlsplit
from weakref import WeakSet

import redis as redis_sync
import redis.exceptions as failures
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.retry import Retry as SyncRetry

from aioq.store.keys import SharedKeys
from aioq.store.listener import Listener
from aioq.store.remedy import is_refusal, remedy
from aioq.store.script import Command, loading
from aioq.store.wire import ReplyError, Wire, pack
from aioq.values.errors import (
    InvalidInput,
    ServerError,
    ServerFull,
    ServerRefused,
    ServerUnreachable,
    ServerUnsuitable,
)
from aioq.values.signature import Secret, read_secret

DEFAULT_URL = "redis://localhost:6379/0"
URL_VARIABLES = ("AIOQ_REDIS_URL", "REDIS_URL", "RQ_REDIS_URL")
SECRET_VARIABLE = "AIOQ_SECRET"  # noqa: S105 - its name, not its value
SCHEMES = ("redis", "rediss", "unix")

#: Schemes that another package of aioq serves: it is imported when such a URL is used, and may be missing.
PROVIDERS = {"embedded": "aioq.embedded"}

OLDEST = {"redis": (6, 2), "valkey": (7, 2)}

#: A call fails after this long without an answer; far above any script's time, below anyone's patience.
CALL_TIMEOUT = 15.0
CONNECT_TIMEOUT = 5.0

#: A patient call is repeated after these pauses, in seconds, each shortened or lengthened by up to a half.
PAUSES = (0.05, 0.2, 0.8)

#: What redis-py says when a server takes a connection and ends it at once. What the server says then (it has as
#: many clients as it takes) is lost more often than not.
HUNG_UP = ("Connection lost", "Connection reset", "closed by server", "max number of clients")

#: Errors of a server that will soon be able to answer, or of one that is not the one to ask any more.
TRANSIENT = frozenset(("LOADING", "READONLY", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN", "BUSY"))

#: What a user names a server by: a URL, a client that the user owns, or None for the environment's URL.
Server = str | Redis | None


class Provider(Protocol):
    """What a provider of a scheme returns: a server that lives until it is closed."""

    url: str

    def close(self) -> None: ...


class Connection:
    """The way to one server, opened when first used. All calls share one wire.

    Args:
        source: a URL (redis://, rediss://, unix://, embedded://), a redis.asyncio.Redis that the caller owns and
            whose options are used, or None: the environment's AIOQ_REDIS_URL, else REDIS_URL, else
            redis://localhost:6379/0.
        prefix: the first word of every key (default "aioq").
        patient: repeat a call a few times when the connection is lost; scripts are safe to repeat. Workers
            switch it off, because they must know when a reply may have been lost.
        secret: signs what is stored, and nothing is read that is not signed; several: the first one signs, all of
            them verify. None: the environment's AIOQ_SECRET.

    Raises:
        InvalidInput: the URL cannot be read, or the secret cannot be used.

    """

    def __init__(
        self, source: Server = None, *, prefix: str = "aioq", patient: bool = True, secret: Secret = None
    ) -> None:
        self.shared = SharedKeys(_check_prefix(prefix))
        self.keyring = read_secret(secret, os.environ.get(SECRET_VARIABLE, ""))
        self._provider: Provider | None = None
        self._listener: Listener | None = None
        self._wire: Wire | None = None
        self._opening: asyncio.Task[Wire] | None = None
        self._lent: WeakSet[Wire] = WeakSet()
        self.pauses = PAUSES if patient else ()

        if source is not None and not isinstance(source, str | Redis):
            raise TypeError(f"connection: expected a URL or a redis.asyncio.Redis, not {_type_name(source)}")

        if isinstance(source, Redis):
            self.url = "a client of the caller"
            self._kwargs = dict(source.connection_pool.connection_kwargs)
            self._connection_class: type[Any] = source.connection_pool.connection_class
        else:
            self.url = check_url(source or default_url())
            self._connection_class, self._kwargs = self._resolve(self.url)

        self._pool = self._make_pool()

    def sibling(self, *, blocking: float = 0) -> Connection:
        """An impatient connection to the same server, for one that needs its own.

        Args:
            blocking: seconds that the server may take to answer, beside its usual time.

        """
        other = object.__new__(Connection)
        other.shared, other.url, other._provider, other._listener = self.shared, self.url, None, None
        other.keyring = self.keyring
        other._kwargs, other._connection_class = self._kwargs, self._connection_class
        other._wire, other._opening, other.pauses = None, None, ()
        other._lent = WeakSet()
        options = {"socket_timeout": blocking + CALL_TIMEOUT / 3} if blocking else {}
        other._pool = other._make_pool(**options)

        return other

    async def lend_wire(self, blocking: float) -> Wire:
        """A wire of one's own, for commands that block the one that they are sent on. It is closed with this.

        Args:
            blocking: seconds that the server may take to answer, beside its usual time.

        """
        pool = self._make_pool(socket_timeout=blocking + CALL_TIMEOUT / 3)

        with translated(self.url):
            wire = await Wire.open(pool.make_connection())

        self._lent.add(wire)

        return wire

    async def call(self, command: Command) -> Any:
        """One command, in one round trip; a script that the server has forgotten is loaded again."""
        return (await self.calls((command,)))[0]

    async def calls(self, commands: Sequence[Command]) -> list[Any]:
        """Several commands in one round trip; the first error among the replies is raised."""
        replies = await self._trip(commands)

        for reply in replies:
            if isinstance(reply, ReplyError):
                return await self._mend(commands, replies)

        return replies

    async def load_scripts(self) -> None:
        """Make every script known to the server."""
        for reply in await self._trip(loading()):
            if isinstance(reply, ReplyError):
                raise refusal(self.url, reply)

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
        """The subscription that all who wait here share; a silent peer is noticed by its health check."""
        if self._listener is None:
            self._listener = Listener(
                lambda: Redis(connection_pool=self._make_pool(health_check_interval=15)).pubsub(),
                lambda command: translated(self.url, command),
            )

        return self._listener

    def for_thread(self, timeout: float) -> redis_sync.Redis:
        """A client for one thread beside the event loop."""
        classes = {
            "Connection": redis_sync.Connection,
            "SSLConnection": redis_sync.SSLConnection,
            "UnixDomainSocketConnection": redis_sync.UnixDomainSocketConnection,
        }
        kwargs = self._kwargs | {
            "decode_responses": False,
            "protocol": 2,
            "socket_timeout": timeout,
            "socket_connect_timeout": timeout,
            "retry": SyncRetry(NoBackoff(), 0),
        }
        pool = redis_sync.ConnectionPool(
            connection_class=classes[self._connection_class.__name__], max_connections=1, **_portable(kwargs)
        )

        return redis_sync.Redis(connection_pool=pool)

    async def aclose(self) -> None:
        """Close what was opened here; a client that the caller owns stays open."""
        if self._listener is not None:
            await self._listener.aclose()
            self._listener = None

        if self._opening is not None:
            self._opening.cancel()
            await asyncio.wait([self._opening])
            self._opening = None

        if self._wire is not None:
            if self._wire.loop is asyncio.get_running_loop():
                await self._wire.aclose()

            self._wire = None

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
            packed = pack(commands)
        except TypeError as error:
            raise ServerError(f"a value cannot be sent: {error}") from None

        for pause in self.pauses:
            try:
                return await self._attempt(packed, len(commands))
            except ServerUnreachable:
                await asyncio.sleep(pause * (0.5 + random.random()))  # noqa: S311 - spreads a crowd, no secret

        return await self._attempt(packed, len(commands))

    async def _attempt(self, packed: bytes, count: int) -> list[Any]:
        wire = self._wire

        if wire is None or not wire.is_open or wire.loop is not asyncio.get_running_loop():
            wire = await self._open()

        try:
            replies = await wire.send(packed, count)
        except OSError as error:
            raise unreachable(self.url, error) from error

        for reply in replies:
            if isinstance(reply, ReplyError) and reply.code in TRANSIENT:
                wire.abort(ConnectionResetError(str(reply)))  # another address may have taken over
                raise unreachable(self.url, reply)

        return replies

    async def _mend(self, commands: Sequence[Command], replies: list[Any]) -> list[Any]:
        """Load scripts that the server has forgotten, and send again only what did not run."""
        forgotten = [
            at for at, reply in enumerate(replies) if isinstance(reply, ReplyError) and reply.code == "NOSCRIPT"
        ]

        if forgotten:
            await self.load_scripts()

            for at, reply in zip(forgotten, await self._trip([commands[at] for at in forgotten]), strict=True):
                replies[at] = reply

        for command, reply in zip(commands, replies, strict=True):
            if isinstance(reply, ReplyError):
                raise refusal(self.url, reply, command)

        return replies

    async def _open(self) -> Wire:
        """The wire, opened once for all who wait for it."""
        loop = asyncio.get_running_loop()

        if self._opening is None or self._opening.get_loop() is not loop:
            self._opening = loop.create_task(Wire.open(self._pool.make_connection()))
            self._opening.add_done_callback(self._opened)

        try:
            # A caller that gives up must not take the wire from the others.
            with translated(self.url):
                return await asyncio.shield(self._opening)
        except ServerUnreachable as error:
            if any(words in str(error) for words in HUNG_UP):
                raise ServerUnreachable(
                    f"{error} It was taken and hung up: see maxclients of the server"
                ) from error

            raise

    def _opened(self, task: asyncio.Task[Wire]) -> None:
        if self._opening is task:
            self._opening = None

        if not task.cancelled() and task.exception() is None:
            self._wire = task.result()

    def _resolve(self, url: str) -> tuple[type[Any], dict[str, Any]]:
        scheme = url.split("://", 1)[0]

        if scheme in PROVIDERS:
            self._provider = _provide(scheme, url)
            url = self._provider.url

        try:
            pool = BlockingConnectionPool.from_url(url)
            pool.connection_class(**pool.connection_kwargs)  # it connects later, but looks at its options now
        except (ValueError, TypeError) as error:
            raise InvalidInput(f"{redacted(url)} is not a URL that can be used: {error}") from None

        database = urlsplit(url).path.strip("/")

        if scheme != "unix" and "path" not in pool.connection_kwargs and database and not database.isdigit():
            raise InvalidInput(f"{redacted(url)} names the database {database!r}; expected a number")

        return pool.connection_class, dict(pool.connection_kwargs)

    def _make_pool(self, **options: Any) -> BlockingConnectionPool:
        kwargs = {"socket_timeout": CALL_TIMEOUT, "socket_connect_timeout": CONNECT_TIMEOUT} | _portable(
            self._kwargs
        )
        kwargs |= {"decode_responses": False, "protocol": 2, "retry": AsyncRetry(NoBackoff(), 0)}
        kwargs |= {"socket_keepalive": True} | options

        if "path" in kwargs:
            kwargs.pop("socket_keepalive")

        return BlockingConnectionPool(connection_class=self._connection_class, timeout=None, **kwargs)


def connect(server: Server | Connection, *, prefix: str, secret: Secret) -> Connection:
    """The connection that is shared, or one that is opened with these options.

    Raises:
        InvalidInput: a shared connection was given and a secret, which is the connection's to have.

    """
    if not isinstance(server, Connection):
        return Connection(server, prefix=prefix, secret=secret)

    if secret is not None:
        raise InvalidInput("secret: a Connection that is shared brings its own; give it to Connection(secret=…)")

    return server


def version_of(facts: Mapping[str, str]) -> tuple[str, str, tuple[int, ...]]:
    """Whether the server is redis or valkey, its version, and the first two numbers of that."""
    kind = "valkey" if "valkey_version" in facts else "redis"
    version = facts.get(f"{kind}_version", "")

    return kind, version, tuple(int(part) for part in re.findall(r"\d+", version)[:2])


def default_url() -> str:
    """The URL from the environment, else that of a server on this machine."""
    return next((os.environ[name] for name in URL_VARIABLES if os.environ.get(name)), DEFAULT_URL)


def check_url(url: str) -> str:
    """Refuse what is not a URL with a known scheme."""
    scheme = url.split("://", 1)[0] if "://" in url else None

    if scheme not in (*SCHEMES, *PROVIDERS):
        known = ", ".join(f"{name}://" for name in (*SCHEMES, *PROVIDERS))
        raise InvalidInput(f"{redacted(url)!r} is not a server's URL; expected {known} and an address")

    return url


def _check_prefix(prefix: object) -> str:
    if not isinstance(prefix, str):
        raise TypeError(f"prefix={prefix!r}: expected a str, not {_type_name(prefix)}")

    if not re.fullmatch(r"[A-Za-z0-9_.:@/+-]+", prefix):
        raise InvalidInput(f"prefix={prefix!r}: expected letters, digits or characters of _ . : @ / + -")

    return prefix


def _type_name(value: object) -> str:
    return f"{type(value).__module__}.{type(value).__qualname__}"


def redacted(url: str) -> str:
    """The URL without its password."""
    url = re.sub(r"([?&]password=)[^&#]*", r"\1***", url)
    scheme, separator, rest = url.partition("://")
    userinfo, at, host = rest.rpartition("@")
    user = userinfo.split(":", 1)[0]

    return f"{scheme}{separator}{user}:***@{host}" if at and ":" in userinfo else url


@contextmanager
def translated(url: str, command: Command = ()) -> Iterator[None]:
    """Turn redis-py's errors into those of aioq. command: what is sent, as far as that is known."""
    try:
        yield
    except (failures.AuthenticationError, failures.NoPermissionError, failures.AuthorizationError) as error:
        advice = remedy(str(error), url, command)
        raise ServerRefused(f"the server at {redacted(url)} refused: {error}{advice}") from error
    except (failures.ConnectionError, failures.TimeoutError, OSError) as error:
        if "MISCONF" in str(error):  # redis-py asks for a PONG, which such a server does not give
            raise refusal(url, error, command) from error

        raise unreachable(url, error) from error
    except failures.RedisError as error:
        raise refusal(url, error, command) from error


def unreachable(url: str, error: Exception) -> ServerUnreachable:
    """A connection that was lost or not made, as an error of aioq."""
    return ServerUnreachable(f"no connection to {redacted(url)}: {str(error) or type(error).__name__}")


def refusal(url: str, error: Exception, command: Command = ()) -> ServerError:
    """What the server said, as an error of aioq."""
    where, text = f"the server at {redacted(url)}", str(error).rstrip(".")

    if "WRONGTYPE" in text:
        return ServerUnsuitable(f"{where} holds a key of aioq with a value of another type: {text}")

    if "OOM" in text:
        return ServerFull(f"{where} is at its memory limit: {text}")

    if "MISCONF" in text:
        return ServerFull(f"{where} cannot write to its disk, and takes no data until it can: {text}")

    if is_refusal(text):
        return ServerRefused(f"{where} refused: {text}{remedy(text, url, command)}")

    return ServerError(f"{where} failed: {text}")


def _portable(kwargs: dict[str, Any]) -> dict[str, Any]:
    """Options that any client of the same server can be made with; what belongs to one pool is left out."""
    own = (
        "retry",
        "himport_registry",
        "maint_notifications_config",
        "event_dispatcher",
        "oss_cluster_maint_notifications_handler",
    )

    return {name: value for name, value in kwargs.items() if name not in own and not name.startswith("maint")}


def _provide(scheme: str, url: str) -> Provider:
    try:
        module = importlib.import_module(PROVIDERS[scheme])
    except ModuleNotFoundError as error:
        raise InvalidInput(f"{url}: this installation has no support for {scheme}:// ({error})") from None

    try:
        provider: Provider = module.open_url(url)
    except ValueError as error:
        raise InvalidInput(str(error)) from None
    except RuntimeError as error:
        raise ServerUnreachable(str(error)) from error

    return provider
