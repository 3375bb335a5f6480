"""What is stored of a pause, and what is read of whatever is stored."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aioq.errors import InvalidInput, InvalidType
from aioq.values.pause import BARE, Pause, pack_pause, read_pause


def test_a_pause_of_which_nothing_is_known_is_stored_as_before() -> None:
    assert pack_pause(None, None) == BARE
    assert read_pause(b"1", -1, everywhere=True) == Pause(True)
    assert read_pause(None, -2, everywhere=False) is None


line = st.text(alphabet=st.characters(categories=("L", "N", "P")), min_size=1, max_size=100)


@given(st.none() | line, st.none() | line, st.integers(-1, 10**12))
def test_what_was_packed_is_read(reason: str | None, by: str | None, left_ms: int) -> None:
    found = read_pause(pack_pause(reason, by).encode(), left_ms, everywhere=False)
    assert found == Pause(False, reason, by, None if left_ms < 0 else left_ms)


@given(
    st.binary(max_size=50) | st.sampled_from([b'{"reason": 3}', b'{"by": "a\\u001b[2Jb"}', b"[" * 9_999, b"[]"])
)
def test_whatever_is_stored_is_a_pause_that_can_be_shown(stored: bytes) -> None:
    found = read_pause(stored, 5, everywhere=True)
    assert found is not None
    assert found.told().isprintable()


@pytest.mark.parametrize("value", ["", " ", "a\nb", "\x1b[2J", "x" * 501])
def test_what_is_no_short_line_is_refused(value: str) -> None:
    with pytest.raises(InvalidInput, match=r"^reason=.*expected one line of 1 to 500 characters"):
        pack_pause(value, None)


def test_another_type_is_refused() -> None:
    with pytest.raises(InvalidType, match=r"^by=7: expected a text, not int"):
        pack_pause(None, 7)  # type: ignore[arg-type]
