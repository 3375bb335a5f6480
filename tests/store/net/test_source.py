"""URLs and clients: the addresses that they name, and what is refused."""

from __future__ import annotations

import pytest
from redis.asyncio import Redis, RedisCluster
from redis.asyncio.cluster import ClusterNode
from redis.asyncio.connection import Connection as Plain
from redis.asyncio.connection import SSLConnection
from redis.asyncio.sentinel import Sentinel

from aioq.store.net.sentinels import Sentinels
from aioq.store.net.source import address_of
from aioq.values.errors import InvalidInput


def test_a_sentinel_url() -> None:
    url = (
        "redis+sentinel://me:secret@a:1,b,[::1]:3/mymaster/2?sentinel_username=s&sentinel_password=p&client_name=x"
    )
    address = address_of(url)

    assert address.provider is None
    assert "secret" not in repr(address)
    assert "'p'" not in repr(address)
    assert address.url == (
        "redis+sentinel://me:***@a:1,b,[::1]:3/mymaster/2?sentinel_username=s&sentinel_password=***&client_name=x"
    )
    assert address.sentinels == Sentinels(
        (("a", 1), ("b", 26379), ("::1", 3)), "mymaster", {"username": "s", "password": "p"}
    )
    assert (address.kwargs["username"], address.kwargs["password"]) == ("me", "secret")
    assert (address.kwargs["db"], address.kwargs["client_name"]) == (2, "x")
    assert address.connection_class is Plain
    assert address.has_others
    assert not address.seeds


def test_tls_holds_for_sentinels_too() -> None:
    address = address_of("rediss+sentinel://a,b/main?ssl_ca_certs=/ca.pem&ssl_check_hostname=false")
    assert address.sentinels is not None
    assert address.connection_class is SSLConnection
    assert address.sentinels.kwargs == {"ssl": True, "ssl_ca_certs": "/ca.pem", "ssl_check_hostname": False}


@pytest.mark.parametrize("end", ["", "/", "/0"])
def test_a_cluster_url(end: str) -> None:
    address = address_of(f"rediss+cluster://me:secret@a:1,b{end}?ssl_ca_certs=/ca.pem")
    assert address.seeds == (("a", 1), ("b", 6379))
    assert address.sentinels is None
    assert address.has_others

    one = address.at(("c", 7))
    assert (one.url, one.seeds, one.kwargs["host"], one.kwargs["port"]) == ("rediss://c:7", (), "c", 7)
    assert (one.kwargs["username"], one.kwargs["ssl_ca_certs"]) == ("me", "/ca.pem")
    assert address.at(("::1", 7)).url == "rediss://[::1]:7"


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("redis+sentinel://a,b", "the name of the primary"),
        ("redis+sentinel://a,b/", "the name of the primary"),
        ("redis+sentinel://a/main?sentinel_port=5", "the name of the primary"),
        ("redis+sentinel://a/main/zero", "expected a number"),
        ("redis+sentinel://a/main/0/1", "expected a number"),
        ("redis+sentinel://a:x/main", "expected hosts with port numbers"),
        ("redis+sentinel://a:99999/main", "ports up to 65535"),
        ("redis://a:99999", "a port up to 65535"),
        ("redis://a/one", "expected a number as the database, not 'one'"),
        ("redis://a?socket_timeout=soon", "that of socket_timeout"),
        ("redis://a?socket_timeout=nan", "expected socket_timeout in seconds"),
        ("redis://a?socket_timeout=0", "expected socket_timeout in seconds"),
        ("rediss://a?ssl_cert_reqs=perhaps", "not a URL that can be used"),
        ("redis+sentinel:///main", "expected hosts"),
        ("redis+sentinel://a,,b/main", "expected hosts"),
        (
            "redis+sentinel://a/main?no_such_option=1",
            "main.no_such_option=\\*\\*\\* is not a URL .* that of no_such_option",
        ),
        ("redis+cluster://", "expected hosts"),
        ("redis+cluster://a,b/1", "one database, 0"),
        ("redis+cluster://a,b/main", "one database, 0"),
        ("redis+cluster://a?sentinel_password=x", "one database, 0"),
        ("redis+other://a", "expected redis://"),
    ],
)
def test_a_url_that_cannot_be_used_says_what_was_expected(url: str, words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        address_of(url)


async def test_clients_of_the_caller() -> None:
    manager = Sentinel([("a", 1), ("b", 2)], sentinel_kwargs={"password": "p"})
    primary = manager.master_for("main", username="me", db=3)
    address = address_of(primary)
    assert address.sentinels == Sentinels((("a", 1), ("b", 2)), "main", {"password": "p"})
    assert (address.kwargs["username"], address.kwargs["db"]) == ("me", 3)
    assert "connection_pool" not in address.kwargs
    await primary.aclose()

    cluster = RedisCluster(startup_nodes=[ClusterNode("a", 1), ClusterNode("b", 2)], username="me", ssl=True)
    address = address_of(cluster)
    assert set(address.seeds) == {("a", 1), ("b", 2)}
    assert address.kwargs["username"] == "me"
    assert address.connection_class is SSLConnection
    address.at(("c", 3)).connection(socket_timeout=1)

    assert not address_of(Redis(host="a", port=1)).has_others
