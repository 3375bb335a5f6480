"""Calls as text, from stored bytes: nothing is loaded, and hostile bytes cost little."""

from __future__ import annotations

import datetime as dt
import io
import json
import math
import pickle
import pickletools
import time
import uuid
from collections import OrderedDict
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aioq.values.calltext import CUT, DEEPEST, LONGEST, call_text
from aioq.values.pickled import MAX_STEPS, Opaque, Several, look_into
from aioq.values.record import JobRecord
from aioq.values.signature import read_secret

#: What a text may take, in seconds: hostile bytes would take minutes, or all memory.
QUICK = 2.0


def shown(data: bytes, func: bytes = b"f") -> str:
    begun = time.process_time()
    text = call_text(JobRecord("x", {b"func": func, b"data": data}))
    assert time.process_time() - begun < QUICK
    assert text.isprintable()
    assert len(text) <= 10 * LONGEST
    return text


def call(*args: object, **kwargs: object) -> str:
    return shown(b"p" + pickle.dumps((None, args, kwargs), 5))


class Order:
    """Is never made again: a test would fail."""

    def __init__(self) -> None:
        self.number = 1

    def __setstate__(self, _: object) -> None:
        raise AssertionError("it was loaded")


class Bomb:
    """Calls what must not be called when it is loaded."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _explode, ("now",)


def _explode(_: object) -> None:
    raise AssertionError("it was loaded")


@pytest.mark.parametrize(
    ("args", "kwargs", "text"),
    [
        ((), {}, ""),
        (("you", 1, 2.5, None, True), {}, "'you', 1, 2.5, None, True"),
        (([1, [2]], (1,), (1, 2), ()), {"n": {"a": {}}}, "[1, [2]], (1,), (1, 2), (), n={'a': {}}"),
        (({1}, set(), frozenset({1}), frozenset()), {}, "{1}, set(), frozenset({1}), frozenset()"),
        ((b"x", bytearray(b"y"), -math.inf, 10**70), {}, f"b'x', bytearray(b'y'), -inf, {10**70}"),
        ((Order(), Order), {}, f"<{__name__}.Order>, <{__name__}.Order>"),
        ((Bomb(),), {"after": 1}, f"<{__name__}._explode>, after=1"),
        (
            (dt.date(2030, 1, 1), uuid.UUID(int=1), Decimal(1), OrderedDict(a=1)),
            {},
            "<datetime.date>, <uuid.UUID>, <decimal.Decimal>, <collections.OrderedDict>",
        ),
    ],
)
def test_plain_values_and_names_of_all_else(args: tuple[Any, ...], kwargs: dict[str, Any], text: str) -> None:
    assert call(*args, **kwargs) == f"f({text})"


def test_json() -> None:
    assert shown(b"j" + json.dumps([None, ["a", 1, [None]], {"n": {"b": 1.5}}]).encode()) == (
        "f('a', 1, [None], n={'b': 1.5})"
    )
    nested = b"[" * 100_000
    for damaged in (
        b"j{",
        b"j1",
        b"j[1, 2]",
        b"j[1, 2, 3]",
        b"j" + nested,
        b"j[null, [" + b"9" * 5_000 + b"], {}]",
    ):
        assert shown(damaged) == f"f({CUT})"


def test_what_cannot_be_read() -> None:
    assert shown(b"") == shown(b"p") == "f()"
    assert shown(b"?x") == f"f({CUT})"
    assert shown(b"pdamaged") == f"f({CUT})"
    assert shown(b"p" + pickle.dumps("no call")) == f"f({CUT})"
    assert shown(b"", func=b"\x1b[31m\xff" * 500).startswith("\\x1b[31m")


def test_characters_that_a_terminal_would_obey() -> None:
    assert call("\x1b[31m\u202e\r") == "f('\\x1b[31m\\u202e\\r')"
    assert call(**{"\x1b\u2066": 1}) == "f(\\x1b\\u2066=1)"
    assert call("\ud800") == "f('\\ud800')"


def test_long_calls_are_cut() -> None:
    assert call("x" * 1_000_000) == f"f('{'x' * 60}'{CUT})"
    assert call(*range(100_000)).startswith("f(0, 1, 2, ")
    assert call(list(range(100_000)), 1).startswith("f([0, 1, 2, ")
    assert call({n: n for n in range(100_000)}).startswith("f({0: 0, 1: 1, ")
    assert len(call(*range(100_000))) == len("f()") + LONGEST + len(CUT)
    assert call([list(range(2)) for _ in range(MAX_STEPS)]).startswith("f([[0, 1], [0, 1]")


def test_a_pickle_that_is_cut_short_shows_what_there_is() -> None:
    whole = pickle.dumps((None, ("a", "b", "c", "d"), {}), 5)
    assert shown(b"p" + whole[:-12]) == f"f('a', 'b', 'c', {CUT})"


def test_a_huge_number_is_not_written_out() -> None:
    assert call(1 << 8_000_000) == "f(<int of 8000001 bits>)"
    assert shown(b"pL" + b"9" * 1_000_000 + b"L\n.") == f"f({CUT})"


def test_a_collection_that_holds_itself() -> None:
    loop: list[object] = []
    loop.append(loop)
    assert call(loop) == f"f([[[[[[[{CUT}]]]]]]])"


def test_deep_nesting() -> None:
    deep = b"(" * 500_000 + b"l" * 500_000
    assert CUT in shown(b"p\x80\x05N" + deep + b"\x85}\x87.")
    assert CUT in shown(b"p\x80\x05N" + b"]" + b"\x85" * 900 + b"}\x87.")


def test_a_memo_bomb() -> None:
    """Each list holds the one before ten times: it would be written 10 ** 80 times."""
    bomb = io.BytesIO()
    bomb.write(b"\x80\x05N]\x94")

    for at in range(60):
        bomb.write(b"]\x94(" + b"h%c" % at * 10 + b"e")

    bomb.write(b"\x85}\x87.")
    assert shown(b"p" + bomb.getvalue()).endswith(f"{CUT})")
    # As the key of an argument, and as a name.
    names = bomb.getvalue().replace(b"\x85}\x87.", b"0N)}h\x051s\x87.")
    assert shown(b"p" + names)
    assert shown(b"p" + bomb.getvalue().replace(b"\x85}\x87.", b"\x8c\x01x\x93\x85}\x87."))


def test_calls_of_calls() -> None:
    hostile = b"\x80\x05N" + b"cos\nsystem\n(S'rm -rf /'\ntR" + b"(S'x'\ntR" * 50 + b"\x85}\x87."
    assert shown(b"p" + hostile) == "f(<os.system>)"


@given(st.binary())
def test_any_bytes_give_a_line(data: bytes) -> None:
    shown(b"p" + data)
    shown(b"j" + data)
    shown(data)


#: The codes of all instructions, to build what pickletools can split and no pickler writes.
CODES = [each.code.encode("latin-1") for each in pickletools.opcodes]


@given(st.lists(st.sampled_from([*CODES, b"a\n", b"\x00", b"\x01", b"N", b"]", b"}", b")", b"("])))
def test_any_instructions_give_a_line(codes: list[bytes]) -> None:
    shown(b"p" + b"".join(codes))


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner, inner),
    max_leaves=10,
)


def plainly(value: object) -> object:
    """A value of Python from what was seen of its pickle."""
    if not isinstance(value, Several):
        assert not isinstance(value, Opaque)
        return value

    items = [plainly(item) for item in value.items]
    assert value.is_whole
    return dict(zip(items[::2], items[1::2], strict=True)) if value.kind is dict else value.kind(items)


@given(plain, st.integers(0, 5))
def test_plain_values_are_seen_as_pickle_loads_them(value: object, protocol: int) -> None:
    data = pickle.dumps(value, protocol)

    # Before protocol 3 bytes are written as a call.
    if protocol >= 3:
        found = look_into(data)
        assert plainly(found.items[0]) == value


@given(st.lists(plain, max_size=3), st.dictionaries(st.from_regex(r"\A[a-z]{1,5}\Z"), plain, max_size=2))
def test_short_plain_calls_are_shown_as_python_writes_them(args: list[object], kwargs: dict[str, object]) -> None:
    written = ", ".join([*map(repr, args), *(f"{name}={value!r}" for name, value in kwargs.items())])

    if len(written) <= 60 and max(map(depth, (*args, *kwargs.values())), default=0) <= DEEPEST:
        assert call(*args, **kwargs) == f"f({written})"


def depth(value: object) -> int:
    if isinstance(value, dict):
        value = list(value.values())

    return 1 + max(map(depth, value), default=0) if isinstance(value, list | tuple) else 0


def test_with_a_secret_only_what_is_signed_is_looked_at() -> None:
    ring = read_secret("0123456789abcdef")
    assert ring is not None
    signer = ring.signer(b"aioq:{default}:job:")
    record = JobRecord("x", {b"func": b"f", b"data": b"p" + pickle.dumps((None, (1,), {}))}, signer)
    assert call_text(record) == f"f({CUT})"
    assert call_text(record.sealed()) == "f(1)"
    # Who knows no secret sees it, too: nothing is loaded.
    assert call_text(JobRecord("x", record.sealed().fields)) == "f(1)"


def test_pickles_of_old_protocols_and_of_objects_of_their_own_kind() -> None:
    def with_argument(made: bytes) -> str:
        return shown(b"p\x80\x02N" + made + b"\x85}\x87.")

    assert with_argument(b"(ishop\nOrder\n") == "f(<shop.Order>)"  # a class of Python 2
    assert with_argument(b"Pa place elsewhere\n") == with_argument(b"K\x01Q") == "f(<persistent>)"
    assert with_argument(b"ccopyreg\n__newobj__\ncshop\nOrder\n\x85R") == "f(<shop.Order>)"
    assert with_argument(b"K\x01)R") == "f(<object>)"  # what is called is no function
    assert with_argument(b"K\x01(0") == "f(1)"  # a mark is taken back
    assert shown(b"p\x80\x02NK\x01\x85}\x87").startswith("f(")  # it has no end
