from __future__ import annotations

import pytest

from aioq.values.failure import Failure, unpack_failure

TRACEBACK = """Traceback (most recent call last):
  File "a.py", line 1, in a
    a()
ValueError: 402 declined
For more information: https://x

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "b.py", line 1, in b
    b()
    ~^^
b.PaymentError: not paid
For more information: https://y
"""


@pytest.mark.parametrize(
    "failure",
    [
        Failure("text"),
        Failure(TRACEBACK, "httpx.HTTPStatusError", "404 'not' \"found\" ä \x1b[1m"),
        Failure("", "KeyError", "", b"s\x00\xff\n"),
        Failure('{"type":"a","message":"b"}\n', "a", "c", b"{}"),
    ],
)
def test_a_failure_is_read_as_it_was_packed(failure: Failure) -> None:
    assert unpack_failure(failure.pack()) == failure


def test_what_is_no_failure_is_a_text_and_its_line_is_found() -> None:
    assert unpack_failure(TRACEBACK) == Failure(TRACEBACK, None, "b.PaymentError: not paid")
    assert unpack_failure("it is canceled") == Failure("it is canceled", None, "it is canceled")
    assert unpack_failure("") == Failure("")

    for packed in (
        "{",
        '{"a": 1}\nx',
        '{"type": 1, "message": "b"}\nx',
        '{"type":"a","message":"b","origin":"ä"}\nx',
    ):
        assert unpack_failure(packed).type is None
        assert unpack_failure(packed).text == packed


def test_a_line_has_what_is_known() -> None:
    assert Failure("text", "KeyError", "'x'").line == "KeyError: 'x'"
    assert Failure("text", "KeyError").line == "KeyError"
    assert Failure("text", None, "it is canceled").line == "it is canceled"


def test_stored_texts_are_short_single_lines_whoever_wrote_them() -> None:
    read = unpack_failure(Failure("text", "a\nb", "x\n" * 3).pack())

    assert (read.type, read.message) == ("a", "x")
    assert len(unpack_failure(Failure("text", "a" * 999, "b" * 9_999).pack()).line) < 1_000
