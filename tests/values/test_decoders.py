"""Every decoder: arbitrary bytes give a value or the error that is documented, and nothing else."""

from __future__ import annotations

import inspect
import json
from contextlib import suppress
from typing import Any

import pytest
import typer
from hypothesis import example, given
from hypothesis import strategies as st

from aioq import Job
from aioq.cli.arguments import read_arguments, read_meta
from aioq.store.mailbox import Mailbox
from aioq.store.reply import text
from aioq.store.worker_info import WorkerInfo, worker_info
from aioq.values.calltext import call_text
from aioq.values.cause import read_exceptions, rebuild
from aioq.values.durations import limit_ms, positive_ms, retention_ms, to_ms
from aioq.values.errors import BadSignature, DeserializationError, InvalidInput, ResultNotKept
from aioq.values.failure import unpack_failure
from aioq.values.ids import check_id, check_queue_name
from aioq.values.metacheck import check_meta
from aioq.values.options import JobOptions, read_options
from aioq.values.outcome import decide
from aioq.values.record import JobRecord
from aioq.values.reference import Reference, refer
from aioq.values.resolving import resolve
from aioq.values.result import earlier_result, present_result
from aioq.values.retry import Retry, as_retry
from aioq.values.serializer import find_serializer, loads, written_by
from aioq.values.signature import Keyring
from aioq.values.signed import SignedFields

#: What is stored as JSON, with values that no writer of aioq would write.
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=8,
)

NUMBERS = st.sampled_from(
    [b"", b"-1", b"0", b"1e400", b"nan", b"inf", b"9" * 400, b"9" * 5000, b" 5 ", b"0x10", b"1.5"]
)
JUNK = st.binary() | NUMBERS | JSON_VALUES.map(lambda value: json.dumps(value).encode())


def opts_of(names: list[str]) -> st.SearchStrategy[bytes]:
    return st.dictionaries(st.sampled_from(names), JSON_VALUES).map(lambda value: json.dumps(value).encode())


RETRY = st.dictionaries(st.sampled_from(list(Retry.__slots__)), JSON_VALUES)
OPTS = (
    JUNK
    | opts_of(["timeout", "result_ttl", "description", "retry", "executor"])
    | RETRY.map(lambda retry: json.dumps({"retry": {"max": 3} | retry}).encode())
)

NAMES = [
    *(
        b"status",
        b"func",
        b"data",
        b"ttl",
        b"failure_ttl",
        b"entry",
        b"lane",
        b"fence",
        b"uncounted",
        b"deliveries",
    ),
    *(b"worker", b"created_at", b"enqueued_at", b"due_at", b"expires_at", b"started_at", b"ended_at", b"result"),
    *(b"first_started_at", b"start_by", b"on_success", b"webhooks"),
    *(b"error", b"after", b"more", b"nonce", b"meta.a", b"meta.\xff", b"meta."),
]
FIELDS = st.builds(
    lambda fields, opts, status: fields | opts | status,
    st.dictionaries(st.sampled_from(NAMES) | st.binary(max_size=5), JUNK),
    st.dictionaries(st.just(b"opts"), OPTS, max_size=1),
    st.dictionaries(
        st.just(b"status"), st.sampled_from([b"queued", b"failed", b"finished", b"started"]), max_size=1
    ),
)

CLASSES = read_exceptions([ValueError, OSError, UnicodeDecodeError])

READERS: dict[str, Any] = {
    **{
        name: (lambda record, name=name: getattr(record, name))
        for name, kind in (vars(SignedFields) | vars(JobRecord)).items()
        if isinstance(kind, property) and not name.startswith("_")
    },
    "call": JobRecord.call,
    "result": JobRecord.result,
    "verify": JobRecord.verify,
    "present": present_result,
    "cause": lambda record: record.cause(CLASSES),
    "call_text": call_text,
}

