"""Repeat: how often, and when, a job whose run is over runs again."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from aioq.values.cron import DEFAULT_ZONE, check_cron, next_moment_ms
from aioq.values.durations import Duration, is_duration, pause_ms
from aioq.values.errors import InvalidInput, InvalidType
from aioq.values.moments import moment_ms, moment_of
from aioq.values.numbers import whole
from aioq.values.option import Flag, Option, Packed, Shown
from aioq.values.rq_names import REPEAT, tell_rq_names

Interval = Duration | Iterable[Duration]

#: What a run that has failed means to its series.
OnFailure = Literal["stop", "continue"]
_STOP: OnFailure = "stop"
_ON_FAILURE = (_STOP, "continue")

#: What the packed options of a job that repeats have, and those of no other job.
MARK = b'"repeat":{'


@tell_rq_names(REPEAT)
@dataclass(frozen=True, slots=True)
class Repeat:
    """Run a job again after it has run: a series of runs of one job, under one id.

    A series ends after `times` further runs, with the last run before `until`, or with a run that fails.

    Args:
        times: how many further runs there are after the first (at least 1; default: as many as there is time for
            before `until`).
        interval: the pause between the end of a run and the next one: one duration in seconds, or a list whose
            last entry repeats (default 0: at once).
        until: no run is due later than this. A datetime without a time zone is one of this machine's.
        cron: in place of an interval: an expression with five fields, such as "0 3 * * *" (each day at three), or
            a word such as "@hourly". Moments that pass during a run are left out. Needs the package cronsim:
            `pip install "cronsim>=2.7"`.
        timezone: the time zone of the expression, by name: "Europe/Berlin" (default "UTC").
        on_failure: what follows from a run that has failed, after all attempts that the job's `retry` gives it:
            "stop" ends the series, and the job is failed (default); "continue" goes on with it.

    Raises:
        InvalidInput: a value is out of its range, a series would have no end, the expression or the time zone
            cannot be used, or cronsim is not installed.

    Example:
        >>> Repeat(times=3, interval=[10, 60]).interval_ms
        (10000, 60000)

    """

    times: int | None
    interval_ms: tuple[int, ...] = (0,)
    until_ms: int | None = None
    cron: str = ""
    timezone: str = DEFAULT_ZONE
    on_failure: OnFailure = _STOP

    def __init__(
        self,
        times: int | None = None,
        interval: Interval = 0,
        *,
        until: datetime | None = None,
        cron: str | None = None,
        timezone: str | None = None,
        on_failure: OnFailure = _STOP,
    ) -> None:
        if times is not None and (isinstance(times, bool) or not isinstance(times, int) or times < 1):
            raise InvalidInput(f"Repeat(times={times!r}): expected a whole number of at least 1")

        if times is None and until is None:
            raise InvalidInput("Repeat(): expected times= or until=, since a series has an end")

        pauses = _pauses(interval)

        if cron is None and times is None and pauses == (0,):
            raise InvalidInput("Repeat(until=…): expected interval= or cron=, which tell when the job runs again")

        if cron is not None and pauses != (0,):
            raise InvalidInput(f"Repeat(cron={cron!r}, interval={interval!r}): expected one of the two")

        if timezone is not None and cron is None:
            raise InvalidInput(
                f"Repeat(timezone={timezone!r}): expected cron= beside it; an interval has no time zone"
            )

        if on_failure not in _ON_FAILURE:
            raise InvalidInput(
                f"Repeat(on_failure={on_failure!r}): expected one of {', '.join(map(repr, _ON_FAILURE))}"
            )

        zone = DEFAULT_ZONE if timezone is None else timezone

        if cron is not None:
            check_cron(cron, zone, "Repeat")

        put = object.__setattr__
        put(self, "times", times)
        put(self, "interval_ms", pauses)
        put(self, "until_ms", None if until is None else moment_ms(until, "Repeat(until)"))
        put(self, "cron", cron or "")
        put(self, "timezone", zone)
        put(self, "on_failure", on_failure)

    def due_ms(self, repeats: int, now_ms: int, last_due_ms: int = 0) -> int | None:
        """When the next run is due, in ms since 1970; None: the series is over.

        Args:
            repeats: how many runs of the series there were before the one that has ended.
            now_ms: the moment of that run's end.
            last_due_ms: the moment for which that run waited. A clock may have gone back since; a moment of the
                expression comes once.

        Raises:
            InvalidInput: the expression cannot be used here.

        """
        if self.times is not None and repeats >= self.times:
            return None

        if self.cron:
            due_ms = next_moment_ms(self.cron, self.timezone, max(now_ms, last_due_ms))
        else:
            due_ms = now_ms + self.interval_ms[min(repeats, len(self.interval_ms) - 1)]

        return None if due_ms is None or (self.until_ms is not None and due_ms > self.until_ms) else due_ms

    def check(self) -> None:
        """Refuse an expression that cannot be used here. Raises InvalidInput."""
        if self.cron:
            check_cron(self.cron, self.timezone, "Repeat")

    def to_dict(self) -> dict[str, Any]:
        """The rule as plain values, without what is default."""
        values = {name: getattr(self, name) for name in self.__slots__}

        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in values.items()
            if value is not None and value != _DEFAULTS.get(name)
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Repeat:
        """The rule that `to_dict` wrote."""
        rule = object.__new__(cls)

        for name in cls.__slots__:
            value = values.get(name, _DEFAULTS.get(name))
            object.__setattr__(rule, name, tuple(value) if isinstance(value, list) else value)

        return rule


def as_repeat(value: object, name: str) -> Repeat:
    """What the `repeat` option takes. Raises InvalidType."""
    if not isinstance(value, Repeat):
        raise InvalidType(f"{name}={value!r}: expected a Repeat, such as Repeat(times=3, interval=60)")

    return value


def is_series(stored: Any) -> bool:
    """Whether a stored value is what `to_dict` wrote.

    Raises:
        ValueError, TypeError, LookupError, AttributeError, ArithmeticError: it is not.

    """
    rule = Repeat.from_dict(stored)
    numbers = (rule.times, rule.until_ms)

    return (
        all(number is None or type(number) is int for number in numbers)
        and numbers != (None, None)
        and len(rule.interval_ms) > 0
        and all(is_duration(ms) and ms >= 0 for ms in rule.interval_ms)
        and isinstance(rule.cron, str)
        and isinstance(rule.timezone, str)
        and rule.on_failure in _ON_FAILURE
    )


def shown_series(stored: Any) -> Any:
    """What `to_dict` wrote, as users write it."""
    if not isinstance(stored, dict) or type(stored.get("until_ms")) is not int:
        return stored

    until = moment_of(str(stored["until_ms"])).isoformat()

    return {name: value for name, value in stored.items() if name != "until_ms"} | {"until": until}


#: The row of the option; see `values/options.py`.
REPEAT_OPTION = Option(
    "repeat",
    as_repeat,
    "repeat",
    Packed("repeat", is_series, Repeat.to_dict),
    Shown("repeat", shown_series, "repeat"),
    (
        Flag("repeat", "N", "Further runs after the first; each after one that has finished.", whole, int),
        Flag(
            "repeat_interval",
            "DURATION",
            "The pause before a further run; again for the next ones. The last repeats.",
            pause_ms,
            list,
        ),
        Flag("repeat_cron", "EXPRESSION", 'When it runs again, such as "0 3 * * *".'),
        Flag("repeat_timezone", "ZONE", "Of --repeat-cron, such as Europe/Berlin (default UTC)."),
        Flag("repeat_until", "TIME", "No further run after this time, such as 2030-01-31T18:00."),
        Flag("repeat_on_failure", "WHAT", "After a run that has failed: stop (default) or continue."),
    ),
)


def _pauses(interval: Interval) -> tuple[int, ...]:
    is_list = isinstance(interval, Iterable) and not isinstance(interval, str | bytes)
    given: list[Any] = list(interval) if is_list else [interval]  # type: ignore[arg-type]

    if not given:
        raise InvalidInput("Repeat(interval=[]): expected at least one duration; 0 runs it again at once")

    return tuple(pause_ms(each, "Repeat(interval)") for each in given)


_DEFAULTS: dict[str, Any] = {
    "interval_ms": (0,),
    "cron": "",
    "timezone": DEFAULT_ZONE,
    "on_failure": _STOP,
}
