from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from aioq.values.errors import InvalidInput
from aioq.values.retry_budget import RetryBudget, check_budget, read_budget


def test_a_budget_is_read_as_it_is_stored() -> None:
    values = [b"%d" % each for each in check_budget(100, "1m", 20).values()]

    assert read_budget(values) == RetryBudget(100, 60.0, 20)
    assert check_budget(5, 1, None)[b"at_once"] == 5


def test_it_says_when_the_next_retry_gets_a_token() -> None:
    # All tokens are back at 10 s, one comes each second, and the at_once of 4 leaves room for three more.
    found = read_budget([b"1", b"1000", b"4", b"10000.000"])

    assert found is not None
    assert found.next_at == datetime.fromtimestamp(7, UTC)


@pytest.mark.parametrize(
    ("values", "name"),
    [
        ((0, 1, None), "limit"),
        ((True, 1, None), "limit"),
        ((1.5, 1, None), "limit"),
        ((1, 0, None), "per"),
        ((1, "soon", None), "per"),
        ((1, 1, 0), "at_once"),
        ((1, 1, "2"), "at_once"),
    ],
)
def test_a_value_out_of_its_range_is_refused_by_name(values: tuple[Any, Any, Any], name: str) -> None:
    with pytest.raises(InvalidInput, match=name):
        check_budget(*values)


@pytest.mark.parametrize(
    "values",
    [
        [None, None, None, None],
        [b"junk", b"1", b"1", None],
        [b"0", b"1", b"1", None],
        [b"1", b"1", b"-1", b"5"],
        [b"1", b"1", b"1", b"nan"],
        [b"1", b"1", b"1", b"1e300"],
        [b"1", b"1", b"\xff", b"5"],
    ],
)
def test_what_is_none_or_damaged_is_no_budget(values: list[bytes | None]) -> None:
    assert read_budget(values) is None