#: These never raise: lists and workers depend on them.
CALM = {
    *("func_name", "meta", "fence", "attempt", "deliveries", "worker", "failure", "description", "timeout_ms"),
    *("result_ttl_ms", "ttl_ms", "failure_ttl_ms", "retry", "created_at", "enqueued_at", "due_at", "started_at"),
    *("ended_at", "expires_at", "opts", "executor", "default_executor", "cause", "call_text", "edges", "reason"),
    *("started_ms", "first_started_ms", "ended_ms", "repeat", "repeats", "due_ms", "group"),
    *("callbacks", "followed", "webhooks", "is_webhook", "tags", "fingerprint", "deferred_ttl_ms"),
}


def test_no_property_of_a_record_was_forgotten() -> None:
    assert set(READERS) - CALM == {"status", "serializer", "call", "result", "verify", "present"}


@given(fields=FIELDS)
@example(fields={b"status": b"\xff", b"created_at": b"9" * 30, b"fence": b"9" * 5000, b"failure_ttl": b""})
@example(fields={b"data": b"j[[]", b"result": b"j" + b"[" * 5000, b"opts": b"[" * 5000})
@example(fields={b"func": b"json.dumps", b"data": b"t[[]", b"status": b"finished", b"result": b"t" + b"[" * 5000})
@example(fields={b"func": b"a.b\xff", b"data": b"t[null,[{}],{}]", b"status": b"finished", b"result": b"o\xff:5"})
def test_a_record_of_arbitrary_bytes(fields: dict[bytes, bytes]) -> None:
    for name, read in READERS.items():
        if name in CALM:
            read(JobRecord("a", fields))
        else:
            with suppress(DeserializationError, ResultNotKept):
                read(JobRecord("a", fields))


@given(FIELDS)
@example({b"ttl": b"9" * 400, b"failure_ttl": b"9" * 400})
def test_a_handle_on_arbitrary_bytes(fields: dict[bytes, bytes]) -> None:
    for name, kind in inspect.getmembers(Job):
        if isinstance(kind, property) and not name.startswith("_"):
            with suppress(DeserializationError):
                getattr(Job(JobRecord("a", fields), None), name)

    assert repr(Job(JobRecord("a", fields), None))


@given(FIELDS)
def test_methods_of_a_record_of_arbitrary_bytes(fields: dict[bytes, bytes]) -> None:
    record = JobRecord("a", fields)
    assert isinstance(call_text(record), str)
    record.is_claimed(1)
    meta = record.meta

    for name, value in meta.items():
        with suppress(DeserializationError):  # the serializer of a damaged call is not known
            record.is_same_meta(b"meta." + name.encode(), record.pack_meta(name, value))

    policy = record.retry

    with suppress(TypeError):  # a list of exceptions may hold anything; the executor takes that for no retry
        decide(ValueError(), record.attempt, policy, 0.5, lambda: record.ended_ms - record.first_started_ms)


@given(FIELDS)
def test_a_signer_reads_nothing_of_arbitrary_bytes(fields: dict[bytes, bytes]) -> None:
    record = JobRecord("a", fields, Keyring(["a secret of some length"]).signer(b"place"))

    for read in (record.call, record.verify):
        with pytest.raises((BadSignature, DeserializationError)):
            read()

    assert call_text(record).endswith("(…)")

    if fields.get(b"status") == b"finished":
        with pytest.raises(BadSignature):
            record.result()
    else:
        assert record.result() is None


@given(JUNK)
def test_bytes_of_a_serializer(data: bytes) -> None:
    for each in (data, b"p" + data, b"j" + data, b"s" + data, b"t" + data, b"o" + data):
        with suppress(DeserializationError):
            written_by(each)

        with suppress(DeserializationError):
            loads(each, "it")


@given(st.text() | JSON_VALUES.map(json.dumps), st.text())
@example("{", "")
@example('{"type":"a","message":"b","origin":"!"}', "c")
@example('{"type":"a","message":5}', "c")
@example("{" + '"a":[' * 5000, "c")
def test_a_failure_of_arbitrary_text(head: str, text: str) -> None:
    for packed in (head, f"{head}\n{text}", f'{{"type":"a","message":{head}}}\n{text}'):
        failure = unpack_failure(packed)
        assert packed.endswith(failure.text)
        assert len(failure.line.splitlines()) <= 1


