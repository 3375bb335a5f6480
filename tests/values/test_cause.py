from __future__ import annotations

import json
from typing import Any

import pytest

from aioq.values.cause import MAX_ORIGIN, origin, read_exceptions, rebuild
from aioq.values.errors import InvalidInput, JobTimeout, RemoteError


class CardError(Exception):
    def __init__(self, code: int, details: dict[str, Any] | None = None) -> None:
        super().__init__(code, details)
        self.code = code


class WordyError(Exception):
    def __init__(self, code: int) -> None:
        super().__init__(f"the code is {code}")


class SubValueError(ValueError):
    pass


LISTED = read_exceptions([CardError, WordyError, ValueError, OSError, FileNotFoundError, JobTimeout])


@pytest.mark.parametrize(
    "error",
    [
        CardError(402, {"reasons": ["declined", None, 1.5, True]}),
        ValueError(),
        ValueError("ä \ud800 \x00", [[], {}]),
        FileNotFoundError(2, "no such file"),
        JobTimeout("too long"),
    ],
)
def test_an_exception_of_plain_arguments_is_built_again(error: Any) -> None:
    again = rebuild(origin(error), LISTED)

    assert type(again) is type(error)
    assert again.args == error.args
    assert getattr(again, "code", None) == getattr(error, "code", None)


@pytest.mark.parametrize(
    "argument",
    [
        b"bytes",
        (1, 2),
        {1: 2},
        {"a": (1,)},
        object(),
        float("nan"),
        float("inf"),
        {1},
        "x" * MAX_ORIGIN,
        ValueError(),
    ],
    ids=lambda argument: type(argument).__name__,
)
def test_other_arguments_are_not_kept(argument: object) -> None:
    assert origin(ValueError(argument)) == b""


def test_arguments_that_raise_are_not_kept() -> None:
    class BadError(Exception):
        @property
        def args(self) -> Any:
            raise RuntimeError("no")

    nested: list[Any] = []
    nested.append(nested)
    assert origin(BadError()) == b""
    assert origin(ValueError(nested)) == b""


def test_of_a_class_that_is_not_listed_nothing_is_built() -> None:
    assert rebuild(origin(SubValueError("a")), LISTED) is None
    assert rebuild(origin(ValueError("a")), {}) is None


def test_what_would_be_another_exception_is_not_built() -> None:
    assert rebuild(origin(WordyError(5)), LISTED) is None  # its text would be made of its text
    assert rebuild(b'["OSError",[2,"x"]]', LISTED) is None  # Python makes a FileNotFoundError of it


@pytest.mark.parametrize(
    "packed",
    [
        b"",
        b"\xff",
        b"{}",
        b'["ValueError"]',
        b'["ValueError","text"]',
        b'["ValueError",{"a":1}]',
        b'[["ValueError"],[]]',
        b'["builtins.ValueError",["a"]]',
        json.dumps([f"{__name__}.CardError", []]).encode(),
        json.dumps(["ValueError", ["x" * MAX_ORIGIN]]).encode(),
    ],
)
def test_damaged_or_forged_bytes_build_nothing(packed: bytes) -> None:
    assert rebuild(packed, LISTED) is None


def test_what_a_process_says_is_bounded() -> None:
    assert origin(RemoteError("text", [], "ValueError", "a", b'["ValueError",["a"]]')) == b'["ValueError",["a"]]'
    assert origin(RemoteError("text", [], "ValueError", "a", b"x" * (MAX_ORIGIN + 1))) == b""


@pytest.mark.parametrize("given", [ValueError, "ValueError", 5, [5], [ValueError("a")], [int]])
def test_a_list_of_something_else_is_refused(given: Any) -> None:
    with pytest.raises(InvalidInput, match="expected"):
        read_exceptions(given)
