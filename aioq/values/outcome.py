"""Outcome: what one run of a job came to. A worker decides it; a script records it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from aioq.values.errors import BadSignature, DeserializationError, FunctionNotAllowed, InvalidFunction
from aioq.values.retry import Retry
from aioq.values.retrying import bounded_by, why_not


@dataclass(slots=True)  # one is made for each run, and a frozen one takes four times as long
class Finished:
    """The function returned; the result is kept for ttl_ms.

    With a ttl_ms of 0 the result goes only to those who wait. Then `instead` is stored in its place: no bytes,
    signed if the queue signs.
    """

    result: bytes
    ttl_ms: int
    instead: bytes = b""


@dataclass(slots=True)
class Failed:
    """The function raised, or ran out of time, and is not run again. error: a Failure, packed.

    refusal: what of the policy that the job has is against another attempt; it is logged, and not stored.
    """

    error: str
    refusal: str = ""


@dataclass(slots=True)
class Retried:
    """The function raised, or asked for it, and is run again after delay_ms. error: a Failure, packed.

    Args:
        within_ms: no attempt begins later than that after the first one has begun; 0: there is no such deadline.
        is_asked: the function has returned or raised a Retry: this run has not failed.

    """

    error: str
    delay_ms: int
    at_front: bool = False
    within_ms: int = 0
    is_asked: bool = False


@dataclass(slots=True)
class Interrupted:
    """The worker ended the run, not the function. The job goes back to its lane; no attempt is used up.

    begun tells whether the function had been called.
    """

    begun: bool


@dataclass(slots=True)
class FinishedRun(Finished):
    """As Finished, and the job runs again: due_ms is the moment of its next run, in ms since 1970."""

    due_ms: int = 0


@dataclass(slots=True)
class FailedRun(Failed):
    """As Failed, and the job runs again: due_ms is the moment of its next run, in ms since 1970."""

    due_ms: int = 0


Outcome = Finished | Failed | Retried | Interrupted


def is_final(error: BaseException, found: bool) -> bool:
    """Whether another attempt could come to nothing else, for a run that ended before its function was called.

    What is not signed, not allowed, damaged or wrongly declared stays so. Code that is missing may come with a
    deploy.

    Args:
        error: what was raised.
        found: whether the function was found.

    """
    if isinstance(error, BadSignature | FunctionNotAllowed | InvalidFunction):
        return True

    is_damage = found and isinstance(error, DeserializationError)

    return is_damage and not isinstance(error.__cause__, ImportError | AttributeError)


class Again(NamedTuple):
    """Another attempt follows, after delay_ms."""

    delay_ms: int
    at_front: bool
    within_ms: int


def decide(
    error: BaseException, attempt: int, retry: Retry | None, chance: float, spent_ms: Callable[[], float]
) -> Again | str:
    """What follows from a run that raised: another attempt, or the reason why none does.

    Args:
        error: what it raised; a Retry if the function asked for another attempt.
        attempt: the number of this run among those that count; the first is 1.
        retry: the job's policy, if it has one.
        chance: a random number from 0 to 1, for the jitter.
        spent_ms: how long ago the first attempt began; it is asked only if there is a deadline.

    """
    if isinstance(error, Retry):
        retry = bounded_by(error, retry)
    elif retry is None:
        return ""
    elif not retry.retries(error):
        return "its Retry is for other errors"

    attempt = max(1, attempt)
    delay_ms = retry.delay_ms(attempt, chance)

    return why_not(retry, attempt, delay_ms, spent_ms) or Again(delay_ms, retry.at_front, retry.within_ms or 0)
