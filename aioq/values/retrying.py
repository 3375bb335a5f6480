"""Retrying: what a policy means for one run: whether another attempt follows."""

from __future__ import annotations

from collections.abc import Callable

from aioq.values.errors import AioqError
from aioq.values.retry import Retry

#: The usual reason why no attempt follows. The number of the attempt says as much.
NO_ATTEMPT_LEFT = "no attempt is left"


class RetryRequested(AioqError):
    """The function asks to be run again: it has returned or raised a Retry.

    Args:
        retry: what it returned or raised, with the bounds that hold.
        attempt: the number of the run.
        how: "returned" or "raised".
        refusal: why it is not run again; "": it is.

    """

    def __init__(self, retry: Retry, attempt: int, how: str = "returned", refusal: str = "") -> None:
        because = f", and {refusal}" if refusal else ""
        super().__init__(f"the function {how} a Retry in attempt {count_of(retry, attempt)}{because}")
        self.retry = retry


def bounded_by(retry: Retry, own: Retry | None) -> Retry:
    """The policy that a function asks by, with the bounds of the job's own where it has none."""
    values = retry.to_dict()

    for name in ("max", "within_ms"):
        if own is not None and name not in values and (bound := getattr(own, name)) is not None:
            values[name] = bound

    return Retry.from_dict(values)


def count_of(retry: Retry, attempt: int) -> str:
    """The number of an attempt, and of how many: "2 of 4"."""
    return f"{attempt}" if retry.max is None else f"{attempt} of {retry.max + 1}"


def why_not(retry: Retry, attempt: int, pause_ms: float, spent_ms: Callable[[], float]) -> str:
    """Why no attempt follows; an empty text if one does.

    Args:
        retry: the policy.
        attempt: the attempt that has just failed; the first is 1.
        pause_ms: the pause before the next one.
        spent_ms: how long ago the first attempt began. It is asked only if there is a deadline.

    """
    if retry.max is not None and attempt > retry.max:
        return NO_ATTEMPT_LEFT

    if retry.within_ms is not None:
        is_late = spent_ms() + pause_ms > retry.within_ms

        return "the next attempt would begin after the deadline" if is_late else ""

    return "neither it nor the retry of the job has a max or a deadline" if retry.max is None else ""
