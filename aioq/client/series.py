"""A job that repeats, when it is enqueued."""

from __future__ import annotations

import time

from aioq.values.errors import InvalidInput
from aioq.values.moments import moment_of
from aioq.values.repeat import Repeat


def check_until(repeat: Repeat) -> None:
    """Refuse a series whose end has passed, by the clock of this machine. Raises InvalidInput."""
    if repeat.until_ms is not None and repeat.until_ms <= 1000 * time.time():
        until = moment_of(str(repeat.until_ms)).isoformat()

        raise InvalidInput(f"Repeat(until=…): {until} has passed; expected a moment that is still to come")
