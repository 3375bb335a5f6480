"""Explained: why a job does not run, or how it ended, for code without an event loop."""

from __future__ import annotations

from typing import Any

from aioq.client.job import Job as AsyncJob
from aioq.client.parts import part_of
from aioq.sync.calling import run
from aioq.values.explanation import Explanation


@part_of("Job")
class Explained:
    """The part of a job that explains why it does not run, or how it ended."""

    __slots__ = ()

    _job: AsyncJob[Any]

    def explain(self) -> Explanation:
        """Why the job does not run, or how it ended, as the server knows it now. `print` shows it.

        It only reads, in one call; for a job that waits for a worker it also asks what the workers tell of
        themselves. Neither the arguments nor the function are loaded. The snapshot stays as it is.

        Returns:
            An Explanation with at least one reason, also for a job that is gone or damaged.

        Raises:
            InvalidJobOperation: it was never enqueued.

        Example:
            >>> print(job.explain())  # doctest: +SKIP

        """
        return run(self._job.explain)
