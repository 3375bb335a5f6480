from __future__ import annotations

import enum
import json
from collections import OrderedDict, defaultdict
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aioq.values.plainjson import Misfit, at_key, pack_json, pack_plain, pack_plain_call

ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()) | st.binary(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(st.text() | st.integers() | st.booleans() | st.none(), inner, max_size=3)
    ),
    max_leaves=8,
)


class Shade(enum.StrEnum):
    DARK = "dark"


class Point(NamedTuple):
    x: int


@given(ANY)
def test_a_value_comes_back_as_what_it_was_or_is_refused(value: Any) -> None:
    try:
        packed = pack_plain(value)
    except Misfit:
        return

    assert json.loads(packed) == value


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        -5,
        10**40,
        1.5,
        "é\x00",
        [],
        {},
        [{"a": [None]}],
        OrderedDict(a=1),
        defaultdict(int, a=1),
        Shade.DARK,
    ],
)
def test_what_is_equal_when_it_comes_back_is_taken(value: Any) -> None:
    assert json.loads(pack_plain(value)) == value


CIRCLE: list[Any] = []
CIRCLE.append({"again": CIRCLE})


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ((1,), "a tuple would come back as a list"),
        ([1, {"a": [(1,)]}], "[1].a[0]: a tuple would come back as a list"),
        ({"p": Point(1)}, "p: a tuple would come back as a list"),
        ({"two words": {1}}, '["two words"]: JSON has no form for set'),
        ([frozenset()], "[0]: JSON has no form for frozenset"),
        ({"a": {1: 2}}, "a: the key 1 is no text, and would come back as one"),
        ({None: 2}, "the key None is no text, and would come back as one"),
        ({(1, 2): 2}, "the key (1, 2) is no text, and would come back as one"),
        ([b"a"], "[0]: JSON has no form for bytes"),
        ([1, float("nan")], "[1]: JSON has no number nan"),
        ([float("-inf")], "[0]: JSON has no number -inf"),
        (["\ud800"], "[0]: the text has half a surrogate pair, which has no form in UTF-8"),
        ({"\udfff": 1}, "the text has half a surrogate pair, which has no form in UTF-8"),
        (CIRCLE, "[0].again: it contains itself"),
        ([object], "[0]: JSON has no form for type"),
    ],
)
def test_what_would_come_back_different_is_refused_with_its_path(value: Any, told: str) -> None:
    with pytest.raises(Misfit) as refused:
        pack_plain(value)

    assert str(refused.value) == told


def test_the_same_part_in_two_places_is_no_circle() -> None:
    part = [1]
    assert pack_plain([part, part, {"a": part}]) == b'[[1],[1],{"a":[1]}]'


def test_a_call_is_packed_with_the_paths_of_its_arguments() -> None:
    assert pack_plain_call((None, (1, ["é"]), {"b": {}})) == '[null,[1,["é"]],{"b":{}}]'.encode()
    assert pack_plain_call(("abc", (), {})) == b'["abc",[],{}]'
    for call, told in [
        ((None, (1, [(2,)]), {}), r"^args\[1\]\[0\]: a tuple"),
        ((None, (), {"doc": {"a": {2}}}), r"^doc\.a: JSON has no form for set"),
        ((object(), (), {}), r"^the instance: JSON has no form for object"),
    ]:
        with pytest.raises(Misfit, match=told):
            pack_plain_call(call)


def test_a_result_is_kept_as_json_has_it() -> None:
    assert pack_json((1, {2: "a"})) == b'[1,{"2":"a"}]'


def test_paths() -> None:
    assert (at_key("", "a"), at_key("a", "b"), at_key("a", "b c")) == ("a", "a.b", 'a["b c"]')
    assert str(Misfit("p").below("a")) == "a: p"
    assert str(Misfit("p", "[0].b").below("a")) == "a[0].b: p"


def test_a_key_whose_own_code_fails_is_named_by_its_type() -> None:
    class Silent:
        def __repr__(self) -> str:
            raise RuntimeError("no text")

    with pytest.raises(Misfit, match="Silent"):
        pack_plain({Silent(): 1})
