"""RetryBudget: how many retries a queue takes, so that many failures do not become a storm of retries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from aioq.values.durations import Duration, positive_ms
from aioq.values.moments import moment_of
from aioq.values.numbers import whole

#: The fields of a budget as it is stored, in the order in which `read_budget` takes them.
FIELDS = (b"limit", b"per", b"at_once", b"spent_until")


@dataclass(frozen=True, slots=True)
class RetryBudget:
    """How many retries a queue takes.

    Args:
        limit: how many in the time `per`.
        per: that time, in seconds.
        at_once: how many at once, when none came for a while.
        next_at: when the next retry may begin its pause, by the server's clock. A moment in the past says that
            none is held back; None that no retry has come since the budget was set.

    """

    limit: int
    per: float
    at_once: int
    next_at: datetime | None = None


def check_budget(limit: int, per: Duration, at_once: int | None) -> dict[bytes, int]:
    """A budget as it is stored, with all tokens there.

    Raises:
        InvalidInput: a value is out of its range.

    """
    number = whole(limit, "limit", 1)

    return {
        b"limit": number,
        b"per": positive_ms(per, "per"),
        b"at_once": number if at_once is None else whole(at_once, "at_once", 1),
        b"spent_until": 0,
    }


def read_budget(values: Sequence[bytes | None]) -> RetryBudget | None:
    """A budget from the values of its FIELDS; None: there is none, or one that no script can read."""
    try:
        limit, per_ms, at_once = (int(value or b"0") for value in values[:3])
        spent_ms = float(values[3] or b"0")

        if min(limit, per_ms, at_once) < 1:
            return None

        next_ms = spent_ms - (at_once - 1) * per_ms / limit

        return RetryBudget(limit, per_ms / 1000, at_once, moment_of(b"%d" % next_ms) if spent_ms else None)
    except (ValueError, OverflowError, OSError):
        return None
