"""Addresses: whether two are the same place, and what another user of one gets."""

from __future__ import annotations

import pytest
import redis.utils

from aioq.store.net.address import with_driver
from aioq.store.net.source import address_of


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("redis://localhost", "redis://me:secret@localhost:6379/0"),
        ("unix:///run/a.sock", "unix:///run/a.sock?db=0"),
        ("redis+cluster://a,b", "redis+cluster://b:6379,a"),
        ("redis+sentinel://a,b/main", "redis+sentinel://b,a:26379/main/0"),
    ],
)
def test_addresses_of_the_same_data_have_one_place(one: str, other: str) -> None:
    assert address_of(one).place == address_of(other).place


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("redis://localhost", "redis://localhost/1"),
        ("redis://localhost", "redis://localhost:6380"),
        ("unix:///run/a.sock", "unix:///run/b.sock"),
        ("redis+sentinel://a,b/main", "redis+sentinel://a,b/other"),
    ],
)
def test_addresses_of_other_data_have_another_place(one: str, other: str) -> None:
    assert address_of(one).place != address_of(other).place


def test_the_sibling_of_an_address_without_a_share_is_the_same() -> None:
    address = address_of("redis://localhost")
    assert address.sibling() is address


async def test_a_connection_is_not_repeated_by_redis_py_and_gives_bytes() -> None:
    connection = address_of("redis://127.0.0.1:1?decode_responses=true").connection(socket_timeout=3)
    assert connection.retry._retries == 0
    assert connection.encoder.decode_responses is False
    assert connection.socket_timeout == 3


async def test_what_redis_py_tells_of_itself_is_not_looked_up_for_each_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    address = address_of("redis://localhost")
    address.connection()
    monkeypatch.setattr(redis.utils, "get_lib_version", lambda: pytest.fail("it was looked up"))
    address.connection()


@pytest.mark.parametrize("name", ["driver_info", "lib_name", "lib_version"])
def test_what_a_caller_lets_be_told_stays(name: str) -> None:
    assert with_driver({name: "mine", "db": 1}) == {name: "mine", "db": 1}
