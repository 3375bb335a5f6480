"""Heartbeat: a thread that keeps the worker's leases while jobs block the event loop."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Sequence

from aioq.store.pulse import Pulse
from aioq.store.script import Command
from aioq.store.store import Beat
from aioq.values.errors import ServerError

log = logging.getLogger("aioq.worker")

#: How long a worker is believed alive after a beat, and how often it beats. One beat may be missed. A killed
#: worker's jobs are reclaimed 4 to 7 seconds after its death.
LEASE_MS = 7_200
INTERVAL = 3.4

#: How soon a failed beat is tried again, in seconds. After an outage of under half a lease nobody gets a grace.
#: A worker that was about to beat when it began has what is left of its lease then: LEASE - LEASE / 2 - INTERVAL.
AGAIN = 0.1

#: How long the end of the thread may take, in seconds.
STOP_S = 0.6

#: The description of the worker travels with a beat when it has changed, and with every eighth one.
DESCRIBE = 8


class Heartbeat:
    """Beats until it is stopped.

    Args:
        pulse: the calls.
        describe: the calls that renew the worker's description; asked for on this thread.
        heard: called on the event loop with what each beat brought.

    """

    def __init__(
        self,
        pulse: Pulse,
        describe: Callable[[], Sequence[Command]],
        heard: Callable[[list[Beat]], None],
    ) -> None:
        self._pulse = pulse
        self._describe = describe
        self._heard = heard
        self._loop = asyncio.get_running_loop()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="aioq-heartbeat", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """End the thread. It is waited for only for a moment: a call to a silent server is cut off, and a thread
        that still tries to connect is left behind.
        """
        self._stopped.set()

        for _ in range(2):
            if self._thread.is_alive():
                self._thread.join(timeout=STOP_S / 2)

            self._pulse.close()

    def _run(self) -> None:
        beats, pause, told = 0, 0.0, None

        while not self._stopped.wait(pause):
            # The lease may have begun when the call left: a slow answer, or a process that stood still before it
            # read the answer, must not put the next beat off.
            sent = time.monotonic()

            try:
                description = self._describe()
                found = self._pulse.beat(description if description != told or beats % DESCRIBE == 0 else ())
                beats, told = beats + 1, description
                pause = max(0.0, sent + _until_next(found) - time.monotonic())
                self._tell(found)
            except ServerError as error:
                log.debug("a heartbeat failed: %s", error)
                pause = AGAIN
            except Exception:
                if not self._stopped.is_set():  # else its connection was closed under a call, by `stop`
                    raise

    def _tell(self, found: list[Beat]) -> None:
        if self._stopped.is_set():
            return

        try:
            self._loop.call_soon_threadsafe(self._heard, found)
        except RuntimeError:  # the loop was closed while this thread was in a call
            self._stopped.set()


def _until_next(found: list[Beat]) -> float:
    """The pause before the next beat: shorter, if someone's lease ends before."""
    ends = [beat.next_end_ms / 1000 + 0.01 for beat in found if beat.next_end_ms > 0]

    return min([INTERVAL, *ends])
