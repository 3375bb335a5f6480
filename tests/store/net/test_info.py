"""What is read of the reply to INFO."""

from __future__ import annotations

import pytest

from aioq import Connection
from aioq.store.net.info import OLDEST, facts_of, version_of


def test_each_line_with_a_colon_is_a_fact() -> None:
    info = b"# Server\r\nredis_version:7.4.1\r\n\r\nexecutable:/usr/bin/a:b\r\n"
    assert facts_of(info) == {"redis_version": "7.4.1", "executable": "/usr/bin/a:b"}


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({"redis_version": "6.2.14"}, ("redis", "6.2.14", (6, 2))),
        # Valkey gives the version of Redis that it is compatible with, too.
        ({"redis_version": "7.2.4", "valkey_version": "9.1.2"}, ("valkey", "9.1.2", (9, 1))),
        ({"redis_version": "8.0-rc1"}, ("redis", "8.0-rc1", (8, 0))),
        ({}, ("redis", "", ())),
    ],
)
def test_the_version_of_a_server(facts: dict[str, str], expected: tuple[object, ...]) -> None:
    assert version_of(facts) == expected


async def test_a_real_server_tells_its_version(connection: Connection) -> None:
    version = version_of(facts_of(await connection.call(("INFO", "server"))))
    assert version.numbers >= OLDEST[version.kind]
