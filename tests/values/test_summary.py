from __future__ import annotations

from typing import Any

import pytest

from aioq.values.errors import AbandonedJobError, RemoteError
from aioq.values.summary import MAX_MESSAGE, MAX_TYPE, summary, type_name
from tests.worker import misbehaviour as bad


class OwnError(Exception):
    class InnerError(Exception):
        pass


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ValueError("no such document"), ("ValueError", "no such document")),
        (KeyError("name"), ("KeyError", "'name'")),
        (OwnError(), (f"{__name__}.OwnError", "")),
        (OwnError.InnerError("x"), (f"{__name__}.OwnError.InnerError", "x")),
        (AbandonedJobError("lost"), ("aioq.errors.AbandonedJobError", "lost")),
        (SystemExit(3), ("SystemExit", "3")),
        (ValueError("402 declined\nFor more information: https://x"), ("ValueError", "402 declined")),
        (ValueError("\n \r\n\t first \u2028 second"), ("ValueError", "first")),
        (ValueError(" \n"), ("ValueError", "")),
        (ExceptionGroup("two of them", [ValueError("a"), KeyError("b")]), None),
        (RemoteError("text", ["builtins.KeyError"], "KeyError", "'x'\nmore"), ("KeyError", "'x'")),
        (RemoteError("text", ["builtins.KeyError"], "K\ne" * MAX_TYPE, ""), ("K", "")),
    ],
)
def test_an_exception_at_a_glance(error: BaseException, expected: tuple[str, str] | None) -> None:
    assert summary(error) == (expected or ("ExceptionGroup", "two of them (2 sub-exceptions)"))


def test_long_texts_are_cut() -> None:
    kind = type("E" * 1_000, (Exception,), {})
    name, message = summary(kind("x" * 10_000_000))

    assert (len(name), len(message)) == (MAX_TYPE, MAX_MESSAGE)
    assert name.endswith("…")
    assert message == "x" * (MAX_MESSAGE - 1) + "…"
    assert summary(ValueError("y" * MAX_MESSAGE)) == ("ValueError", "y" * MAX_MESSAGE)


@pytest.mark.parametrize("kind", bad.EXPLOSIONS)
def test_whatever_is_raised_has_a_summary(kind: str) -> None:
    try:
        bad.explode(kind)
    except BaseException as error:
        name, message = summary(error)

    assert name
    assert len(f"{name}: {message}".splitlines()) == 1
    assert f"{name}: {message}".encode()


class Text(str):
    __slots__ = ()

    def lstrip(self, *_: object) -> Any:
        raise RuntimeError("no")


def test_exceptions_that_fight_back() -> None:
    def exit_instead(_: object) -> str:
        raise SystemExit(5)

    fights = type("FightsError", (Exception,), {"__str__": exit_instead, "__module__": "m"})
    assert summary(fights()) == ("m.FightsError", "<exception str() failed>")
    lies = type("LiesError", (Exception,), {"__str__": lambda _: 5, "__module__": "m"})
    assert summary(lies()) == ("m.LiesError", "<exception str() failed>")
    own = type("OwnTextError", (Exception,), {"__str__": lambda _: Text("its own text"), "__module__": "m"})
    assert summary(own()) == ("m.OwnTextError", "its own text")
    odd = type("OddError", (Exception,), {"__module__": None})
    assert type_name(odd) == "(a class without a name)"
