"""Source: the address that a user names, by a URL or by a client of redis-py.

redis-py reads the options: hosts, TLS, credentials and databases are its business.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import replace
from inspect import signature
from typing import Any
from urllib.parse import parse_qs, parse_qsl, unquote, urlencode, urlsplit

import redis.exceptions as failures
from redis.asyncio import BlockingConnectionPool, Redis, RedisCluster
from redis.asyncio.connection import Connection, SSLConnection
from redis.asyncio.sentinel import SentinelConnectionPool

from aioq.store.net.address import Address, Provider, with_driver
from aioq.store.net.place import Place, spelled
from aioq.store.net.sentinels import Sentinels
from aioq.store.net.url import PROVIDERS, check_url, default_url, redacted, unusable
from aioq.values.durations import LONGEST_MS
from aioq.values.errors import InvalidInput, InvalidType, ServerUnreachable

#: Where servers and sentinels listen if nothing else is said.
PORT, SENTINEL_PORT = 6379, 26379

#: What errors call a server that a client of the caller leads to.
CALLERS = "a client of the caller"


def address_of(source: object) -> Address:
    """The address that a URL or a client names. A server that is started for whoever uses it runs from now on.

    Raises:
        InvalidInput: the URL cannot be used.
        InvalidType: it is neither.

    """
    if isinstance(source, RedisCluster):
        return _of_cluster_client(source)

    if isinstance(source, Redis):
        return _of_client(source)

    if not isinstance(source, str | None):
        name = f"{type(source).__module__}.{type(source).__qualname__}"
        raise InvalidType(
            "connection: expected a URL such as 'redis://localhost:6379/0', a redis.asyncio.Redis or RedisCluster,"
            f" or a Connection, not {name}"
        )

    url = check_url(source or default_url())
    scheme = url.split("://", 1)[0]

    if scheme in PROVIDERS:
        provider = _provide(scheme, url)

        shown = redacted(url)
        # One that is relative to the current directory says nothing to somebody who is in another one.
        shown = provider.name if shown == url else shown

        return replace(_of_url(provider.url), url=shown, provider=provider)

    return _of_url(url) if "+" not in scheme else _of_several(url)


def check_server(source: object) -> None:
    """Refuse what names no server, as `address_of` does; no server is started for it.

    Raises:
        InvalidInput: the URL cannot be used.
        InvalidType: it is neither a URL nor a client.

    """
    if not isinstance(source, str) or check_url(source).split("://", 1)[0] not in PROVIDERS:
        address_of(source)


def _of_url(url: str, given: str = "") -> Address:
    """One server: redis://, rediss:// or unix://. given: what the caller has written, if it is another one."""
    given = given or url

    try:
        pool = BlockingConnectionPool.from_url(url)
        pool.connection_class(
            **with_driver(pool.connection_kwargs)
        )  # it connects later, but looks at its options now
    except (ValueError, TypeError, failures.RedisError) as error:  # its text may have a part of a password
        named = [name for name in parse_qs(urlsplit(url).query) if f"'{name}'" in str(error)]
        why = (
            f"expected another option or value than that of {named[0]}" if named else "expected a port up to 65535"
        )
        raise unusable(given, why) from None

    for name, value in pool.connection_kwargs.items():
        if isinstance(value, float) and not 0 < value < LONGEST_MS / 1000:
            raise unusable(given, f"expected {name} in seconds, and more than 0")

    database = urlsplit(url).path.strip("/")

    if "path" not in pool.connection_kwargs and database and not database.isdigit():
        raise unusable(given, f"expected a number as the database, not {database!r}")

    return Address(redacted(given), pool.connection_class, dict(pool.connection_kwargs))


