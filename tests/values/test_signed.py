from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aioq.values.errors import BadSignature, DeserializationError
from aioq.values.record import JobRecord
from aioq.values.serializer import JSON, PICKLE
from aioq.values.signature import SIGNED, Signer
from aioq.values.signed import Unreadable
from tests.values.test_record import record


@pytest.mark.parametrize("serializer", [PICKLE, JSON])
def test_the_call_comes_back_as_it_was_given(serializer) -> None:
    pack = serializer.call_packer and serializer.call_packer("m.f", "m.f", None)
    data = serializer.dumps((None, (1, "b"), {"c": 3}), "it", pack)

    assert record(data=data).call() == (None, (1, "b"), {"c": 3})
    assert record(data=data).serializer is serializer


def test_a_call_without_arguments_may_be_stored_as_its_tag_alone() -> None:
    assert record(data=JSON.tag).call() == (None, (), {})
    assert record(data=JSON.tag).serializer is JSON


@pytest.mark.parametrize(
    "value", [None, 5, (), (None, 5, {}), (None, (), 5), (None, (), {}, 1), "abc", (None, "ab", {})]
)
def test_arguments_of_another_shape_are_a_typed_error(value: object) -> None:
    with pytest.raises(DeserializationError):
        record(data=PICKLE.dumps(value, "it")).call()


def test_a_meta_value_that_cannot_be_read_is_kept_as_its_bytes() -> None:
    fields = {b"meta.good": JSON.dumps([1], "it"), b"meta.bad": b"pjunk", b"meta.": JSON.dumps(2, "it")}
    meta = JobRecord("a", fields).meta

    assert (meta["good"], meta[""]) == ([1], 2)
    assert isinstance(meta["bad"], Unreadable)
    assert meta["bad"].data == b"pjunk"
    assert "cannot be read" in meta["bad"].reason


@given(st.binary())
def test_an_error_of_any_bytes_is_shown_as_text(data: bytes) -> None:
    failure = record(error=data).failure
    assert failure is None if not data else isinstance(failure.text, str)


def signed() -> JobRecord:
    """A call and a meta value, as a queue with a secret stores them."""
    fields = {b"func": b"m.f", b"data": PICKLE.dumps((None, (1,), {}), "it"), b"meta.a": PICKLE.dumps(5, "it")}

    return JobRecord("a", fields, Signer([b"a secret of 32 bytes"], b"place")).sealed()


def test_what_is_sealed_is_read_by_those_who_know_the_secret_and_by_no_others() -> None:
    sealed = signed()
    assert (sealed.call(), sealed.meta) == ((None, (1,), {}), {"a": 5})

    with pytest.raises(BadSignature):
        JobRecord("a", sealed.fields).call()

    with pytest.raises(BadSignature):
        JobRecord("b", sealed.fields, sealed.signer).verify()


def test_an_opened_record_has_no_signatures_and_keeps_meta_unreadable_that_is_not_signed() -> None:
    opened = signed().opened()
    assert (opened.signer, opened.call(), opened.meta) == (None, (None, (1,), {}), {"a": 5})

    changed = signed()
    changed.fields[b"meta.a"] = PICKLE.dumps(6, "it")
    assert changed.opened().fields[b"meta.a"] == SIGNED
    assert isinstance(changed.opened().meta["a"], Unreadable)


def test_a_result_that_is_not_signed_is_told_from_one_that_is() -> None:
    sealed = signed()
    result = sealed.seal(b"result", PICKLE.dumps(5, "it"))

    assert sealed.as_ended("finished", result).has_signed_result()
    assert sealed.as_ended("finished", result).result() == 5
    assert not sealed.as_ended("finished", PICKLE.dumps(5, "it")).has_signed_result()
