"""What a server refuses, and why none answers, as errors of aioq."""

from __future__ import annotations

import pytest

from aioq.store.net.refusals import is_refusal, refusal, unreachable
from aioq.store.net.stream import ReplyError
from aioq.values.errors import ServerError, ServerFull, ServerRefused, ServerUnsuitable

URL = "redis://localhost:6379/0"


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("OOM command not allowed when used memory > 'maxmemory'.", ServerFull),
        ("MISCONF Errors writing to the AOF file: No space left on device", ServerFull),
        ("WRONGTYPE Operation against a key holding the wrong kind of value", ServerUnsuitable),
        ("MOVED 866 127.0.0.1:7002", ServerUnsuitable),
        ("ERR This instance has cluster support disabled", ServerUnsuitable),
        ("NOAUTH Authentication required.", ServerRefused),
        ("NOPERM User u has no permissions to run the 'sadd' command", ServerRefused),
        ("ERR something else", ServerError),
    ],
)
def test_a_refusal_is_an_error_that_keeps_the_words_of_the_server(text: str, kind: type[ServerError]) -> None:
    error = refusal(URL, ReplyError(text))
    assert type(error) is kind
    assert text.rstrip(".") in str(error)
    assert URL in str(error)
    assert is_refusal(text) == (kind is ServerRefused)


def test_several_addresses_of_one_host_are_one_refusal() -> None:
    """localhost is two addresses on many machines. asyncio joins what the system says of each."""
    system = OSError(
        "Multiple exceptions: [Errno 111] Connect call failed ('::1', 6379, 0, 0), [Errno 111] Connect call failed"
        " ('127.0.0.1', 6379)"
    )
    told = ConnectionError(f"Error {system} connecting to localhost:6379.")
    told.__context__ = system
    error = unreachable(URL, told)
    assert str(error) == f"no server at {URL}: Connection refused"
    assert error.nobody_listens


def test_a_lost_connection_is_no_absent_server() -> None:
    error = unreachable(URL, ConnectionResetError("the server closed the connection"))
    assert str(error) == f"no connection to {URL}: the server closed the connection"
    assert not error.nobody_listens
