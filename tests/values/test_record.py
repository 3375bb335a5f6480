from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from aioq.values.options import FAILURE_TTL_MS, TIMEOUT_MS, read_options
from aioq.values.record import JobRecord
from aioq.values.retry import Retry
from aioq.values.serializer import PICKLE
from aioq.values.states import JobStatus


def record(**fields: bytes) -> JobRecord:
    return JobRecord("a", {name.encode(): value for name, value in fields.items()})


def test_a_record_without_optional_fields_has_their_defaults() -> None:
    bare = record(status=b"queued", func=b"m.f")

    assert (bare.status, bare.func_name, bare.serializer) == (JobStatus.QUEUED, "m.f", PICKLE)
    assert bare.call() == (None, (), {})
    assert (bare.fence, bare.attempt, bare.deliveries, bare.meta, bare.opts) == (0, 0, 0, {}, {})
    assert (bare.timeout_ms, bare.result_ttl_ms, bare.ttl_ms) == (TIMEOUT_MS, None, None)
    assert (bare.failure_ttl_ms, bare.retry, bare.description) == (FAILURE_TTL_MS, None, None)
    assert (bare.worker, bare.failure, bare.started_at, bare.ended_at, bare.due_at) == (None,) * 5


def test_runs_that_the_code_did_not_decide_are_not_attempts() -> None:
    assert record(fence=b"5", uncounted=b"3").attempt == 2


def test_a_claim_holds_only_while_the_job_runs_under_its_fence() -> None:
    assert record(status=b"started", fence=b"2").is_claimed(2)
    assert not record(status=b"started", fence=b"3").is_claimed(2)
    assert not record(status=b"queued", fence=b"2").is_claimed(2)


def test_times_are_moments_in_utc() -> None:
    times = record(created_at=b"1700000000123", started_at=b"1700000001000", expires_at=b"1700000002000")

    assert times.created_at == datetime(2023, 11, 14, 22, 13, 20, 123_000, UTC)
    assert times.started_at == datetime(2023, 11, 14, 22, 13, 21, tzinfo=UTC)
    assert times.expires_at == datetime(2023, 11, 14, 22, 13, 22, tzinfo=UTC)


def test_a_job_entered_its_lane_when_it_was_created_unless_it_says_otherwise() -> None:
    assert record(created_at=b"1000").enqueued_at == datetime.fromtimestamp(1, UTC)
    assert record(created_at=b"1000", due_at=b"9000").enqueued_at is None
    # The pause before a retry: it was in its lane from the beginning.
    assert record(created_at=b"1000", due_at=b"9000", fence=b"1").enqueued_at == datetime.fromtimestamp(1, UTC)
    # The fences of a job whose id a user chose begin at the clock.
    assert record(created_at=b"1000", due_at=b"9000", fence=b"1000").enqueued_at is None
    assert record(created_at=b"1000", due_at=b"9000", fence=b"1001").enqueued_at == datetime.fromtimestamp(1, UTC)
    assert record(created_at=b"1000", enqueued_at=b"5000").enqueued_at == datetime.fromtimestamp(5, UTC)


def test_packed_options_are_read_back() -> None:
    options = read_options({"job_timeout": 5, "result_ttl": 0, "description": "d", "retry": Retry(2, [1, 2])})
    packed = record(opts=options.packed())

    assert (packed.timeout_ms, packed.result_ttl_ms, packed.description) == (5_000, 0, "d")
    assert packed.retry == Retry(2, [1, 2])


@pytest.mark.parametrize("packed", [b"", b"{", b"\xff", b"[1]", b"null", b"5"])
def test_damaged_options_leave_the_defaults(packed: bytes) -> None:
    damaged = record(opts=packed)

    assert (damaged.timeout_ms, damaged.retry, damaged.description) == (TIMEOUT_MS, None, None)


def test_own_ttls_stand_beside_the_options() -> None:
    own = record(ttl=b"50", failure_ttl=b"0")

    assert (own.ttl_ms, own.failure_ttl_ms) == (50, 0)


def test_fields_of_a_newer_version_are_kept() -> None:
    newer = record(status=b"queued", flavour=b"new", opts=json.dumps({"colour": 1}).encode())

    assert newer.fields[b"flavour"] == b"new"
    assert newer.opts == {"colour": 1}


def test_a_record_as_ended_is_another_one() -> None:
    queued = record(status=b"queued")
    finished, failed = queued.as_ended("finished", b"p5"), queued.as_ended("failed", b"it broke")

    assert queued.fields == {b"status": b"queued"}
    assert finished.fields == {b"status": b"finished", b"result": b"p5"}
    assert failed.fields == {b"status": b"failed", b"error": b"it broke"}
    assert queued.as_ended("canceled").fields == {b"status": b"canceled"}


def test_a_record_as_enqueued_and_as_claimed_is_the_same_one_completed() -> None:
    made = record(func=b"m.f")

    assert made.as_enqueued(1_000, {"due": "+500", "ttl": 60}) is made
    assert (made.fields[b"due_at"], made.fields[b"ttl"], made.status) == (b"1500", b"60", JobStatus.SCHEDULED)
    assert b"expires_at" not in made.fields
    assert record().as_enqueued(1_000, {"ttl": 60}).fields[b"expires_at"] == b"1060"
    assert made.as_claimed(3, b"2000", b"w") is made
    assert (made.fence, made.worker, made.fields[b"started_at"]) == (3, "w", b"2000")
    assert b"expires_at" not in record(expires_at=b"5").as_claimed(1, b"2", b"w").fields
