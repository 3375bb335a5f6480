"""Retry: how often, and after what pause, a job that raised is run again."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, TypeGuard

from aioq.values.durations import Duration, positive_ms, to_ms
from aioq.values.errors import AioqError, InvalidInput, RemoteError
from aioq.values.rq_names import RETRY, RETRY_ARGUMENTS, tell_rq_arguments, tell_rq_names

#: No pause between two attempts is longer than this, unless max_interval says otherwise: one day.
MAX_INTERVAL_MS = 86_400_000

#: How "full" jitter is stored.
FULL = -1.0

Interval = Duration | Iterable[Duration]
ExceptionTypes = type[BaseException] | Iterable[type[BaseException]] | None


@tell_rq_names(RETRY)
@dataclass(frozen=True, slots=True)
class Retry:
    """Run a job again after its function has raised, or has returned a Retry.

    Args:
        max: how many further attempts there may be after the first (at least 1).
        interval: the pause before each of them: one duration, or a list whose last entry repeats
            (default 0: at once).
        backoff: multiply the pause by this for every further attempt: `interval=1, backoff=2` waits
            1, 2, 4, 8 … seconds (default 1: no growth).
        jitter: draw each pause from the range ± this share of it, 0 to 1 (default 0). "full" draws from 0
            to the pause, which spreads a crowd best (AWS Architecture Blog, "Exponential Backoff And
            Jitter", 2015).
        max_interval: the longest pause (default one day).
        on: retry only these exceptions (and their subclasses); default all.
        not_on: never retry these. A Retry that a function returns holds whatever these say.
        at_front: put the job at the front of its queue when it is run again (default False).

    Raises:
        InvalidInput: a value is out of its range.

    Example:
        >>> Retry(3, interval=[10, 60]).interval_ms
        (10000, 60000)

    """

    max: int
    interval_ms: tuple[int, ...] = (0,)
    backoff: float = 1.0
    jitter: float = 0.0
    max_interval_ms: int = MAX_INTERVAL_MS
    on: tuple[str, ...] = ()
    not_on: tuple[str, ...] = ()
    at_front: bool = False

    @tell_rq_arguments(RETRY_ARGUMENTS)
    def __init__(
        self,
        max: int,  # noqa: A002 - RQ's name
        interval: Interval = 0,
        *,
        backoff: float = 1.0,
        jitter: float | str = 0.0,
        max_interval: Duration = MAX_INTERVAL_MS / 1000,
        on: ExceptionTypes = None,
        not_on: ExceptionTypes = None,
        at_front: bool = False,
    ) -> None:
        if isinstance(max, bool) or not isinstance(max, int) or max < 1:
            raise InvalidInput(f"Retry(max={max!r}): expected a whole number of at least 1")

        if not _is_number(backoff) or not 1 <= backoff <= 1e300:
            raise InvalidInput(f"Retry(backoff={backoff!r}): expected 1 (a steady pause) or more")

        if jitter != "full" and not (_is_number(jitter) and 0 <= jitter <= 1):
            raise InvalidInput(f'Retry(jitter={jitter!r}): expected a share from 0 to 1, or "full"')

        put = object.__setattr__
        put(self, "max", max)
        put(self, "interval_ms", _intervals(interval))
        put(self, "backoff", float(backoff))
        put(self, "jitter", FULL if jitter == "full" else float(jitter))
        put(self, "max_interval_ms", positive_ms(max_interval, "Retry(max_interval)"))
        put(self, "on", _names(on, "on"))
        put(self, "not_on", _names(not_on, "not_on"))
        put(self, "at_front", bool(at_front))

    def retries(self, error: BaseException) -> bool:
        """Whether this kind of exception is retried at all."""
        names = set(kinds(error))

        return not names.intersection(self.not_on) and (not self.on or bool(names.intersection(self.on)))

    def delay_ms(self, attempt: int, chance: float) -> int:
        """The pause before the next attempt, in ms.

        Args:
            attempt: the attempt that has just failed; the first is 1.
            chance: a random number from 0 to 1, for the jitter.

        """
        steady = self.interval_ms[min(attempt, len(self.interval_ms)) - 1]
        grown = min(self._grown(steady, attempt - 1), self.max_interval_ms)

        if self.jitter == FULL:
            return round(grown * chance)

        return min(round(grown * (1 + self.jitter * (2 * chance - 1))), self.max_interval_ms)

    def _grown(self, steady: int, times: int) -> float:
        try:
            return steady * self.backoff**times if steady else 0
        except OverflowError:  # 2.0 ** 5000: far beyond any longest pause
            return math.inf

    def to_dict(self) -> dict[str, Any]:
        """The policy as plain values, without what is default."""
        values = {name: getattr(self, name) for name in self.__slots__}
        bare = {name: value for name, value in values.items() if value != _DEFAULTS.get(name)}

        return {name: list(value) if isinstance(value, tuple) else value for name, value in bare.items()}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Retry:
        """The policy that `to_dict` wrote."""
        retry = cls(values["max"])

        for name in cls.__slots__:
            if name in values:
                value = values[name]
                object.__setattr__(retry, name, tuple(value) if isinstance(value, list) else value)

        return retry


class RetryRequested(AioqError):
    """The function has returned a Retry: it asks to be run again.

    Args:
        retry: what it returned.
        attempt: the number of the run.

    """

    def __init__(self, retry: Retry, attempt: int) -> None:
        left = "" if attempt <= retry.max else ", and no attempt is left"
        super().__init__(f"the function returned Retry({retry.max}) in attempt {attempt} of {retry.max + 1}{left}")
        self.retry = retry


def read_retry(packed: bytes) -> Retry:
    """What `to_dict` wrote, from JSON, and checked anew.

    Raises:
        ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError: it is no policy.

    """
    values = json.loads(packed)
    jitter = values.get("jitter", 0.0)

    return Retry(
        values["max"],
        [ms / 1000 for ms in values.get("interval_ms", (0,))],
        backoff=values.get("backoff", 1.0),
        jitter="full" if jitter == FULL else jitter,
        max_interval=values.get("max_interval_ms", MAX_INTERVAL_MS) / 1000,
        at_front=values.get("at_front", False),
    )


def kinds(error: BaseException) -> list[str]:
    """The names of all classes that an error belongs to, its own first."""
    return error.kinds if isinstance(error, RemoteError) else [_name(kind) for kind in type(error).__mro__]


def as_retry(value: Retry | int, _: str = "retry") -> Retry:
    """A Retry from what the `retry` option takes: a Retry, or just its max."""
    return value if isinstance(value, Retry) else Retry(value)


def is_rule(stored: Any) -> bool:
    """Whether a stored value is what `to_dict` wrote.

    Raises:
        ValueError, TypeError, LookupError, AttributeError, ArithmeticError: it is not.

    """
    return Retry.from_dict(stored).delay_ms(1, 1) >= 0


def shown_rule(stored: Any) -> Any:
    """What `to_dict` wrote, as users write it."""
    return stored | {"jitter": "full"} if isinstance(stored, dict) and stored.get("jitter") == FULL else stored


def _intervals(interval: Interval) -> tuple[int, ...]:
    is_list = isinstance(interval, Iterable) and not isinstance(interval, str | bytes)
    given: list[Any] = list(interval) if is_list else [interval]  # type: ignore[arg-type]

    if not given:
        raise InvalidInput("Retry(interval=[]): expected at least one duration; 0 retries at once")

    spans = tuple(to_ms(each, "Retry(interval)") for each in given)

    if min(spans) < 0:
        raise InvalidInput(f"Retry(interval={interval!r}): expected durations of 0 or more")

    return spans


def _names(kinds: ExceptionTypes, name: str) -> tuple[str, ...]:
    if kinds is None:
        return ()

    is_list = isinstance(kinds, Iterable) and not isinstance(kinds, type | str | bytes)
    listed: list[object] = list(kinds) if is_list else [kinds]  # type: ignore[arg-type]

    names = []

    for kind in listed:
        if not (isinstance(kind, type) and issubclass(kind, BaseException)):
            raise InvalidInput(f"Retry({name}={kind!r}): expected exception classes, such as {name}=ValueError")

        names.append(_name(kind))

    return tuple(names)


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _name(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


_DEFAULTS = {
    "interval_ms": (0,),
    "backoff": 1.0,
    "jitter": 0.0,
    "max_interval_ms": MAX_INTERVAL_MS,
    "on": (),
    "not_on": (),
    "at_front": False,
}
