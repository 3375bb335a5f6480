from __future__ import annotations

import copy
import pickle

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from aioq.values.errors import BadSignature, DeserializationError, InvalidInput
from aioq.values.record import JobRecord
from aioq.values.serializer import JSON, PICKLE, loads
from aioq.values.signature import LENGTH, SIGNED, Keyring, Signer, inner, read_secret

OLD, NEW = "the old secret, long", "the new secret, long"
SUBJECTS = st.tuples(st.binary(), st.binary(), st.binary(), st.binary())


def signer(*secrets: str, place: bytes = b"aioq:{q}:job:") -> Signer:
    return Keyring(secrets or (NEW,)).signer(place)


@given(SUBJECTS, st.binary())
def test_what_is_signed_comes_back(subject: tuple[bytes, bytes, bytes, bytes], data: bytes) -> None:
    signed = signer().sign(subject, data)
    assert signer().open(subject, signed, "it") == inner(signed) == data
    assert len(signed) == len(data) + 1 + LENGTH


@given(SUBJECTS, st.binary(), SUBJECTS, st.binary(), st.binary(max_size=3))
def test_it_holds_for_one_subject_one_place_and_one_secret(subject, place, other, other_place, data) -> None:
    assume((subject, place) != (other, other_place))
    signed = signer(place=place).sign(subject, data)

    with pytest.raises(BadSignature):
        signer(place=other_place).open(other, signed, "it")

    with pytest.raises(BadSignature):
        signer(OLD, place=place).open(subject, signed, "it")


@given(st.binary(), st.binary())
def test_parts_cannot_be_moved_from_one_to_the_next(one: bytes, other: bytes) -> None:
    assume(one)
    signed = signer().sign((one, other, b"", b""), b"data")

    with pytest.raises(BadSignature):
        signer().open((b"", one + other, b"", b""), signed, "it")


@given(st.binary(), st.data())
def test_any_change_of_the_bytes_is_noticed(data: bytes, drawn: st.DataObject) -> None:
    subject = (b"id", b"data", b"m.f", b"")
    signed = bytearray(signer().sign(subject, data))
    signed[drawn.draw(st.integers(0, len(signed) - 1))] ^= drawn.draw(st.integers(1, 255))

    with pytest.raises(BadSignature):
        signer().open(subject, bytes(signed), "it")


@given(st.binary())
def test_arbitrary_bytes_are_refused(data: bytes) -> None:
    for each in (data, SIGNED + data):
        with pytest.raises(BadSignature):
            signer().open((b"id", b"data", b"m.f", b""), each, "it")


def test_the_first_secret_signs_and_all_verify() -> None:
    subject = (b"id", b"data", b"m.f", b"")
    signed = signer(OLD).sign(subject, b"p")

    assert signer(NEW, OLD).open(subject, signed, "it") == b"p"
    assert signer(NEW, OLD).sign(subject, b"p") == signer(NEW).sign(subject, b"p") != signed


def test_secrets_are_read_from_texts_and_lists() -> None:
    subject, place = (b"id", b"data", b"m.f", b""), b"place"
    signed = Keyring([OLD.replace(",", "")]).signer(place).sign(subject, b"p")
    old = OLD.replace(",", "")

    for secret, environment in (
        (old, None),
        (f"{NEW.replace(',', '')} , {old}", None),
        ([NEW, old], None),
        ((old,), NEW),
        (None, old),
        (Keyring([old]), None),
    ):
        keyring = read_secret(secret, environment)
        assert keyring is not None
        assert keyring.signer(place).open(subject, signed, "it") == b"p"

    assert read_secret(None) is None


@pytest.mark.parametrize("environment", ["", " "])
def test_a_secret_that_is_set_and_empty_is_refused(environment: str) -> None:
    with pytest.raises(InvalidInput, match="AIOQ_SECRET is set and empty: unset it, or give it a value"):
        read_secret(None, environment)

    assert read_secret([NEW], environment) is not None


@pytest.mark.parametrize("secret", ["", "   ", [], "fifteen letters", [NEW, "short"], f"{'x' * 20},", ",,,"])
def test_a_secret_that_protects_nothing_is_refused_and_not_shown(secret) -> None:
    with pytest.raises(InvalidInput, match="secret: ") as caught:
        read_secret(secret)

    assert "fifteen" not in str(caught.value)
    assert "xxx" not in str(caught.value)


@pytest.mark.parametrize("secret", [[b"bytes are no text"], [None]])
def test_a_secret_of_another_type_is_refused(secret) -> None:
    with pytest.raises(TypeError, match=r"expected a str, not (bytes|NoneType)"):
        read_secret(secret)


def test_secrets_are_not_shown_and_not_pickled() -> None:
    keyring = Keyring([NEW])
    each_signer = keyring.signer(b"aioq:{q}:job:")

    for holder in (keyring, each_signer):
        assert NEW not in repr(holder)

        for copier in (pickle.dumps, copy.deepcopy):
            with pytest.raises(TypeError, match="not pickled"):
                copier(holder)


def test_a_record_signs_all_that_is_serialised_in_it() -> None:
    fields = {b"func": b"m.f", b"data": PICKLE.dumps((None, (1,), {}), "it"), b"meta.a": PICKLE.dumps(2, "it")}
    record = JobRecord("a", fields, signer()).sealed()

    assert (record.call(), record.meta, record.serializer) == ((None, (1,), {}), {"a": 2}, PICKLE)
    assert record.fields[b"data"].startswith(SIGNED)
    assert record.fields[b"meta.a"].startswith(SIGNED)


@pytest.mark.parametrize("serializer", [PICKLE, JSON])
def test_a_call_without_arguments_is_signed(serializer) -> None:
    fields = {b"func": b"m.f"} | ({} if serializer is PICKLE else {b"data": serializer.tag})
    record = JobRecord("a", fields, signer()).sealed()
    assert (record.call(), record.serializer) == ((None, (), {}), serializer)

    with pytest.raises(BadSignature, match="the call of job a is not signed"):
        JobRecord("a", fields, signer()).call()


def test_without_a_secret_the_error_says_that_one_is_needed() -> None:
    record = JobRecord("a", {b"func": b"m.f", b"data": PICKLE.dumps((None, (1,), {}), "it")}, signer()).sealed()
    bare = JobRecord("a", record.fields)

    with pytest.raises(BadSignature, match=": signed, and no secret is set here"):
        bare.call()

    assert bare.serializer is PICKLE
    assert issubclass(BadSignature, DeserializationError)

    with pytest.raises(BadSignature, match="the thing: signed"):
        loads(SIGNED + b"x", "the thing")
