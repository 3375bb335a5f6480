"""Translation: what redis-py raises and what a server refuses, as errors of aioq."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import redis.exceptions as failures

from aioq.store.remedy import is_refusal, remedy
from aioq.store.script import Command
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

        raise unreachable(url, error) from error
    except failures.RedisError as error:
        raise refusal(url, error, command) from error


def unreachable(url: str, error: Exception) -> ServerUnreachable:
    """A connection that was lost or not made, as an error of aioq."""
    return ServerUnreachable(f"no connection to {url}: {str(error) or type(error).__name__}")


def is_alone(error: Exception) -> bool:
    """Whether a primary refused a write because it is cut off from its replicas; redis-py puts words before it."""
    return any(code in str(error) for code in ALONE)


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
