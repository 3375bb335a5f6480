"""A test kit: jobs are tested with the real scripts, on a real server, and time passes when a test says so.

It works in every framework for tests. The plugin of pytest gives it as fixtures.

Example:
    >>> async with TestKit() as kit:  # doctest: +SKIP
    ...     await kit.queue().enqueue(send_mail, "ann")
    ...     await kit.assert_enqueued(send_mail, "ann")
    ...     await kit.run_until_idle()

"""

from __future__ import annotations

from aioq.testing.inline import run_inline
from aioq.testing.kit import TestKit
from aioq.testing.runs import JobRun

__all__ = ["JobRun", "TestKit", "run_inline"]