@given(JUNK | JSON_VALUES.map(lambda args: json.dumps(["ValueError", args]).encode()))
@example(b'["OSError",[2,"none"]]')
@example(b'["UnicodeDecodeError",["a"]]')
@example(b"[" * 2000)
def test_an_exception_of_arbitrary_bytes(packed: bytes) -> None:
    assert type(rebuild(packed, CLASSES)) in {type(None), ValueError}


RUN = st.fixed_dictionaries(
    {}, optional=dict.fromkeys(("fence", "worker", "started_at", "ended_at", "outcome", "error"), JSON_VALUES)
)


@given(JUNK | RUN.map(lambda run: json.dumps(run).encode()))
@example(b'{"fence":1e999,"worker":"","started_at":"1","ended_at":"2","outcome":"failed","error":""}')
@example(
    b'{"fence":1,"worker":"","started_at":"9999999999999999999","ended_at":"2","outcome":"failed","error":""}'
)
def test_a_run_of_the_history(packed: bytes) -> None:
    with suppress(DeserializationError):
        run = earlier_result(JobRecord("a", {}), packed)
        assert isinstance(run.type, str)


VALUES = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.lists(st.text())


@given(VALUES)
@example("9" * 5000)
@example("1e999s")
def test_durations(value: Any) -> None:
    for read in (to_ms, positive_ms, limit_ms, retention_ms):
        with suppress(InvalidInput, TypeError):
            assert isinstance(read(value, "it"), int)


@given(
    st.dictionaries(
        st.sampled_from(
            [
                *read_options.__annotations__,
                "ttl",
                "retry",
                "meta",
                "job_id",
                "job_timeout",
                "result_ttl",
                "failure_ttl",
                "description",
            ]
        ),
        VALUES,
    )
)
def test_options(given_options: Any) -> None:
    with suppress(InvalidInput, TypeError):
        assert isinstance(read_options(given_options), JobOptions)


@given(VALUES)
def test_ids_names_and_choices(value: Any) -> None:
    for read in (check_id, check_queue_name, check_meta, as_retry, find_serializer):
        with suppress(InvalidInput, TypeError):
            read(value)


@given(RETRY)
def test_a_stored_policy(values: dict[str, Any]) -> None:
    record = JobRecord("a", {b"opts": json.dumps({"retry": values}).encode()})
    assert record.retry is None or record.retry.delay_ms(1, 0.5) >= 0


@given(st.text() | st.text("abc.:", max_size=9))
def test_names_of_functions(name: str) -> None:
    with suppress(DeserializationError):
        resolve(name)

    with suppress(InvalidInput):
        assert isinstance(refer(name)[0], Reference)


@given(st.lists(st.text() | st.text(":%=@[]{}(),1a'", max_size=9)))
@example([":" + "9" * 5000])
@example(["%" + "(" * 300])
@example(["%" + "-" * 5000 + "1"])
@example([":" + "[" * 100_000])
@example(["@\x00"])
def test_arguments_of_the_command_line(words: list[str]) -> None:
    with suppress(typer.BadParameter):
        read_arguments(words)

    with suppress(typer.BadParameter):
        read_meta(words)


def test_nested_json_of_meta_is_a_usage_error() -> None:
    with pytest.raises(typer.BadParameter):
        read_meta(["a=" + "[" * 100_000])


@given(st.binary(), st.dictionaries(st.binary(), JUNK))
def test_names_and_workers(name: bytes, row: dict[bytes, bytes]) -> None:
    assert isinstance(text(name), str)
    named = row | dict.fromkeys((b"pid", b"running", b"started_at", b"queues"), name)
    assert isinstance(worker_info("w", named), WorkerInfo)


@given(
    st.binary()
    | st.lists(st.tuples(st.text("ab "), st.text("finshed"), st.integers() | st.just("-"), st.binary())).map(
        lambda parts: b"".join(f"{job} {status} {length}\n".encode() + data for job, status, length, data in parts)
    )
)
@example(b"a finished -20\n")
@example(b"a finished 0\n")
@example("a finished \u0663\n".encode())
def test_a_message_about_the_ends_of_jobs(message: bytes) -> None:
    mailbox = Mailbox(None, lambda word: word, None)  # type: ignore[arg-type]

    with suppress(ValueError):  # the listener takes that for a message that was missed
        mailbox._receive(message)
