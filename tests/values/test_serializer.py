from __future__ import annotations

import codecs
import json
import pickle
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from aioq.values import serializer as serializers
from aioq.values.errors import DeserializationError, InvalidInput, SerializationError
from aioq.values.serializer import (
    JSON,
    PICKLE,
    SERIALIZERS,
    Serializer,
    find_serializer,
    know_own_serializers,
    loads,
    own_serializers,
    written_by,
)

PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text("aé\x00"),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


class Fussy:
    """Every way of looking at it raises."""

    def __reduce__(self) -> str:
        raise ValueError("do not pickle me")

    def __repr__(self) -> str:
        raise RuntimeError

    __str__ = __repr__


class Mute(Exception):
    def __str__(self) -> str:
        raise RuntimeError


class RaisesMute:
    def __reduce__(self) -> str:
        raise Mute


class Bomb:
    """Its bytes cannot be read again."""

    def __reduce__(self) -> tuple[Callable[..., object], tuple[()]]:
        return explode, ()


def explode() -> None:
    raise Mute


def nested(depth: int) -> list[object]:
    value: list[object] = []

    for _ in range(depth):
        value = [value]

    return value


class Rot13:
    """A serializer of a user's own."""

    name = "rot13"

    def dumps(self, value: Any, /) -> bytes:
        return codecs.encode(json.dumps(value), "rot13").encode()

    def loads(self, data: bytes, /) -> Any:
        return json.loads(codecs.decode(data.decode(), "rot13"))


class Wrong(Rot13):
    name = "wrong"

    def dumps(self, value: Any, /) -> Any:
        if value == "raise":
            raise RuntimeError("no")
        return "no bytes"

    def loads(self, data: bytes, /) -> Any:
        raise SystemExit(5)


@pytest.fixture(autouse=True)
def _forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aioq.values.serializer._own", {})


@given(PLAIN)
@example("\ud7ff")
def test_plain_values_come_back_from_every_serializer(value: object) -> None:
    for serializer in SERIALIZERS.values():
        assert loads(serializer.dumps(value, "a value"), "a value") == value


@given(st.binary() | st.tuples(st.integers(), st.sets(st.text())))
def test_pickle_keeps_python_s_own_types(value: object) -> None:
    back = loads(PICKLE.dumps(value, "a value"), "a value")

    assert (type(back), back) == (type(value), value)


@pytest.mark.parametrize("serializer", SERIALIZERS.values(), ids=SERIALIZERS.keys())
def test_what_is_written_names_its_serializer_first(serializer: Serializer) -> None:
    assert written_by(serializer.dumps(1, "a value")) is serializer


def test_no_bytes_at_all_belong_to_pickle() -> None:
    assert written_by(b"") is PICKLE


@pytest.mark.parametrize("value", [Fussy(), RaisesMute(), lambda: None, nested(100_000)], ids=lambda _: "")
@pytest.mark.parametrize("serializer", SERIALIZERS.values(), ids=lambda each: each.name)
def test_a_value_that_cannot_be_written_is_refused_with_what_it_was(serializer: Serializer, value: object) -> None:
    with pytest.raises(SerializationError, match=r"^an argument of f cannot be serialised as"):
        serializer.dumps(value, "an argument of f")


@pytest.mark.parametrize("value", [{1, 2}, b"x", float("nan"), "\ud800", {(1,): 1}, object(), (1,), {1: 2}])
def test_json_refuses_what_would_not_come_back_as_it_was(value: object) -> None:
    with pytest.raises(SerializationError, match=r"^a value cannot be serialised as json: a\[1\]: "):
        JSON.dumps({"a": [0, value]}, "a value")


def test_a_value_nested_too_deep_is_refused_in_words() -> None:
    with pytest.raises(SerializationError, match="nested too deep"):
        PICKLE.dumps(nested(100_000), "a value")


@pytest.mark.parametrize("data", [b"x", b"\x80", b"\x00abc", b"P", b"\xff" * 10])
def test_bytes_of_no_known_serializer_are_refused(data: bytes) -> None:
    with pytest.raises(DeserializationError, match="unknown serializer tag"):
        loads(data, "a value")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"p",
        b"j",
        b"pjunk",
        b"j{",
        b'j"\xff"',
        b"j" + b"[" * 100_000,
        b"p" + pickle.dumps([1])[:-3],
        b"pcno_such_module\nf\n.",
        b"p" + pickle.dumps(Bomb()),
    ],
    ids=lambda data: repr(data[:12]),
)
def test_damaged_bytes_are_one_kind_of_error(data: bytes) -> None:
    with pytest.raises(DeserializationError, match=r"^the result cannot be read as"):
        loads(data, "the result")


