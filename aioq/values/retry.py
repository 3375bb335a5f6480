"""Retry: how often, after what pause and until when a job that raised is run again."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import FrozenInstanceError, dataclass
from typing import Any, TypeGuard

from aioq.values.durations import Duration, positive_ms, to_ms
from aioq.values.errors import InvalidInput, RemoteError
from aioq.values.rq_names import RETRY, tell_rq_names

#: No pause between two attempts is longer than this, unless max_interval says otherwise: one day.
MAX_INTERVAL_MS = 86_400_000

#: How "full" jitter is stored.
FULL = -1.0

Interval = Duration | Iterable[Duration]
ExceptionTypes = type[BaseException] | Iterable[type[BaseException]] | None


@tell_rq_names(RETRY)
@dataclass(slots=True, unsafe_hash=True)
class Retry(Exception):
    """Run a job again after its function has raised, or has asked for that: it may return or raise a Retry.

    As the option `retry` of a job it needs max or within, or both. One that a function returns or raises decides
    about the pause and the place in the queue. If it leaves out max or within, that of the job's own retry holds.

    Args:
        max: how many further attempts there may be after the first (at least 1; default None: any number).
        interval: the pause before each of them: one duration, or a list whose last entry repeats
            (default 0: at once).
        backoff: multiply the pause by this for every further attempt: `interval=1, backoff=2` waits
            1, 2, 4, 8 … seconds (default 1: no growth).
        jitter: draw each pause from the range ± this share of it, 0 to 1 (default 0). "full" draws from 0
            to the pause, which spreads a crowd best (AWS Architecture Blog, "Exponential Backoff And
            Jitter", 2015).
        max_interval: the longest pause (default one day).
        within: the deadline of all attempts: none begins later than this duration after the first one has begun
            (default None: no deadline).
        on: retry only these exceptions (and their subclasses); default all. An ExceptionGroup is one of them if
            all exceptions in it are.
        not_on: never retry these. An ExceptionGroup is one of them if any exception in it is. A Retry that a
            function returns or raises holds whatever on and not_on say.
        at_front: put the job at the front of its queue when it is run again (default False).
        enqueue_at_front: RQ's name of at_front.

    Raises:
        InvalidInput: a value is out of its range.

    Example:
        >>> Retry(3, interval=[10, 60]).interval_ms
        (10000, 60000)
        >>> Retry(interval=30, within="1h").within_ms
        3600000

    """

    max: int | None = None
    interval_ms: tuple[int, ...] = (0,)
    backoff: float = 1.0
    jitter: float = 0.0
    max_interval_ms: int = MAX_INTERVAL_MS
    within_ms: int | None = None
    on: tuple[str, ...] = ()
    not_on: tuple[str, ...] = ()
    at_front: bool = False

    def __init__(
        self,
        max: int | None = None,  # noqa: A002 - RQ's name
        interval: Interval = 0,
        *,
        backoff: float = 1.0,
        jitter: float | str = 0.0,
        max_interval: Duration = MAX_INTERVAL_MS / 1000,
        within: Duration | None = None,
        on: ExceptionTypes = None,
        not_on: ExceptionTypes = None,
        at_front: bool = False,
        enqueue_at_front: bool = False,
    ) -> None:
        if max is not None and (isinstance(max, bool) or not isinstance(max, int) or max < 1):
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
        put(self, "within_ms", None if within is None else positive_ms(within, "Retry(within)"))
        put(self, "on", _names(on, "on"))
        put(self, "not_on", _names(not_on, "not_on"))
        put(self, "at_front", bool(at_front or enqueue_at_front))

    def __setattr__(self, name: str, value: object) -> None:
        # What Python sets of an exception, such as its traceback, may change.
        if name in _DEFAULTS:
            raise FrozenInstanceError(f"cannot assign to field {name!r}")

        object.__setattr__(self, name, value)

    def __reduce__(self) -> tuple[Callable[[dict[str, Any]], Retry], tuple[dict[str, Any]]]:
        return self.from_dict, (self.to_dict(),)

    def __str__(self) -> str:
        return f"a worker would run the job again, by {self!r}"

    def retries(self, error: BaseException) -> bool:
        """Whether this kind of exception is retried at all."""
        if not self.on and not self.not_on:
            return True

        own, members = {*kinds(error)}, [{*each} for each in members_of(error)]

        if any(each.intersection(self.not_on) for each in (own, *members)):
            return False

        is_member_on = bool(members) and all(each.intersection(self.on) for each in members)

        return not self.on or bool(own.intersection(self.on)) or is_member_on

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
        values = {name: getattr(self, name) for name in _DEFAULTS}
        bare = {name: value for name, value in values.items() if value != _DEFAULTS[name]}

        return {name: list(value) if isinstance(value, tuple) else value for name, value in bare.items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Retry:
        """The policy that `to_dict` wrote."""
        retry = cls(values.get("max"))

        for name in _DEFAULTS:
            if name in values:
                value = values[name]
                object.__setattr__(retry, name, tuple(value) if isinstance(value, list) else value)

        return retry


def is_bounded(retry: Retry) -> bool:
    """Whether a job that always raises ends: by the number of its attempts, or by their deadline."""
    return retry.max is not None or retry.within_ms is not None


def read_retry(packed: bytes) -> Retry:
    """What `to_dict` wrote, from JSON, and checked anew.

    Raises:
        ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError: it is no policy.

    """
    values = json.loads(packed)
    jitter, within_ms = values.get("jitter", 0.0), values.get("within_ms")

    return Retry(
        values.get("max"),
        [ms / 1000 for ms in values.get("interval_ms", (0,))],
        backoff=values.get("backoff", 1.0),
        jitter="full" if jitter == FULL else jitter,
        max_interval=values.get("max_interval_ms", MAX_INTERVAL_MS) / 1000,
        within=None if within_ms is None else within_ms / 1000,
        at_front=values.get("at_front", False),
    )


def kinds(error: BaseException) -> list[str]:
    """The names of all classes that an error belongs to, its own first."""
    return error.kinds if isinstance(error, RemoteError) else [_name(kind) for kind in type(error).__mro__]


def members_of(error: BaseException) -> list[list[str]]:
    """The `kinds` of the exceptions in an ExceptionGroup and in the groups in it; nothing for another error."""
    if isinstance(error, RemoteError):
        return error.members

    found: dict[type, None] = {}
    groups = [error] if isinstance(error, BaseExceptionGroup) else []

    while groups:
        for each in _IN_GROUP(groups.pop()):
            if isinstance(each, BaseExceptionGroup):
                groups.append(each)
            else:
                found[type(each)] = None

    return [[_name(kind) for kind in each.__mro__] for each in found]


def as_retry(value: Retry | int, _: str = "retry") -> Retry:
    """A Retry from what the `retry` option takes: a Retry, or just its max.

    Raises:
        InvalidInput: it is neither, or a job that always raises would never end.

    """
    retry = value if isinstance(value, Retry) else Retry(value)

    if not is_bounded(retry):
        raise InvalidInput(
            "retry=Retry(…): it has no end for a job that always raises; give it max=, the number of further"
            " attempts, or within=, the time for all of them"
        )

    return retry


def is_rule(stored: Any) -> bool:
    """Whether a stored value is what `to_dict` wrote.

    Raises:
        ValueError, TypeError, LookupError, AttributeError, ArithmeticError: it is not.

    """
    retry = Retry.from_dict(stored)

    return is_bounded(retry) and retry.delay_ms(1, 1) >= 0 and (retry.within_ms or 0) >= 0


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


#: What stands in a group, whatever a class of the user's has made of the property.
_IN_GROUP: Callable[[BaseExceptionGroup[Any]], tuple[BaseException, ...]] = BaseExceptionGroup.exceptions.__get__

_DEFAULTS: Mapping[str, Any] = {
    "max": None,
    "interval_ms": (0,),
    "backoff": 1.0,
    "jitter": 0.0,
    "max_interval_ms": MAX_INTERVAL_MS,
    "within_ms": None,
    "on": (),
    "not_on": (),
    "at_front": False,
}
