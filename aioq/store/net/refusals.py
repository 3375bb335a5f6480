"""Refusals: what a server refuses and where none answers, as errors of aioq."""

from __future__ import annotations

import errno
import os
import re

from aioq.store.net.acl import IN_SCRIPT, remedy
from aioq.store.net.command import Command
from aioq.values.errors import ServerError, ServerFull, ServerRefused, ServerUnreachable, ServerUnsuitable

#: With these errors a server says that it cannot answer now, or is not the primary. Another connection may lead to
#: a server that can.
AWAY = frozenset(("LOADING", "READONLY", "MASTERDOWN", "BUSY"))

#: With these errors a server of a Cluster says that it will soon be able to answer. The connection is kept.
PASSING = frozenset(("CLUSTERDOWN", "TRYAGAIN"))

TRANSIENT = AWAY | PASSING

#: With this error a primary says that it is cut off from its replicas. Another server may have taken over.
ALONE = frozenset(("NOREPLICAS",))

#: What the system says when nobody listens at an address.
_NOBODY = frozenset((errno.ECONNREFUSED, errno.ENOENT))

#: Refusals by their words: the error that they are, what it says of the server, and what to do.
_REFUSALS: tuple[tuple[str, type[ServerError], str, str], ...] = (
    ("WRONGTYPE", ServerUnsuitable, "holds a key of aioq with a value of another type", ""),
    ("OOM", ServerFull, "is at its memory limit", ""),
    ("MISCONF", ServerFull, "cannot write to its disk, and takes no data until it can", ""),
    ("MOVED ", ServerUnsuitable, "is one of a Cluster", ". Use redis+cluster:// and its address"),
    ("cluster support disabled", ServerUnsuitable, "stands alone", ". Use redis:// and its address"),
)


def is_refusal(text: str) -> bool:
    """Whether the text of an error says that a password or a right is missing."""
    return text.startswith(("NOAUTH", "NOPERM", "WRONGPASS")) or any(each in text for each in IN_SCRIPT)


def refusal(url: str, error: Exception, command: Command = ()) -> ServerError:
    """What the server said, as an error of aioq."""
    where, text = f"the server at {url}", str(error).rstrip(".")

    for words, kind, what, advice in _REFUSALS:
        if words in text:
            return kind(f"{where} {what}: {text}{advice}")

    if is_refusal(text):
        return ServerRefused(f"{where} refused: {text}{remedy(text, url, command)}")

    return ServerError(f"{where} failed: {text}")


def unreachable(url: str, error: Exception) -> ServerUnreachable:
    """A connection that was lost or not made, as an error of aioq."""
    reason, number = _reason(error)
    nobody = number in _NOBODY and "://" in url  # the caller's own client has no address here
    failure = ServerUnreachable(f"{'no server at' if nobody else 'no connection to'} {url}: {reason}")
    failure.nobody_listens = nobody

    return failure


def _reason(error: Exception) -> tuple[str, int | None]:
    """Why a connection was lost or not made, and the number that the system gives it, if it does.

    Where none was made, redis-py says the address again, and asyncio does so too. The system's words are enough.
    """
    text, cause = str(error).rstrip("."), error.__context__
    cause = error if isinstance(error, OSError) and error.errno else cause

    if not isinstance(cause, OSError) or not (cause is error or text.startswith("Error ")):
        return text or type(error).__name__, None

    # asyncio has tried several addresses, and joined what the system said of each.
    numbers = {cause.errno} if cause.errno else {int(each) for each in re.findall(r"\[Errno (\d+)\]", str(cause))}

    if len(numbers) == 1 and "Connect call failed" in str(cause):
        return os.strerror(min(numbers)), min(numbers)

    return (cause.strerror or str(cause) or text).rstrip("."), cause.errno