@given(st.binary(max_size=200))
def test_any_bytes_behind_json_s_tag_are_a_value_or_that_error(data: bytes) -> None:
    with suppress(DeserializationError):
        loads(b"j" + data, "a value")


def test_a_serializer_is_found_by_its_name_or_given_itself() -> None:
    assert find_serializer("json") is JSON
    assert find_serializer(JSON) is JSON

    with pytest.raises(InvalidInput, match=r"^serializer='yaml': expected one of json, pickle, typed, or one of"):
        find_serializer("yaml")


@pytest.mark.parametrize("name", [None, 5, ["json"]])
def test_a_serializer_s_name_is_a_text(name: object) -> None:
    with pytest.raises(InvalidInput, match="serializer="):
        find_serializer(name)


@pytest.mark.parametrize(
    "mine", [Serializer("mine", b"x", bytes, bytes), Serializer("json", b"j", bytes, bytes), 5, object(), int]
)
def test_what_is_no_serializer_is_refused(mine: Any) -> None:
    with pytest.raises(
        InvalidInput, match=r"^serializer=.*: expected one of json, pickle, typed, or one of your own"
    ):
        find_serializer(mine)


# Those of users


@pytest.mark.parametrize("mine", [Rot13(), Rot13, "tests.values.test_serializer:Rot13"])
def test_one_s_own_is_stored_by_its_name(mine: Any) -> None:
    serializer = find_serializer(mine)
    data = serializer.dumps([1, "a"], "it")
    assert data == b'orot13:[1, "n"]'
    assert (written_by(data), loads(data, "it")) == (serializer, [1, "a"])
    assert find_serializer(serializer) is serializer


def test_who_does_not_know_its_name_is_told_it() -> None:
    data = find_serializer(Rot13()).dumps(1, "it")
    serializers._own.clear()
    told = r"^the result was written by the serializer 'rot13', which is not known here: give it with"
    with pytest.raises(DeserializationError, match=told):
        loads(data, "the result")


@pytest.mark.parametrize("data", [b"o", b"o:", b"orot13", b"o" + b"x" * 200, b"o\xff:1", b"orot14:1"])
def test_bytes_of_no_known_name_are_refused(data: bytes) -> None:
    find_serializer(Rot13())
    with pytest.raises(DeserializationError, match="which is not known here"):
        loads(data, "it")


@pytest.mark.parametrize("name", ["", "json", "typed", "a b", "a:b", "é", "x" * 65, 5, None])
def test_a_name_that_cannot_be_stored_is_refused(name: Any) -> None:
    mine = Rot13()
    mine.name = name
    with pytest.raises(InvalidInput, match="its name is"):
        find_serializer(mine)


def test_two_kinds_cannot_have_one_name() -> None:
    find_serializer(Rot13())
    find_serializer(Rot13())
    other = Wrong()
    other.name = "rot13"
    with pytest.raises(InvalidInput, match="another one has the name 'rot13' already, a Rot13"):
        find_serializer(other)


@pytest.mark.parametrize(
    ("place", "told"),
    [
        ("nowhere:Codec", "cannot be loaded: ModuleNotFoundError"),
        ("tests.values.test_serializer:Nothing", "cannot be loaded: AttributeError"),
        ("tests.values.test_serializer:", "expected a module and a name in it"),
        ("tests.values.test_serializer:PLAIN", "expected one of json, pickle, typed, or one of your own"),
        ("tests.values.test_serializer:Needy", "it cannot be made: "),
        ("tests.worker.broken_module:Codec", "cannot be loaded: "),
    ],
)
def test_a_place_without_a_serializer_is_refused(place: str, told: str) -> None:
    with pytest.raises(InvalidInput, match=rf"^serializer='{place}'.*{told}"):
        find_serializer(place)


class Needy(Rot13):
    def __init__(self, key: str) -> None: ...


def test_whatever_it_does_is_an_error_of_the_value() -> None:
    wrong = find_serializer(Wrong())
    with pytest.raises(
        SerializationError, match="it cannot be serialised as wrong: its dumps has returned no bytes"
    ):
        wrong.dumps(1, "it")
    with pytest.raises(SerializationError, match="it cannot be serialised as wrong: RuntimeError: no"):
        wrong.dumps("raise", "it")
    with pytest.raises(DeserializationError, match="it cannot be read as wrong: SystemExit: 5"):
        loads(b"owrong:1", "it")


def test_a_process_of_its_own_gets_to_know_them() -> None:
    assert own_serializers() == b""
    know_own_serializers(b"")
    data = find_serializer(Rot13()).dumps([1], "it")
    packed = own_serializers()
    serializers._own.clear()
    know_own_serializers(packed)
    assert loads(data, "it") == [1]
