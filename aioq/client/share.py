"""Share: a connection that queues have opened, which the last of them closes."""

from __future__ import annotations

from weakref import WeakSet

from aioq.store import Connection


class Share:
    """A connection that queues have opened: the last one that is closed closes it.

    Args:
        connection: it.
        users: the queues.

    """

    def __init__(self, connection: Connection, *users: object) -> None:
        self._connection = connection
        self.users: WeakSet[object] = WeakSet(users)

    async def leave(self, user: object) -> None:
        """Let a queue go; the connection is closed with the last one."""
        self.users.discard(user)

        if not self.users:
            await self._connection.aclose()
