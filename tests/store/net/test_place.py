"""Servers as URLs and messages have them."""

from __future__ import annotations

import pytest

from aioq.store.net.place import spelled


@pytest.mark.parametrize(
    ("host", "text"),
    [("db", "db:6379"), ("127.0.0.1", "127.0.0.1:6379"), ("::1", "[::1]:6379")],
)
def test_an_ipv6_address_stands_in_brackets(host: str, text: str) -> None:
    assert spelled((host, 6379)) == text
