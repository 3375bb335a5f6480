"""FailureGroup: the failed jobs with one fingerprint, as they were at one moment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from aioq.values.errors import InvalidInput
from aioq.values.failure import unpack_failure
from aioq.values.fingerprint import LENGTH, OTHER
from aioq.values.moments import moment_of


@dataclass(frozen=True, slots=True)
class FailureGroup:
    """The failed jobs of a queue that have one fingerprint.

    Args:
        fingerprint: what they have in common: 12 hexadecimal digits. "other" stands for all jobs beyond the 1000
            fingerprints that a queue keeps.
        count: how many of them are in the registry of failed jobs now.
        function: the dotted name of their function; "" of "other".
        error_type: the dotted name of the exception's class; None if it is not known.
        error_message: the first line of the message of the first one.
        first_seen: when the first of them ended, by the server's clock.
        last_seen: when the last one did.
        last_job_id: the id of that one.
        worker: the name of the worker that ran it; "" if none did.
        is_muted: whether somebody has muted it.
        muted_until: until when; None: it is not muted, or until somebody unmutes it.
        muted_by: who has muted it; "" if nobody has said.

    """

    fingerprint: str
    count: int
    function: str
    error_type: str | None
    error_message: str
    first_seen: datetime | None
    last_seen: datetime | None
    last_job_id: str
    worker: str
    is_muted: bool = False
    muted_until: datetime | None = None
    muted_by: str = ""


def read_group(name: str, count: int, fields: Mapping[bytes, bytes], clock_ms: int) -> FailureGroup:
    """A group as it is stored. What cannot be read of it is left out."""
    failure = unpack_failure(_text(fields, b"error") + "\n")
    until = _text(fields, b"muted_until")
    is_for_ever = until == "-1"
    is_muted = is_for_ever or (until.isdigit() and int(until) > clock_ms)

    return FailureGroup(
        name,
        count,
        _text(fields, b"func"),
        failure.type,
        failure.message if failure.type is not None else "",
        _moment(_text(fields, b"first_at")),
        _moment(_text(fields, b"last_at")),
        _text(fields, b"last_id"),
        _text(fields, b"worker"),
        is_muted,
        _moment(until) if is_muted and not is_for_ever else None,
        _text(fields, b"muted_by") if is_muted else "",
    )


def check_fingerprint(value: object, name: str = "fingerprint") -> str:
    """A fingerprint as users give it.

    Raises:
        InvalidInput: it is none.

    Example:
        >>> check_fingerprint("3f0c9a51b2de")
        '3f0c9a51b2de'

    """
    if isinstance(value, FailureGroup):
        return value.fingerprint

    if value == OTHER or (
        isinstance(value, str) and len(value) == LENGTH and set(value) <= set("0123456789abcdef")
    ):
        return str(value)

    raise InvalidInput(
        f'{name}={value!r}: expected {LENGTH} hexadecimal digits, as `aioq failures` shows them, or "{OTHER}"'
    )


def _moment(ms: str) -> datetime | None:
    try:
        return moment_of(ms)
    except (ValueError, OverflowError, OSError):
        return None


def _text(fields: Mapping[bytes, bytes], name: bytes) -> str:
    return fields.get(name, b"").decode(errors="replace")
