from __future__ import annotations

import pickle
from collections.abc import Callable
from contextlib import suppress

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from aioq.values.errors import DeserializationError, InvalidInput, SerializationError
from aioq.values.serializer import JSON, PICKLE, SERIALIZERS, Serializer, find_serializer, loads, written_by

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


@pytest.mark.parametrize("value", [{1, 2}, b"x", float("nan"), float("inf"), "\ud800", {(1,): 1}, object()])
def test_json_refuses_what_it_has_no_form_for(value: object) -> None:
    with pytest.raises(SerializationError):
        JSON.dumps(value, "a value")


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

    with pytest.raises(InvalidInput, match="expected one of json, pickle"):
        find_serializer("yaml")


@pytest.mark.parametrize("name", [None, 5, ["json"]])
def test_a_serializer_s_name_is_a_text(name: object) -> None:
    with pytest.raises(InvalidInput, match="serializer="):
        find_serializer(name)


def test_a_serializer_that_no_reader_knows_is_refused() -> None:
    with pytest.raises(
        InvalidInput, match=r"^serializer='mine', which no worker can read: expected one of json, pickle$"
    ):
        find_serializer(Serializer("mine", b"x", bytes, bytes))

    with pytest.raises(InvalidInput, match="expected one of json, pickle"):
        find_serializer(Serializer("json", b"j", bytes, bytes))

    assert find_serializer(PICKLE) is PICKLE
