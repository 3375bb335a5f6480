"""Frames: what a worker and a process of its jobs send each other. A frame is parts, and parts are bytes.

Nobody runs or unpickles anything that a frame holds to read it, so neither side has to trust the other.
"""

from __future__ import annotations

import struct

_SIZE = struct.Struct(">Q")


def pack_frame(*parts: bytes) -> bytes:
    """The parts as one frame: its length, the number of parts, the length of each, and the parts."""
    head = struct.pack(f">{len(parts) + 1}Q", len(parts), *map(len, parts))
    body = b"".join(parts)

    return _SIZE.pack(len(head) + len(body)) + head + body


def next_frame(buffer: bytearray) -> list[bytes] | None:
    """The first frame of a buffer, which is removed from it; None if it has not arrived in full.

    Raises:
        ValueError: the bytes are no frame.

    """
    if len(buffer) < _SIZE.size:
        return None

    (length,) = _SIZE.unpack_from(buffer)

    if len(buffer) < _SIZE.size + length:
        return None

    frame = bytes(buffer[_SIZE.size : _SIZE.size + length])
    del buffer[: _SIZE.size + length]

    return _parts(frame)


def _parts(frame: bytes) -> list[bytes]:
    try:
        (count,) = _SIZE.unpack_from(frame)
        sizes = struct.unpack_from(f">{count}Q", frame, _SIZE.size)
    except (struct.error, MemoryError, OverflowError):
        raise ValueError("it is no frame") from None

    at = _SIZE.size * (count + 1)

    if at + sum(sizes) != len(frame):
        raise ValueError("the lengths in a frame are wrong")

    parts = []

    for size in sizes:
        parts.append(frame[at : at + size])
        at += size

    return parts
