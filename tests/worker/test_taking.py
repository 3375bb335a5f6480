"""Results of other jobs, as a worker reads them for a run; tests/client/test_result_of.py runs such jobs."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

from aioq.errors import JobFailed, JobStopped, ServerUnreachable
from aioq.values.claim import Claim
from aioq.values.errors import BadSignature, DeserializationError, ServerRefused
from aioq.values.outcome import Failed, Interrupted
from aioq.values.record import JobRecord
from aioq.values.signature import Signer
from aioq.worker.call import Caller
from aioq.worker.run import Run
from aioq.worker.taking import Taken, packed_taken, unpack_taken, with_results


def ended(status: str, **fields: bytes) -> JobRecord:
    stored = {name.encode(): value for name, value in fields.items()}

    return JobRecord("before", {b"func": b"m.f", b"status": status.encode(), **stored})


def through_a_frame(taken: list[Taken]) -> list[Taken]:
    """As the process of a job gets them, beside the fields of its own."""
    fields = {b"func": b"m.g"} | packed_taken(taken)
    found = unpack_taken(fields)
    assert fields == {b"func": b"m.g"}

    return found


@pytest.mark.parametrize("way", [list, through_a_frame])
def test_results_come_to_their_places(way: Any) -> None:
    done = ended("finished", result=b"j[7]")
    taken = way([Taken(0, "before", False, done), Taken("x", "gone", True, None)])
    args, kwargs = with_results(taken, (None, 2), {"x": None, "y": 3})
    assert (args, kwargs["y"]) == (([7], 2), 3)
    assert isinstance(kwargs["x"], JobFailed)
    assert kwargs["x"].exc_info == "it is gone"


def test_an_error_as_a_value_is_what_a_wait_would_raise() -> None:
    assert isinstance(Taken(0, "before", True, ended("stopped")).value(), JobStopped)
    requeued = Taken(0, "before", True, ended("queued")).value()
    assert (type(requeued), requeued.exc_info) == (JobFailed, "it is queued")


@pytest.mark.parametrize(
    ("record", "text"),
    [
        (None, "which is gone and has none"),
        (ended("failed"), "which is failed and has none"),
        (ended("queued"), "which is queued and has none"),
        (ended("finished"), "and keeps none"),
        (ended("finished", result=b"j["), "argument 1 is the result of job before: "),
        (ended("finished", result=b"?"), "argument 1 is the result of job before: "),
    ],
)
def test_it_is_told_why_there_is_no_argument(record: JobRecord | None, text: str) -> None:
    with pytest.raises(DeserializationError, match=text):
        Taken(0, "before", False, record).value()


def test_no_process_gets_what_is_not_signed() -> None:
    record = ended("finished", result=b"j1")
    record.signer = Signer([b"secret"], b"")

    with pytest.raises(BadSignature, match="argument 'x' is the result of job before, and that is not signed"):
        packed_taken([Taken("x", "before", False, record)])

    record.fields[b"result"] = record.seal(b"result", b"j1")
    (taken,) = unpack_taken(packed_taken([Taken("x", "before", False, record)]))
    assert taken.value() == 1


@pytest.mark.parametrize(("error", "outcome"), [(ServerUnreachable, Interrupted), (ServerRefused, Failed)])
async def test_a_job_is_given_back_if_the_server_of_a_result_is_away(error: Any, outcome: Any) -> None:
    async def load(_: object) -> list[JobRecord]:
        raise error("away")

    store: Any = SimpleNamespace(queue="default", reads=SimpleNamespace(load=load))
    opts = json.dumps({"results": [[0, "before"]]}, separators=(",", ":")).encode()
    fields = {b"func": b"tests.worker.called.double", b"data": b"j[null,[null],{}]", b"opts": opts}
    run = Run(store, Claim(JobRecord("a", fields | {b"parents": b"Wbefore"}), 1))
    caller = Caller(5, 500_000)
    found = await caller.carry_out(run, lambda run: None)
    await caller.close()
    assert isinstance(found, outcome)
    assert not run.begun
