"""Factory: what makes the tasks of the event loop. A job can replace it, for all that runs on this loop."""

from __future__ import annotations

import asyncio
import logging

log = logging.getLogger("aioq.worker")

#: How often the worker looks whether the task factory is another one, in seconds.
FACTORY_CHECK_S = 0.25


class TaskFactory:
    """Takes a task factory off again that makes no tasks, if a job has set it on the running event loop."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._good = self._loop.get_task_factory()

    async def watch(self) -> None:
        """Check again and again."""
        while True:
            await asyncio.sleep(FACTORY_CHECK_S)
            self.check()

    def check(self) -> None:
        """Check once. A factory that works stays."""
        if (found := self._loop.get_task_factory()) is self._good:
            return

        if self._works():
            self._good = found
        else:
            self._loop.set_task_factory(self._good)
            log.warning(
                "a job, or a library that it has loaded, has set the task factory %r, which makes no tasks. The"
                " one that was there before is back, so that the worker goes on",
                found,
            )

    def _works(self) -> bool:
        coroutine = asyncio.sleep(0)

        try:
            return asyncio.isfuture(self._loop.create_task(coroutine))
        except BaseException:  # noqa: BLE001 - whatever a job's factory raises
            coroutine.close()

            return False
