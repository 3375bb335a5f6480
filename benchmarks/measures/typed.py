"""Typed: what a struct of five fields costs with the serializer "typed", more than a dict of texts in pickle."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

from aioq.client.call import describe
from aioq.values.options import NO_OPTIONS
from aioq.values.record import JobRecord
from aioq.values.serializer import PICKLE, TYPED, Serializer
from benchmarks.bench import Bench, Outcome
from benchmarks.machine import on_core

#: Calls and results of each repetition.
COUNT = 20_000


def measure(bench: Bench) -> Iterator[Outcome]:
    for turn in range(bench.plan.repeat):
        bench.step(f"aioq, {turn + 1} of {bench.plan.repeat}")

        with on_core(bench.core):
            yield Outcome("aioq", figures())


def figures() -> dict[str, float]:
    """Microseconds of CPU for each job: its argument at both ends, and its result at both."""
    from benchmarks.structs import TEXTS, VALUE, echo  # noqa: PLC0415 - it needs msgspec

    typed, plain = _costs(TYPED, echo, VALUE), _costs(PICKLE, echo, TEXTS)

    return {"typed.call": typed[0] - plain[0], "typed.result": typed[1] - plain[1]}


def _costs(serializer: Serializer, func: Callable[..., Any], value: object) -> tuple[float, float]:
    call = describe(func, (value,), {}, NO_OPTIONS, serializer)
    record = JobRecord("a", call.fields | {b"status": b"finished"})
    record.fields[b"result"] = record.pack_result(value)
    assert record.call()[1] == (value,)
    assert record.result() == value

    def both_ends_of_a_call() -> None:
        made = describe(func, (value,), {}, NO_OPTIONS, serializer)
        JobRecord("a", made.fields).call()

    def both_ends_of_a_result() -> None:
        record.pack_result(value)
        record.result()

    return _time(both_ends_of_a_call), _time(both_ends_of_a_result)


def _time(work: Callable[[], None]) -> float:
    """The median of ten parts, in microseconds for each."""
    parts = []

    for _ in range(10):
        began = time.process_time()

        for _ in range(COUNT // 10):
            work()

        parts.append((time.process_time() - began) / (COUNT // 10))

    return statistics.median(parts) * 1e6
