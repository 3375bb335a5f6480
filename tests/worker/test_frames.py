"""Frames: what goes in comes out, however it is cut on the way, and junk is told from a frame."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aioq.worker.frames import next_frame, pack_frame

PARTS = st.lists(st.binary(max_size=40), max_size=6)


@given(st.lists(PARTS, max_size=4), st.integers(1, 30))
def test_frames_come_out_as_they_went_in(frames: list[list[bytes]], step: int) -> None:
    data = b"".join(pack_frame(*parts) for parts in frames)
    buffer, found = bytearray(), []

    for start in range(0, len(data), step):
        buffer += data[start : start + step]

        while (parts := next_frame(buffer)) is not None:
            found.append(parts)

    assert found == frames
    assert not buffer


@given(st.binary(max_size=200))
def test_junk_is_a_frame_or_incomplete_or_refused(junk: bytes) -> None:
    buffer = bytearray(junk)

    try:
        assert next_frame(buffer) is None or len(buffer) < len(junk)
    except ValueError:
        pass


@pytest.mark.parametrize(
    "body", [b"", b"short", b"\xff" * 8, b"\xff" * 16, b"\0" * 7 + b"\1" + b"\0" * 7 + b"\2a"]
)
def test_lengths_that_do_not_fit_are_refused(body: bytes) -> None:
    with pytest.raises(ValueError, match="frame"):
        next_frame(bytearray(len(body).to_bytes(8, "big") + body))
