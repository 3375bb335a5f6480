"""No text that aioq writes has a password or a part of one, whatever is wrong with the URL."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aioq.store import Connection
from aioq.store.net.source import address_of
from aioq.store.net.url import SCHEMES, check_url, redacted
from aioq.values.errors import AioqError, InvalidInput

PASSWORD = "hunter2"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://:secret@host/0", "redis://:***@host/0"),
        ("redis://user:secret@host:1/0", "redis://user:***@host:1/0"),
        ("redis://user:se@cr:et@host", "redis://user:***@host"),
        ("rediss://secret@host", "rediss://***@host"),
        ("unix://user:secret@/tmp/x.sock?db=1", "unix://user:***@/tmp/x.sock?db=1"),
        ("redis://host/0?password=secret", "redis://host/0?password=***"),
        ("redis://host/0?pasword=secret&db=1", "redis://host/0?pasword=***&db=1"),
        ("redis://host/0?secret", "redis://host/0?***"),
        ("unix:///tmp/x.sock?db=1&password=secret&x=1", "unix:///tmp/x.sock?db=1&password=***&x=***"),
        ("redis+sentinel://a:1,b,[::1]:3/main/0", "redis+sentinel://a:1,b,[::1]:3/main/0"),
        (
            "redis+sentinel://me:secret@a,b/main?sentinel_password=secret&sentinel_username=s",
            "redis+sentinel://me:***@a,b/main?sentinel_password=***&sentinel_username=s",
        ),
        ("rediss://a?ssl_password=secret&ssl_keyfile=/k", "rediss://a?ssl_password=***&ssl_keyfile=/k"),
        ("redis://host", "redis://host"),
        ("redis://user:se#cret@host/0", "redis://***"),
        ("redis://user:se/cret@host/0", "redis://***"),
        ("redis://user:12/cret@host/0", "redis://***"),
        ("redis://user:se?cret@host/0", "redis://***"),
        ("redis://user:secret", "redis://***"),
        ("redis://:secret:6379", "redis://***"),
        ("secret", "***"),
        ("user:secret@host:6379", "***"),
        ("redis:/user:secret@host", "***"),
        ("localhost:6379", "localhost:6379"),
        ("se cret://host", "***://***"),
        ("embedded:///var/lib/app", "embedded:///var/lib/app"),
        ("embedded://user:secret@host", "embedded://user:***@host"),
    ],
)
def test_a_password_is_not_shown(url: str, shown: str) -> None:
    assert redacted(url) == shown
    assert redacted(shown) == shown or shown == "***"


WRONG = [
    f"redis://worker:{PASSWORD}#x@127.0.0.1:1/0",
    f"redis://worker:x#{PASSWORD}@127.0.0.1:1/0",
    f"redis://worker:12/{PASSWORD}@127.0.0.1:1/0",
    f"redis://worker:{PASSWORD}/x@127.0.0.1:1/0",
    f"redis://worker:x?{PASSWORD}@127.0.0.1:1/0",
    f"redis://worker:x[{PASSWORD}@127.0.0.1:1/0",
    f"redis://worker:{PASSWORD}@127.0.0.1:port/0",
    f"redis://worker:{PASSWORD}@127.0.0.1:99999/0",
    f"redis://worker:{PASSWORD}@127.0.0.1:1/zero",
    f"redis://worker:{PASSWORD}@127.0.0.1:1/0?socket_timeout=x",
    f"redis://127.0.0.1:1/0?pasword={PASSWORD}",
    f"redis://127.0.0.1:1/0?password={PASSWORD}#x",
    f"redis://:{PASSWORD}127.0.0.1",
    f"redis://worker:{PASSWORD}",
    f"redis//worker:{PASSWORD}@127.0.0.1",
    f"redis:/worker:{PASSWORD}@127.0.0.1",
    f"redsi://worker:{PASSWORD}@127.0.0.1",
    f"http://worker:{PASSWORD}@127.0.0.1",
    f"worker:{PASSWORD}@127.0.0.1:1",
    PASSWORD,
    f"unix://worker:{PASSWORD}#@/tmp/x.sock",
    f"unix:///tmp/no-such.sock?passwort={PASSWORD}",
    f"redis+sentinel://worker:{PASSWORD}@a:b/main",
    f"redis+sentinel://worker:{PASSWORD}@a",
    f"redis+sentinel://worker:{PASSWORD}?@a/main",
    f"redis+sentinel://worker:{PASSWORD}/main",
    f"redis+sentinel://a/main?sentinel_passwrod={PASSWORD}",
    f"redis+cluster://worker:{PASSWORD}@a/7",
    f"redis+cluster://worker:{PASSWORD}/@a",
    f"rediss+cluster://worker:#{PASSWORD}@a",
]


@pytest.mark.parametrize("url", WRONG)
def test_no_error_of_a_wrong_url_shows_the_password(url: str) -> None:
    with pytest.raises(AioqError) as caught:
        Connection(url)

    assert PASSWORD not in str(caught.value)
    assert not caught.value.__cause__


@pytest.mark.parametrize(
    ("url", "command"),
    [
        (WRONG[0], ("info",)),
        (WRONG[5], ("worker", "--burst")),
        (f"redis://worker:{PASSWORD}@127.0.0.1:1/0", ("enqueue", "time.time")),
    ],
)
def test_no_command_shows_the_password(url: str, command: tuple[str, ...]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "aioq", *command, "-u", url],
        check=False,
        capture_output=True,
        text=True,
        timeout=50,
    )

    assert done.returncode in (1, 2)
    assert PASSWORD not in done.stdout + done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_server_that_cannot_be_reached_is_named_without_the_password() -> None:
    async def ask() -> None:
        connection = Connection(f"redis://worker:{PASSWORD}@127.0.0.1:1/0", patient=False)
        assert PASSWORD not in connection.url

        with pytest.raises(AioqError) as caught:
            await connection.check_server()

        assert "redis://worker:***@127.0.0.1:1/0" in str(caught.value)

    asyncio.run(ask())


@pytest.mark.parametrize("scheme", [each for each in SCHEMES if each != "unix"])
@settings(deadline=None)  # TLS reads the authorities of the machine
@given(password=st.text(st.characters(codec="utf-8"), min_size=1, max_size=12))
def test_a_password_that_is_written_as_it_must_be_is_taken_as_it_is(scheme: str, password: str) -> None:
    address = address_of(
        f"{scheme}://worker:{quote(password, safe='')}@127.0.0.1:1/main/0".replace(
            "/main/0", "/main/0" if "sentinel" in scheme else ""
        )
    )

    assert address.kwargs["password"] == password


@given(st.text(max_size=40))
def test_any_text_is_a_url_or_refused(text: str) -> None:
    for url in (text, f"redis://{text}", f"redis+cluster://{text}", f"redis+sentinel://u:p@{text}/main"):
        redacted(url)

        try:
            check_url(url)
            address_of(url) if "embedded" not in url and "://" in url else None
        except InvalidInput:
            pass


def test_the_value_of_an_option_may_have_an_at_sign() -> None:
    address = address_of("redis://127.0.0.1:1/0?password=p@ss")

    assert address.kwargs["password"] == "p@ss"
    assert address.url == "redis://127.0.0.1:1/0?password=***"
