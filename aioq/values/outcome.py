"""Outcome: what one run of a job came to. A worker decides it; a script records it."""

from __future__ import annotations

from dataclasses import dataclass

from aioq.values.errors import BadSignature, DeserializationError, FunctionNotAllowed, InvalidFunction
from aioq.values.retry import Retry, RetryRequested


@dataclass(frozen=True, slots=True)
class Finished:
    """The function returned; the result is kept for ttl_ms.

    With a ttl_ms of 0 the result goes only to those who wait. Then `instead` is stored in its place: no bytes,
    signed if the queue signs.
    """

    result: bytes
    ttl_ms: int
    instead: bytes = b""


@dataclass(frozen=True, slots=True)
class Failed:
    """The function raised, or ran out of time, and no attempt is left. error: a Failure, packed."""

    error: str


@dataclass(frozen=True, slots=True)
class Retried:
    """The function raised and is run again after delay_ms. error: a Failure, packed."""

    error: str
    delay_ms: int
    at_front: bool = False


@dataclass(frozen=True, slots=True)
class Interrupted:
    """The worker ended the run, not the function. The job goes back to its lane; no attempt is used up.

    begun tells whether the function had been called.
    """

    begun: bool


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


def decide(error: BaseException, text: str, attempt: int, retry: Retry | None, chance: float) -> Failed | Retried:
    """What follows from a run that raised.

    Args:
        error: what it raised.
        text: what is kept of it: a Failure, packed.
        attempt: the number of this run among those that count; the first is 1.
        retry: the job's policy, if it has one. A function that returned a policy goes by that.
        chance: a random number from 0 to 1, for the jitter.

    """
    if isinstance(error, RetryRequested):
        retry = error.retry
    elif retry is not None and not retry.retries(error):
        retry = None

    if retry is None or attempt > retry.max:
        return Failed(text)

    return Retried(text, retry.delay_ms(max(1, attempt), chance), retry.at_front)
