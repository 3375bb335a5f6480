"""Background: the event loop of calls without one. A process has one, on a thread, from its first call on."""

from __future__ import annotations

import asyncio
import atexit
import os
import threading
from contextlib import suppress

from aioq.client.loops import new_event_loop
from aioq.values.errors import WrongContext

Loop = asyncio.AbstractEventLoop

#: How long the end of the interpreter waits for the loop to close its connections, in seconds.
CLOSE_S = 2.0


class Background:
    """An event loop on a daemon thread. It is started when it is asked for."""

    def __init__(self) -> None:
        self._lock = threading.RLock()  # a signal handler may come here, too
        self._loop: Loop | None = None
        self._thread: threading.Thread | None = None
        #: Loops of the parent. A loop that is freed would close what the parent's kernel knows it by.
        self._inherited: list[Loop] = []

    def loop(self) -> Loop:
        """The loop, which runs or is about to. Raises WrongContext where no thread can be started any more."""
        loop = self._loop

        return self._start() if loop is None or loop.is_closed() else loop

    def close(self) -> None:
        """End the loop, and close the connections that were opened on it. A later call starts another one."""
        with self._lock:
            loop, self._loop = self._loop, None

        if loop is not None and self._thread is not None:
            with suppress(RuntimeError):  # it has ended by itself
                loop.call_soon_threadsafe(loop.stop)

            self._thread.join(CLOSE_S)

    def forget(self) -> None:
        """The loop is the parent's, and does not run in this forked child."""
        self._lock = threading.RLock()  # another thread of the parent may have held it

        if self._loop is not None:
            self._inherited.append(self._loop)

        self._loop = self._thread = None

    def _start(self) -> Loop:
        with self._lock:
            if self._loop is None or self._loop.is_closed():
                loop = new_event_loop()
                thread = threading.Thread(target=_serve, args=(loop,), name="aioq-sync", daemon=True)

                try:
                    thread.start()
                except RuntimeError as error:
                    loop.close()

                    raise WrongContext(f"aioq.sync needs a thread, and none can be started: {error}") from None

                self._loop, self._thread = loop, thread

            return self._loop


def _serve(loop: Loop) -> None:
    # The runner cancels what is left, and ends the loop's asynchronous generators, which close connections.
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.get_loop().run_forever()


background = Background()

# What was registered later runs earlier. So handlers of the application's modules can still make calls.
atexit.register(background.close)

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=background.forget)
