"""The row of the option `retry`; see `values/options.py`."""

from __future__ import annotations

from aioq.values.durations import pause_ms, positive_ms
from aioq.values.numbers import whole
from aioq.values.option import Flag, Option, Packed, Shown
from aioq.values.retry import Retry, as_retry, is_rule, shown_rule

RETRY_OPTION = Option(
    "retry",
    as_retry,
    "retry",
    Packed("retry", is_rule, Retry.to_dict),
    Shown("retry", shown_rule, "retry"),
    (
        Flag("retry_max", "N", "Further attempts after a failure; without it, none.", whole, int),
        Flag(
            "retry_interval",
            "DURATION",
            "The pause before an attempt; again for the next ones. The last repeats.",
            pause_ms,
            list,
        ),
        Flag(
            "retry_within",
            "DURATION",
            "No attempt begins later than that after the first one has begun.",
            positive_ms,
        ),
    ),
)