def _of_several(url: str) -> Address:
    """Several servers: redis+sentinel://a:1,b:2/service/db or redis+cluster://a:1,b:2, both with options."""
    scheme, _, rest = url.partition("://")
    rest, _, query = rest.partition("?")
    userinfo, at, rest = rest.rpartition("@")
    hosts, *path = rest.split("/")
    scheme, _, kind = scheme.partition("+")
    places = _places(url, hosts, SENTINEL_PORT if kind == "sentinel" else PORT)
    options = dict(parse_qsl(query, keep_blank_values=True))
    own = {name: options.pop(name) for name in list(options) if name.startswith("sentinel_")}
    path = [unquote(part) for part in path if part]

    if kind == "cluster" and (own or path not in ([], ["0"])):
        raise unusable(url, "expected nothing after the hosts; a Cluster has one database, 0")

    if kind == "sentinel" and (not path or not own.keys() <= {"sentinel_username", "sentinel_password"}):
        example = f"{scheme}+sentinel://host:26379,host:26379/mymaster/0"
        raise unusable(url, f"expected the name of the primary after the hosts, as in {example}")

    database = "/".join(path[1:]) if kind == "sentinel" else ""
    one = _of_url(f"{scheme}://{userinfo}{at}{spelled(places[0])}/{database}?{urlencode(options)}", url)

    if kind == "cluster":
        return replace(one, seeds=places, has_others=True)

    kwargs = {name.removeprefix("sentinel_"): value for name, value in own.items()}

    if scheme == "rediss":
        kwargs |= {"ssl": True} | {name: value for name, value in one.kwargs.items() if name.startswith("ssl_")}

    return replace(one, sentinels=Sentinels(places, path[0], kwargs), has_others=True)


def _places(url: str, hosts: str, port: int) -> tuple[Place, ...]:
    found = []

    for host in hosts.split(","):
        try:
            parts = urlsplit(f"//{host}")
            name, number = parts.hostname, parts.port
        except ValueError:
            name, number = None, None

        if not name:
            raise unusable(url, "expected hosts with ports up to 65535, separated by commas")

        found.append((name, port if number is None else number))

    return tuple(found)


def _of_client(client: Redis) -> Address:
    pool = client.connection_pool
    kwargs = _set_by_caller(pool.connection_kwargs)
    connection_class, sentinels = pool.connection_class, None

    if isinstance(pool, SentinelConnectionPool):
        manager = pool.sentinel_manager
        watchers = [each.connection_pool.connection_kwargs for each in manager.sentinels]
        places = tuple((each["host"], each["port"]) for each in watchers)
        sentinels = Sentinels(places, pool.service_name, dict(manager.sentinel_kwargs))
        kwargs.pop("connection_pool", None)
        is_tls = issubclass(connection_class, SSLConnection)
        connection_class = SSLConnection if is_tls else Connection

    return Address(CALLERS, connection_class, kwargs, sentinels, has_others=sentinels is not None)


def _of_cluster_client(client: RedisCluster) -> Address:
    nodes = list(client.nodes_manager.startup_nodes.values())
    kwargs = _set_by_caller(nodes[0].connection_kwargs)
    kwargs.pop("redis_connect_func", None)
    seeds = tuple((node.host, int(node.port)) for node in nodes)

    return Address(CALLERS, nodes[0].connection_class, kwargs, seeds=seeds, has_others=True)


def _set_by_caller(kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Options of a client, without a limit for replies that redis-py has set by itself, as far as can be told.

    Since its version 8 that is five seconds, for a client for which nothing was set.
    """
    usual = signature(Redis).parameters["socket_timeout"].default

    return {name: value for name, value in kwargs.items() if name != "socket_timeout" or value != usual}


def _provide(scheme: str, url: str) -> Provider:
    try:
        module = importlib.import_module(PROVIDERS[scheme])
    except ModuleNotFoundError as error:
        raise InvalidInput(
            f"{redacted(url)}: this installation has no support for {scheme}:// ({error})"
        ) from None

    try:
        provider: Provider = module.open_url(url)
    except ValueError as error:
        raise InvalidInput(str(error).replace(url, redacted(url))) from None
    except RuntimeError as error:
        raise ServerUnreachable(str(error)) from error

    return provider
