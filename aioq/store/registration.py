"""Registration: a queue's place on the list of all queues, which it takes before its first job.

In a Cluster, the list is on one shard and the queue on another one. While the list's shard is away, jobs are
enqueued all the same, and the registration is made up for later.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from aioq.store.net.tasks import see_end
from aioq.values.errors import ServerUnreachable

#: The first jobs wait so many seconds for the list. So many seconds after a try the next one begins; nobody waits
#: for that one.
PATIENCE_S = 0.5
AGAIN_S = 5.0


class Registration:
    """The tries of one event loop to put a queue on the list.

    Args:
        register: one try.
        may_be_late: the list may be away while the queue is not.

    """

    def __init__(self, register: Callable[[], Coroutine[Any, Any, None]], *, may_be_late: bool) -> None:
        self._register = register
        self._may_be_late = may_be_late
        self._trying: asyncio.Task[None] | None = None
        self._tried: asyncio.Future[bool] | None = None
        self._again_at = self._patient_until = 0.0

    async def ensure(self) -> None:
        """Put the queue on the list; or go on without, while the list is away.

        Raises:
            ServerUnreachable: the list is where the queue is, and away.
            ServerError: the server refuses.

        """
        if not self._may_be_late:
            await self._ensure_in_order()
            return

        loop = asyncio.get_running_loop()
        now, trying = loop.time(), self._trying
        is_first = trying is None

        if trying is None or (trying.done() and now >= self._again_at):
            trying = self._trying = loop.create_task(self._register())
            trying.add_done_callback(see_end)
            self._again_at = now + AGAIN_S
            self._patient_until = now + PATIENCE_S if is_first else now

        if not trying.done() and now < self._patient_until:
            await asyncio.wait((trying,), timeout=self._patient_until - now)

        error = None if not trying.done() or trying.cancelled() else trying.exception()

        if error is not None and not isinstance(error, ServerUnreachable):
            raise error

    async def _ensure_in_order(self) -> None:
        """Try, or wait for the try of another one. All who wait go on in their order, so their jobs keep it."""
        while self._tried is not None:
            if await asyncio.shield(self._tried):
                return

        tried = self._tried = asyncio.get_running_loop().create_future()

        try:
            await self._register()
            tried.set_result(True)
        except Exception as error:
            tried.set_exception(error)
            tried.exception()  # there may be nobody who waits

            raise
        finally:
            self._tried = None

            if not tried.done():  # it was cancelled: the next one who waits tries
                tried.set_result(False)
