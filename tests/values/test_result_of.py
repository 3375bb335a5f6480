"""ResultOf: what stands for the result of another job among the arguments."""

from __future__ import annotations

import pickle

import pytest

from aioq.errors import InvalidInput
from aioq.values.calltext import call_text
from aioq.values.errors import InvalidType
from aioq.values.options import JobOptions
from aioq.values.record import JobRecord
from aioq.values.result_of import MARK, ResultOf, check_results, find_results, put_at


def record(results: list[list[object]]) -> JobRecord:
    packed = JobOptions(results=results).packed()
    assert MARK in packed

    return JobRecord(
        "a", {b"func": b"m.f", b"data": b"p" + pickle.dumps((None, (None, 2), {"x": None})), b"opts": packed}
    )


def test_it_is_known_by_the_id_of_the_job() -> None:
    assert ResultOf("a") == ResultOf("a") != ResultOf("b")
    assert len({ResultOf("a"), ResultOf("a"), ResultOf("b")}) == 2
    assert repr(ResultOf("a")) == "ResultOf('a')"


@pytest.mark.parametrize(("given", "error"), [(None, InvalidType), (7, InvalidType), ("a b", InvalidInput)])
def test_what_is_no_job_is_refused(given: object, error: type[Exception]) -> None:
    with pytest.raises(error, match="ResultOf"):
        ResultOf(given)  # type: ignore[arg-type]


def test_places_are_found_and_filled() -> None:
    args, kwargs = (1, ResultOf("a"), [ResultOf("b")]), {"x": ResultOf("c"), "0": 2}
    assert find_results(args, kwargs) == [(1, "a"), ("x", "c")]
    assert put_at({1: "A", "x": "C", 9: "away", "y": "away"}, args, kwargs) == (
        (1, "A", args[2]),
        {"x": "C", "0": 2},
    )


def test_a_job_that_is_no_parent_is_refused_by_its_place() -> None:
    check_results([(0, "a")], {"a"})

    with pytest.raises(InvalidInput, match=r"argument 1 is ResultOf\('a'\), .* name it in depends_on, too"):
        check_results([(0, "a")], {"b"})


def test_a_record_shows_it_in_its_place() -> None:
    taker = record([[0, "before"], ["x", "other"]])
    assert taker.call() == (None, (ResultOf("before"), 2), {"x": ResultOf("other")})
    assert call_text(taker) == "m.f(<result of before>, 2, x=<result of other>)"
