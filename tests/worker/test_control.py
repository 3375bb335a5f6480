"""What a worker is told on its control channel. No server is needed."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from aioq.values.claim import Claim
from aioq.values.record import JobRecord
from aioq.worker import control as module
from aioq.worker.control import Control
from aioq.worker.run import Cause, Run

QUEUE: Any = SimpleNamespace(queue="default", keys=SimpleNamespace(job=b"aioq:{default}:job:"))


class Bench:
    """Runs that are held, and those that were ended."""

    def __init__(self) -> None:
        self.held: dict[Run, None] = {}
        self.ended: list[tuple[Run, Cause]] = []
        self.control = Control(self)  # type: ignore[arg-type]

    def end(self, run: Run, cause: Cause) -> None:
        self.ended.append((run, cause))


def run_of(name: str, fence: int = 1) -> Run:
    return Run(QUEUE, Claim(JobRecord(name, {}), fence))


@pytest.fixture
def bench() -> Bench:
    return Bench()


@pytest.mark.parametrize(
    ("word", "cause"),
    [
        (b"canceled", Cause.CANCELED),
        (b"stopped", Cause.STOPPED),
        (b"deleted", Cause.DELETED),
        (b"some-word-of-another-version", Cause.LOST),
    ],
)
def test_the_run_that_is_named_ends_for_the_reason_that_is_told(bench: Bench, word: bytes, cause: Cause) -> None:
    named, other = run_of("a"), run_of("b")
    bench.held = {other: None, named: None}
    bench.control.receive(word + b" aioq:{default}:job:a 1")
    assert bench.ended == [(named, cause)]


def test_another_run_of_the_same_job_goes_on(bench: Bench) -> None:
    bench.held = {run_of("a", fence=2): None}
    bench.control.receive(b"stopped aioq:{default}:job:a 1")
    assert bench.ended == []


def test_a_message_may_come_before_the_reply_of_the_claim(bench: Bench) -> None:
    bench.control.receive(b"stopped aioq:{default}:job:a 1")
    late, other = run_of("a"), run_of("b")
    bench.control.end_revoked([other, late])
    assert bench.ended == [(late, Cause.STOPPED)]
    bench.control.end_revoked([run_of("a")])
    assert len(bench.ended) == 1, "it is told once"


def test_only_so_many_such_messages_are_remembered(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "REMEMBERED_CLAIMS", 2)

    for name in (b"a", b"b", b"c"):
        bench.control.receive(b"stopped aioq:{default}:job:%s 1" % name)

    bench.control.end_revoked([run_of("a"), run_of("b"), run_of("c")])
    assert [run.id for run, _ in bench.ended] == ["b", "c"]


@pytest.mark.parametrize("message", [b"", b" ", b"stopped", b"stopped ", b"\xff\x00"])
def test_what_is_no_message_does_no_harm(bench: Bench, message: bytes) -> None:
    bench.held = {run_of("a"): None}
    bench.control.receive(message)
    bench.control.end_revoked([run_of("b")])
    assert bench.ended == []
