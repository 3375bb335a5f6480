"""Time travel: the clock of a test's namespace is moved on, and everything there goes by it.

A prefix that begins with `aioq-test:` is the namespace of a test. All who use it, in whatever process, call
scripts that take the server's clock and add what is stored under `<prefix>:clock`. These scripts refuse every
other prefix. What goes by the server's own clock, the expiry of keys, is shortened when the clock is moved on.
"""

from __future__ import annotations

from datetime import datetime

from aioq.store.connection import Connection
from aioq.store.keys import TEST_PREFIX, SharedKeys
from aioq.store.scripts import travel_script
from aioq.values.errors import InvalidInput
from aioq.values.moments import moment_of

#: What `advance.lua` takes in the place of a duration.
_NEXT = "next"


def check_namespace(connection: Connection) -> None:
    """Refuse what is no namespace of a test, or has several servers.

    Raises:
        InvalidInput: it names the prefix or the server, and what was expected.

    """
    prefix = connection.shared.prefix

    if not prefix.startswith(TEST_PREFIX):
        raise InvalidInput(
            f"prefix={prefix!r}: the clock of this namespace is the server's, and cannot be moved on. Expected the"
            f" namespace of a test, whose prefix begins with {TEST_PREFIX!r}"
        )

    if connection.is_cluster:
        raise InvalidInput(f"{connection.url}: expected one server for a test, and no Cluster")


async def advance(connection: Connection, ms: int, *, leases: bool = False) -> None:
    """Move the clock of a namespace on.

    Args:
        connection: it has the namespace's prefix.
        ms: by how much.
        leases: whether the leases of workers run out, too.

    Raises:
        InvalidInput: it is no namespace of a test.

    """
    await _advance(connection, str(ms), leases=leases)


async def advance_to_next(connection: Connection) -> bool:
    """Move the clock on to the next moment at which a scheduled job is due. False: none is scheduled for later.

    Raises:
        InvalidInput: as `advance`.

    """
    return await _advance(connection, _NEXT, leases=False) > 0


async def now_in(connection: Connection) -> datetime:
    """What the clock of a namespace says.

    Raises:
        InvalidInput: as `advance`.

    """
    check_namespace(connection)
    (seconds, microseconds), moved = await connection.calls([("TIME",), ("GET", connection.shared.clock)])
    ms = 1000 * int(seconds) + int(microseconds) // 1000 + int(moved or 0)

    return moment_of(str(ms))


async def clear(connection: Connection, prefix: str) -> int:
    """Remove everything that is stored in the namespace of a test. How many keys there were.

    Args:
        connection: the server.
        prefix: that of the namespace.

    """
    reply = await connection.call(("EVALSHA", travel_script("clear"), 1, SharedKeys(prefix).clock))

    return int(reply)


async def _advance(connection: Connection, by: str, *, leases: bool) -> int:
    check_namespace(connection)
    script, words = travel_script("advance"), (by, "1" if leases else "")

    command = ("EVALSHA", script, 1, connection.shared.clock, *words)
    (moved,) = await connection.calls([command], patient=False)  # sent twice, it would move the clock twice

    return int(moved)
