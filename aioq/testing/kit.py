"""TestKit: what a test of jobs needs: queues of its own, a worker, and time that passes when the test says so."""

from __future__ import annotations

from aioq.testing.enqueued import Enqueued
from aioq.testing.running import Running


class TestKit(Running, Enqueued):
    """A namespace of a test on a server, and what tests do with it. What is stored there goes with the kit.

    It is used with `async with`, or made and closed by a plain fixture: it belongs to no event loop.

    Args:
        url: the server (default: that in AIOQ_TEST_URL, else an embedded one of this process, which needs the
            extra `embedded`). Many kits and many processes may share one; it cannot be a Cluster.

    Raises:
        InvalidInput: the URL cannot be used, or is that of a Cluster.
        ServerUnreachable: no server is named, and the embedded one cannot be started.

    Example:
        >>> async with TestKit() as kit:  # doctest: +SKIP
        ...     await kit.queue().enqueue(send_mail, "ann", retry=Retry(3, interval="1h"))
        ...     runs = await kit.run_until_idle(scheduled=True)

    """

    #: It is no test, whatever its name.
    __test__ = False
