"""The keys that commands name: by them a Cluster finds the server."""

from __future__ import annotations

import pytest

from aioq.store.net.command import keys_of


@pytest.mark.parametrize(
    ("command", "keys"),
    [
        (("EVALSHA", "sha", 2, b"one", b"two", "id"), (b"one", b"two")),
        (("EVALSHA", "sha", 0, "id"), ()),
        (("HSET", "key", "field", "value"), ("key",)),
        (("XINFO", "GROUPS", b"lane"), (b"lane",)),
        (("SCAN", b"0", "MATCH", b"aioq:{q}:*", "COUNT", 10), (b"aioq:{q}:*",)),
        (("BLPOP", b"wake", 3), (b"wake",)),
        (("INFO", "server"), ()),
        (("PING",), ()),
        ((), ()),
    ],
)
def test_the_keys_of_a_command(command: tuple[object, ...], keys: tuple[object, ...]) -> None:
    assert keys_of(command) == keys
