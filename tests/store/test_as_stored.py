"""What a record is said to be after a script, beside what the script has stored."""

from __future__ import annotations

from typing import Any

import pytest

from aioq.store import Store
from aioq.values.outcome import Failed, Finished
from aioq.values.record import JobRecord
from aioq.values.signed import Fields
from tests.store.tools import end, job, put, start, take

#: Fields that only scripts need, so they are not computed: where the job is in its lane, who waits for it.
BOOKKEEPING = {b"entry", b"lane", b"more", b"repeat_ms", b"nonce", b"after"}


async def stored(store: Store, job_id: str = "a") -> Fields:
    (record,) = await store.reads.load([job_id])
    assert record is not None

    return {name: value for name, value in record.fields.items() if name not in BOOKKEEPING}


def told(record: JobRecord) -> Fields:
    return {name: value for name, value in record.fields.items() if name not in BOOKKEEPING}


JOBS: list[dict[str, Any]] = [
    {},
    {"data": b"p5"},
    {"front": True},
    {"due": "+60000"},
    {"due": "4102444800000"},
    {"ttl_ms": 60_000},
    {"ttl_ms": 60_000, "due": "+60000"},
    {"nonce": "n1", "failure_ttl": b"5000", "opts": b"{}"},
    {"nonce": "n1", "due": "+60000"},
]


@pytest.mark.parametrize("given", JOBS, ids=str)
async def test_a_record_as_enqueued_is_what_enqueue_has_stored(store: Store, given: dict[str, Any]) -> None:
    submission = job("a", **given)
    (answer,) = await store.producing.enqueue_many([submission])
    computed = submission.record.as_enqueued(answer.clock, submission.words)

    assert told(computed) == await stored(store)


@pytest.mark.parametrize("given", [{}, {"data": b"p5"}, {"ttl_ms": 60_000}, {"opts": b"{}"}], ids=str)
async def test_a_record_as_claimed_is_what_claim_has_stored(store: Store, given: dict[str, Any]) -> None:
    claimed = await start(store, "a", **given)

    assert told(claimed.record) == await stored(store)
    assert (claimed.record.fence, claimed.record.worker) == (1, "w1")


async def test_a_record_as_claimed_again_is_what_claim_has_stored(store: Store) -> None:
    await put(store, "a", ttl_ms=60_000)
    await take(store, "w1")
    await store.duty.reclaim("w1", held=[], session=1)
    (again,) = await take(store, "w2")

    assert again.fence == 2
    assert told(again.record) == await stored(store)


@pytest.mark.parametrize(
    ("outcome", "status", "value"),
    [(Finished(b"p5", 5_000), "finished", b"p5"), (Failed("it broke"), "failed", b"it broke")],
    ids=["finished", "failed"],
)
async def test_a_record_as_ended_is_what_is_stored_of_the_end(
    store: Store, outcome: Any, status: str, value: bytes
) -> None:
    claimed = await start(store, "a")
    assert await end(store, (claimed, outcome)) == ["ok"]
    found = await stored(store)
    assert int(found.pop(b"ended_at")) >= int(found[b"started_at"])  # a message does not tell it
    found.pop(b"fingerprint", None)  # nor this

    assert told(claimed.record.as_ended(status, value)) == found


async def test_a_record_as_ended_by_a_cancel_has_its_state_alone(store: Store) -> None:
    submission = job("a")
    (answer,) = await store.producing.enqueue_many([submission])
    record = submission.record.as_enqueued(answer.clock, submission.words)
    await store.changes.cancel("a")
    found = await stored(store)
    del found[b"ended_at"]

    assert told(record.as_ended("canceled")) == found
    assert record.fields[b"status"] == b"queued"  # others may have that record
