"""Numbers in words for a terminal: durations, times with their age, and the rule of a retry."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from aioq.cli.output import age, count
from aioq.values.cron import DEFAULT_ZONE
from aioq.values.durations import FOREVER
from aioq.values.retry import MAX_INTERVAL_MS

_UNITS = (("year", 31_536_000), ("day", 86_400), ("hour", 3_600), ("minute", 60))


def duration(seconds: float) -> str:
    """A duration with at most two units.

    Example:
        >>> duration(500), duration(31_536_000), duration(0.25)
        ('8 minutes 20 seconds', '1 year', '0.25 seconds')

    """
    parts: list[str] = []
    left = seconds

    for unit, size in _UNITS:
        number, left = divmod(left, size)

        if number:
            parts.append(count(int(number), unit))

    if left or not parts:
        parts.append("1 second" if left == 1 else f"{left:.6g} seconds")

    return " ".join(parts[:2])


def limit(seconds: float) -> str:
    """How long something may take."""
    return "no limit" if seconds == FOREVER else duration(seconds)


def retention(seconds: float) -> str:
    """How long something is kept."""
    return "for ever" if seconds == FOREVER else duration(seconds) if seconds else "not kept"


def when(moment: str) -> str:
    """A time in JSON's form, shown with its age in the time zone of this machine."""
    found = datetime.fromisoformat(moment)

    return f"{age(found)}, {found.astimezone():%Y-%m-%d %H:%M:%S}"


def retry(rule: Mapping[str, Any]) -> str:
    """The rule of a retry.

    Example:
        >>> retry({"max": 6, "interval_ms": [200], "backoff": 2.0, "jitter": "full"})
        '6 more attempts, 0.2 s × 2, full jitter'
        >>> retry({"interval_ms": [30000], "within_ms": 3600000})
        'any number of attempts, 30 s, within 1 hour'

    """  # noqa: RUF002 - the sign of a product
    pauses = [f"{ms / 1000:g} s" for ms in rule.get("interval_ms", [0])]
    growth = f" × {rule['backoff']:g}" if "backoff" in rule else ""  # noqa: RUF001 - the sign of a product
    parts = [
        count(rule["max"], "more attempt") if "max" in rule else "any number of attempts",
        "at once" if pauses == ["0 s"] else ", then ".join(pauses) + growth,
    ]

    if (jitter := rule.get("jitter")) and pauses != ["0 s"]:
        parts.append("full jitter" if jitter == "full" else f"± {100 * jitter:g} %")

    if (longest := rule.get("max_interval_ms", MAX_INTERVAL_MS)) != MAX_INTERVAL_MS:
        parts.append(f"at most {duration(longest / 1000)}")

    if within := rule.get("within_ms"):
        parts.append(f"within {duration(within / 1000)}")

    for name, words in (("on", "only for"), ("not_on", "not for")):
        if kinds := rule.get(name):
            parts.append(f"{words} {' or '.join(kinds)}")

    return ", ".join([*parts, *(["at the front"] if rule.get("at_front") else [])])


def repeat(rule: Mapping[str, Any]) -> str:
    """The rule of a series.

    Example:
        >>> repeat({"times": 3, "interval_ms": [10_000, 60_000], "on_failure": "continue"})
        '3 more runs, after 10 s, then 60 s, whether they fail or not'

    """
    parts = [count(rule["times"], "more run")] if "times" in rule else ["more runs"]

    if cron := rule.get("cron"):
        parts.append(f"at {cron} in {rule.get('timezone', DEFAULT_ZONE)}")
    elif (pauses := rule.get("interval_ms", [0])) != [0]:
        parts.append(f"after {', then '.join(f'{ms / 1000:g} s' for ms in pauses)}")
    else:
        parts.append("at once")

    if until := rule.get("until"):
        parts.append(f"until {datetime.fromisoformat(until).astimezone():%Y-%m-%d %H:%M:%S}")

    return ", ".join([*parts, *(["whether they fail or not"] if "on_failure" in rule else [])])
