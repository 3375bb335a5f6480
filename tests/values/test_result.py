from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from aioq.values.errors import DeserializationError, ResultNotKept
from aioq.values.record import JobRecord
from aioq.values.result import earlier_result, present_result
from aioq.values.serializer import PICKLE
from aioq.values.states import JobStatus


@pytest.mark.parametrize("status", JobStatus)
def test_only_a_job_that_has_ended_has_a_present_result(status: JobStatus) -> None:
    result = present_result(JobRecord("a", {b"status": status.encode()}))

    assert (result is not None) == status.is_final

    if result is not None:
        assert (result.type, result.fence, result.ended_at) == (status.value, 0, None)

    if result is not None and status is not JobStatus.FINISHED:
        assert result.return_value is None


@pytest.mark.parametrize("fields", [{}, {b"result": b""}])
def test_a_result_that_is_not_kept_is_told_when_it_is_asked_for(fields: dict[bytes, bytes]) -> None:
    result = present_result(JobRecord("a", {b"status": b"finished", **fields}))
    assert result is not None

    with pytest.raises(ResultNotKept, match="job a has finished, and its result was not kept"):
        _ = result.return_value


def test_a_finished_job_s_result_holds_its_value() -> None:
    fields = {
        b"status": b"finished",
        b"fence": b"2",
        b"worker": b"w1",
        b"result": PICKLE.dumps({"a": 1}, "it"),
        b"started_at": b"1700000000000",
        b"ended_at": b"1700000000250",
    }
    result = present_result(JobRecord("a", fields))

    assert result is not None
    assert (result.return_value, result.worker_name, result.exc_info) == ({"a": 1}, "w1", None)
    assert result.started_at == datetime.fromtimestamp(1_700_000_000, UTC)


def test_a_result_that_cannot_be_read_is_a_typed_error() -> None:
    with pytest.raises(DeserializationError):
        present_result(JobRecord("a", {b"status": b"finished", b"result": b"?"}))


def test_an_earlier_run_is_read_as_the_scripts_pack_it() -> None:
    packed = {
        "fence": "3",
        "worker": "",
        "started_at": "0",
        "ended_at": "1700000000000",
        "outcome": "failed",
        "error": "boom",
    }
    result = earlier_result(JobRecord("a", {}), json.dumps(packed).encode())

    assert (result.type, result.fence, result.exc_info, result.worker_name) == ("failed", 3, "boom", None)
    assert result.started_at is None
    assert result.ended_at == datetime.fromtimestamp(1_700_000_000, UTC)


def test_an_earlier_run_with_damaged_text_is_still_shown() -> None:
    packed = b'{"fence":"1","worker":"w","started_at":"1","ended_at":"2","outcome":"failed","error":"\xff"}'

    assert earlier_result(JobRecord("a", {}), packed).exc_info == "\ufffd"
