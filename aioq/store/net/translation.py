"""Translation: what redis-py raises and what a server refuses, as errors of aioq."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager

import redis.exceptions as failures

from aioq.store.net.acl import is_refusal, remedy
from aioq.store.net.command import Command
from aioq.values.errors import ServerError, ServerFull, ServerRefused, ServerUnreachable, ServerUnsuitable

#: Errors of a server that is not the one to ask any more, or not yet: another connection may lead to a better one.
AWAY = frozenset(("LOADING", "READONLY", "MASTERDOWN", "BUSY"))

#: Errors of a server of a Cluster that will soon be able to answer; its connection is as good as another.
PASSING = frozenset(("CLUSTERDOWN", "TRYAGAIN"))

TRANSIENT = AWAY | PASSING

#: What a primary says that is cut off from its replicas: another one may have taken over.
ALONE = frozenset(("NOREPLICAS",))

#: What redis-py says when a server takes a connection and ends it at once. What the server says then (it has as
#: many clients as it takes) is lost more often than not.
HUNG_UP = ("Connection lost", "Connection reset", "closed by server", "max number of clients")

#: What is said when a server takes a connection and does not answer on it.
SILENT = ("no answer within", "Timeout connecting", "timed out")

#: What the system says when nobody listens at an address.
_NOBODY = frozenset((errno.ECONNREFUSED, errno.ENOENT))


@contextmanager
def translated(url: str, command: Command = ()) -> Iterator[None]:
    """Turn redis-py's errors into those of aioq. command: what is sent, as far as that is known."""
    try:
        yield
    except (failures.AuthenticationError, failures.NoPermissionError, failures.AuthorizationError) as error:
        advice = remedy(str(error), url, command)
        raise ServerRefused(f"the server at {url} refused: {error}{advice}") from error
    except (failures.ConnectionError, failures.TimeoutError, OSError) as error:
        if "MISCONF" in str(error):  # redis-py asks for a PONG, which such a server does not give
            raise refusal(url, error, command) from error

        raise unreachable(url, error) from None  # all that redis-py and the system say stands in its text
    except failures.RedisError as error:
        raise refusal(url, error, command) from error


def unreachable(url: str, error: Exception) -> ServerUnreachable:
    """A connection that was lost or not made, as an error of aioq."""
    reason, number = _reason(error)
    nobody = number in _NOBODY and "://" in url  # the caller's own client has no address here
    failure = ServerUnreachable(f"{'no server at' if nobody else 'no connection to'} {url}: {reason}")
    failure.nobody_listens = nobody

    return failure


def advice_on_opening(url: str, error: ServerUnreachable) -> str:
    """What may be wrong where a connection could not be opened; "" if the error says it."""
    text = str(error)

    if any(words in text for words in HUNG_UP):
        return "It was taken and hung up: see maxclients of the server, and use rediss:// if it wants TLS"

    if url.startswith("rediss") and any(words in text for words in SILENT):
        source = ", and unset REDIS_SSL if that is where it comes from" if os.environ.get("REDIS_SSL") else ""

        return f"A server without TLS does not answer: use redis:// for one{source}"

    return ""


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


#: Refusals by their words: the error that they are, what it says of the server, and what to do.
_REFUSALS: tuple[tuple[str, type[ServerError], str, str], ...] = (
    ("WRONGTYPE", ServerUnsuitable, "holds a key of aioq with a value of another type", ""),
    ("OOM", ServerFull, "is at its memory limit", ""),
    ("MISCONF", ServerFull, "cannot write to its disk, and takes no data until it can", ""),
    ("MOVED ", ServerUnsuitable, "is one of a Cluster", ". Use redis+cluster:// and its address"),
    ("cluster support disabled", ServerUnsuitable, "stands alone", ". Use redis:// and its address"),
)


def refusal(url: str, error: Exception, command: Command = ()) -> ServerError:
    """What the server said, as an error of aioq."""
    where, text = f"the server at {url}", str(error).rstrip(".")

    for words, kind, what, advice in _REFUSALS:
        if words in text:
            return kind(f"{where} {what}: {text}{advice}")

    if is_refusal(text):
        return ServerRefused(f"{where} refused: {text}{remedy(text, url, command)}")

    return ServerError(f"{where} failed: {text}")
