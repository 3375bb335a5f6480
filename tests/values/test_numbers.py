from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aioq.values.errors import InvalidInput
from aioq.values.numbers import LARGEST, whole


@given(st.integers())
def test_a_whole_number_is_taken_as_it_is_or_refused(value: int) -> None:
    if 0 <= value <= LARGEST:
        assert whole(value, "limit") == value
    else:
        with pytest.raises(InvalidInput, match=r"limit=.*expected a whole number of at least 0"):
            whole(value, "limit")


@pytest.mark.parametrize("value", [1.0, float("nan"), "1", None, True, b"1"])
def test_what_is_no_whole_number_is_refused(value: Any) -> None:
    with pytest.raises(InvalidInput, match=r"limit=.*expected a whole number, not"):
        whole(value, "limit")


def test_the_least_one_can_be_chosen() -> None:
    assert whole(1, "concurrency", 1) == 1

    with pytest.raises(InvalidInput, match="at least 1"):
        whole(0, "concurrency", 1)
