"""Acting: who acts in this task or thread, for the audit."""

from __future__ import annotations

import secrets
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar

from aioq.values.audit import Actor, Source, pack_act, read_actor

_actor: ContextVar[Actor | None] = ContextVar("aioq_actor", default=None)


@contextmanager
def acting_as(by: str, *, reason: str | None = None, source: Source = "code") -> Generator[None]:
    """Say who does what is done inside: each change of a job or a queue leaves a row in the audit of the queue.

    It holds for the task (or the thread) that it is used in, and for tasks that are started inside. Without it,
    changes leave no row.

    Args:
        by: a name, one line of at most 200 characters.
        reason: why, one line of at most 500 characters (default None: it is not told).
        source: where it comes from: "code" (default), "web" or "cli".

    Raises:
        InvalidInput: a value cannot be used.

    Example:
        >>> with acting_as("ann@shop", reason="ticket 12"):  # doctest: +SKIP
        ...     await job.cancel()

    """
    token = _actor.set(read_actor(by, source, reason))

    try:
        yield
    finally:
        _actor.reset(token)


def actor_now() -> Actor | None:
    """Who acts; None: nobody has said so."""
    return _actor.get()


def act_of(action: str, detail: str = "", reason: str = "") -> str:
    """An act that begins now, as scripts take it; "" if nobody has said who acts.

    Calls that are given the same text are one act, and leave one row.

    Args:
        action: what is done.
        detail: more of it, as users read it.
        reason: why (default "": the reason that was given to `acting_as`).

    """
    actor = _actor.get()

    return "" if actor is None else pack_act(secrets.token_hex(6), actor, action, detail, reason)
