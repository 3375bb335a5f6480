"""Callback: a function that is called when something has become of a job. It runs as a job of its own.

The job keeps how each of its callbacks is called in a field that has the name of the callback's kind. When the job
ends, a script makes a job of that. The id of that job says which one it follows: `<id>.<fence>.<kind>`. That of a
webhook is `<id>.<fence>.<kind>.<number>`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from aioq.values.durations import Duration, limit_ms
from aioq.values.errors import InvalidType
from aioq.values.retry import Retry, as_retry

#: The kinds of callbacks: the options of a job, and the fields of its record.
KINDS = ("on_success", "on_failure", "on_stopped", "on_canceled", "on_expired", "on_retry")

TIMEOUT_S = 60

#: How long a callback that has done its work is kept, in ms.
KEPT_MS = 60_000

#: What the names of fields begin with that a callback carries of its job.
CARRIED = b"job."

#: How the number of a webhook is written; a callback that is none has no number.
_NUMBER = re.compile("|[1-9][0-9]?")

_FIELDS = {kind.encode(): kind for kind in KINDS}


@dataclass(frozen=True, slots=True)
class Callback:
    """A function that is called when something has become of a job, with more than the function itself.

    In `on_success` it is called as `func(job, result, *args, **kwargs)`, and in all other options as
    `func(job, error, *args, **kwargs)`.

    Args:
        func: a plain or a coroutine function that a worker can import, or its dotted name.
        args: further arguments by position (default none).
        kwargs: further arguments by name (default none).
        timeout: how long it may run, in seconds or as "5m" (default 60); -1: without a limit.
        retry: whether and when it runs again if it raises (default: it does not).

    Raises:
        InvalidInput: a value cannot be used; the text names it.

    Example:
        >>> callback = Callback("shop.tell", ("orders",), timeout=10, retry=3)
        >>> callback.timeout
        10

    """

    func: Callable[..., object] | str
    args: Sequence[Any] = ()
    kwargs: Mapping[str, Any] | None = None
    timeout: Duration | None = TIMEOUT_S
    retry: Retry | int | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.args, tuple | list):
            raise InvalidType(
                f"Callback(args={self.args!r}): expected a tuple or a list; the timeout goes by its name, timeout="
            )

        if self.kwargs is not None and not (
            isinstance(self.kwargs, Mapping) and all(isinstance(name, str) for name in self.kwargs)
        ):
            raise InvalidType(f"Callback(kwargs={self.kwargs!r}): expected a dict with texts as keys")

        self.opts()

    def opts(self) -> bytes:
        """The packed options of the job that is made of it."""
        timeout = TIMEOUT_S if self.timeout is None else self.timeout
        values: dict[str, Any] = {"timeout": limit_ms(timeout, "Callback(timeout)"), "result_ttl": KEPT_MS}

        if self.retry is not None:
            values["retry"] = as_retry(self.retry, "Callback(retry)").to_dict()

        return json.dumps(values, separators=(",", ":")).encode()


def read_callback(value: object, name: str) -> Callback:
    """A callback as a user gives it: a function, its name, or a Callback.

    Raises:
        InvalidInput: it is nothing that could be called; `name` says in the text which option it was.

    """
    if isinstance(value, Callback):
        return value

    if not callable(value) and not isinstance(value, str):
        raise InvalidType(f"{name}={value!r}: expected a function, its dotted name, or a Callback")

    return Callback(value)


class Definition(NamedTuple):
    """How a callback is called, as its job keeps it. `lua/more/callbacks.lua` takes it apart.

    Args:
        func: the dotted name of the function.
        opts: the packed options.
        data: the serialised call, without job and result; signed, if the queue signs.

    """

    func: bytes
    opts: bytes
    data: bytes

    def pack(self) -> bytes:
        """As it is stored."""
        return b"%s %d\n%s%s" % (self.func, len(self.opts), self.opts, self.data)


def read_definition(stored: bytes) -> Definition | None:
    """What was stored; None if it is no such thing."""
    head, _, rest = stored.partition(b"\n")
    func, _, length = head.partition(b" ")

    if not func or not length.isdigit():
        return None

    return Definition(func, rest[: int(length)], rest[int(length) :])


def definitions_in(fields: Mapping[bytes, bytes]) -> dict[str, Definition]:
    """The callbacks of a job, by their kind, in the order of KINDS."""
    found = {kind: read_definition(fields[field]) for field, kind in _FIELDS.items() if field in fields}

    return {kind: definition for kind, definition in found.items() if definition is not None}


class Followed(NamedTuple):
    """The job that a callback follows.

    Args:
        job_id: of the job.
        kind: of the callback.
        number: which of the job's webhooks it is, from 1; 0: it is none.

    """

    job_id: str
    kind: str
    number: int = 0

    @property
    def signed_as(self) -> str:
        """What the producer has signed the call for, beside the job."""
        return f"webhook.{self.number}" if self.number else self.kind


def followed_by(job_id: str) -> Followed | None:
    """The job that the job with this id follows as a callback; None if it is no callback."""
    # No id that users choose has a point. Where each job passes by, this question stands alone.
    if "." not in job_id:
        return None

    followed, *rest = job_id.split(".")

    if not followed or not 2 <= len(rest) <= 3 or not rest[0].isdigit() or rest[1] not in KINDS:
        return None

    number = rest[2] if len(rest) == 3 else ""

    return Followed(followed, rest[1], int(number or 0)) if _NUMBER.fullmatch(number) else None


def callback_id(job_id: str, fence: int, kind: str, number: int = 0) -> str:
    """The id of the callback of this kind that the end of a job makes, after the claim with this fence.

    Args:
        job_id: of the job.
        fence: of the claim.
        kind: of the callback.
        number: which of the job's webhooks it is, from 1; 0: it is none.

    """
    return f"{job_id}.{fence}.{kind}.{number}" if number else f"{job_id}.{fence}.{kind}"


def carried_fields(fields: Mapping[bytes, bytes]) -> dict[bytes, bytes]:
    """What was stored of a job when its callback was made, from what the callback carries."""
    return {name[len(CARRIED) :]: value for name, value in fields.items() if name.startswith(CARRIED)}
