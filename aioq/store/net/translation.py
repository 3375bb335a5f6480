"""Translation: what redis-py raises, as errors of aioq."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import redis.exceptions as failures

from aioq.store.net.acl import remedy
from aioq.store.net.command import Command
from aioq.store.net.refusals import refusal, unreachable
from aioq.values.errors import ServerRefused, ServerUnreachable

#: What redis-py says when a server takes a connection and ends it at once. What the server says then (it has as
#: many clients as it takes) is lost more often than not.
HUNG_UP = ("Connection lost", "Connection reset", "closed by server", "max number of clients")

#: What is said when a server takes a connection and does not answer on it.
SILENT = ("no answer within", "Timeout connecting", "timed out")


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


def advice_on_opening(url: str, error: ServerUnreachable) -> str:
    """What may be wrong where a connection could not be opened; "" if the error says it."""
    text = str(error)

    if any(words in text for words in HUNG_UP):
        return "It was taken and hung up: see maxclients of the server, and use rediss:// if it wants TLS"

    if url.startswith("rediss") and any(words in text for words in SILENT):
        source = ", and unset REDIS_SSL if that is where it comes from" if os.environ.get("REDIS_SSL") else ""

        return f"A server without TLS does not answer: use redis:// for one{source}"

    return ""
