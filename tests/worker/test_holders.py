"""Whether another worker that holds jobs may be dead."""

from __future__ import annotations

import pytest

from aioq.worker.holders import Holders


def test_who_holds_no_job_is_in_no_doubt() -> None:
    holders = Holders()
    holders.note({})
    assert not holders.are_in_doubt


def test_a_lease_that_has_been_renewed_is_a_sign_of_life() -> None:
    holders = Holders()
    holders.note({b"w1": 1000})
    assert holders.are_in_doubt
    holders.note({b"w1": 1000, b"w2": 5000})
    assert holders.are_in_doubt
    holders.note({b"w1": 2000, b"w2": 5000})
    assert holders.are_in_doubt  # of w2, which has come since
    holders.note({b"w1": 2000, b"w2": 6000})
    assert not holders.are_in_doubt


def test_the_lease_of_one_that_was_set_back_is_no_sign_of_life() -> None:
    holders = Holders()
    holders.note({b"w1": 900_000})
    holders.note({b"w1": 5_000})
    assert holders.are_in_doubt
    holders.note({b"w1": 7_000})
    assert not holders.are_in_doubt


def test_they_are_waited_for_only_so_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aioq.worker.holders.HOLDERS_WAIT_S", 0.0)
    holders = Holders()
    holders.note({b"w1": 1000})
    assert not holders.are_in_doubt
