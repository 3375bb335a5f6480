"""The URL of a webhook."""

from __future__ import annotations

import pytest

from aioq.errors import InvalidInput, InvalidType
from aioq.values.webhook_url import Target, read_url


@pytest.mark.parametrize(
    ("url", "target", "authority"),
    [
        ("https://example.com", Target("https", "example.com", 443, "/"), "example.com"),
        ("HTTP://Example.COM:80/a/b?c=%20d#e", Target("http", "example.com", 80, "/a/b?c=%20d"), "example.com"),
        ("http://example.com:8080?a", Target("http", "example.com", 8080, "/?a"), "example.com:8080"),
        ("https://[::1]:80/", Target("https", "::1", 80, "/"), "[::1]:80"),
        ("https://10.0.0.1/", Target("https", "10.0.0.1", 443, "/"), "10.0.0.1"),
        ("https://example.com./", Target("https", "example.com.", 443, "/"), "example.com."),
        ("https://my_host-1/", Target("https", "my_host-1", 443, "/"), "my_host-1"),
    ],
)
def test_it_is_taken_apart(url: str, target: Target, authority: str) -> None:
    assert read_url(url, "url") == target
    assert target.authority == authority


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("", "characters of a URL"),
        ("example.com/jobs", 'begins with "https://"'),
        ("//example.com/jobs", 'begins with "https://"'),
        ("ftp://example.com", 'begins with "https://"'),
        ("file:///etc/passwd", 'begins with "https://"'),
        ("https://", "expected a host"),
        ("https:///jobs", "expected a host"),
        ("https://:80/jobs", "expected a host"),
        ("https://-a.example/", "expected a host"),
        ("https://a%2eb/", "expected a host"),
        ("https://[fe80::1%25eth0]/", "expected a host"),
        ("https://[::1/", "Invalid IPv6"),
        ("https://example.com:0/", "a port from 1"),
        ("https://example.com:99999/", "out of range"),
        ("https://example.com:x/", "could not be cast"),
        ("https://bücher.example/", "characters of a URL"),
        ("https://example.com/a b", "characters of a URL"),
        ("https://example.com/\r\nHost: x", "characters of a URL"),
        ("https://example.com\\@evil.example/", "characters of a URL"),
        ("https://example.com/" + "a" * 2048, "at most 2048"),
    ],
)
def test_what_is_no_url_of_a_server_is_refused(url: str, told: str) -> None:
    with pytest.raises(InvalidInput, match="url=") as refused:
        read_url(url, "url")

    assert told in str(refused.value)


def test_a_password_is_refused_and_not_repeated() -> None:
    with pytest.raises(InvalidInput, match="headers=") as refused:
        read_url("https://ann:hunter2@example.com", "url")

    assert "hunter2" not in str(refused.value)


def test_it_is_a_text() -> None:
    with pytest.raises(InvalidType, match="url=b'x': expected a str, not bytes"):
        read_url(b"x", "url")
