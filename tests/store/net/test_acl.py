"""The rule that a refusal lacks, in the words of several servers; real refusals are in tests/security."""

from __future__ import annotations

import pytest

from aioq.store.keys import Keys
from aioq.store.net.acl import remedy
from aioq.store.net.refusals import is_refusal
from aioq.store.scripts import server_scripts

URL = "redis://weak:PASSWORD@h/0"
ENQUEUE = (*server_scripts()["enqueue"].head(Keys.of("mail")), "x")
IN_SCRIPT = "ERR ACL failure in script: User weak has no permissions to"


@pytest.mark.parametrize(
    ("text", "command", "told"),
    [
        ("NOPERM this user has no permissions to run the 'sadd' command", ("SADD", "k"), "ACL SETUSER weak +sadd"),
        (
            "NOPERM this user has no permissions to run the 'xinfo' command or its subcommand",
            ("XINFO", "GROUPS", "k"),
            "ACL SETUSER weak +xinfo",
        ),
        (
            f"{IN_SCRIPT} run the 'xgroup|create' command",
            ENQUEUE,
            "ACL SETUSER weak +xgroup|create allows it (for enqueue.lua)",
        ),
        (f"{IN_SCRIPT} access the 'aioq:{{a}}:job:b' key", ENQUEUE, "ACL SETUSER weak ~aioq:{a}:*"),
        (f"{IN_SCRIPT} access the 'aioq:control:w' channel", ENQUEUE, "ACL SETUSER weak &aioq:control:*"),
        (
            "NOPERM this user has no permissions to access one of the keys used as arguments",
            ("XINFO", "GROUPS", b"aioq:{mail}:lane:main"),
            "ACL SETUSER weak ~aioq:{mail}:*",
        ),
        (
            "this user has no permissions to access one of the channels used as arguments",
            ("SUBSCRIBE", "aioq:waiter:1"),
            "ACL SETUSER weak &aioq:waiter:*",
        ),
        (
            "ERR The user executing the script can't run this command or subcommand script: 00.",
            ENQUEUE,
            "ACL LOG on the server names the command (for enqueue.lua)",
        ),
    ],
)
def test_what_is_told(text: str, command: tuple[bytes | str | int, ...], told: str) -> None:
    assert is_refusal(text) == (not text.startswith("this"))  # redis-py cuts the code off, and has a class for it
    assert told in remedy(text, URL, command)
    assert "PASSWORD" not in remedy(text, URL, command)


@pytest.mark.parametrize(
    ("url", "user"), [("redis://h", "default"), ("redis://:p@h", "default"), ("a client of the caller", "<user>")]
)
def test_a_refusal_that_names_no_user(url: str, user: str) -> None:
    assert f"ACL SETUSER {user} +get allows it;" in remedy("NOPERM this user … run the 'get' command", url)


@pytest.mark.parametrize("text", ["NOAUTH Authentication required.", "WRONGPASS invalid username-password pair"])
def test_a_password_is_no_rule(text: str) -> None:
    assert is_refusal(text)
    assert remedy(text, URL) == ""
