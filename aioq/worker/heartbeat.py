"""Heartbeat: a thread that keeps the worker's leases while jobs block the event loop.

Nothing that fails on this thread may cost a lease: a beat that has failed, for whatever reason, is sent again at
once. The thread reads nothing from the disk or the system, and if it ends nevertheless, the guard starts it again.

The thread has an event loop of its own, which turns only during a beat.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from aioq.store.net.command import Command
from aioq.values.beat import Beat
from aioq.values.errors import ServerError
from aioq.worker.health import Health
from aioq.worker.lasting import LastingThread
from aioq.worker.leases import Leases

log = logging.getLogger("aioq.worker")

#: How long a worker is believed alive after a beat, and how often it beats. A test holds them to what follows.
#:
#: - A killed worker's jobs come back when its lease ends, LEASE - INTERVAL to LEASE after its death: within 4 s
#:   for most, and 6 s at the most. Whoever notices needs some tenths more. So LEASE - INTERVAL / 2 < 3.9.
#: - One beat may be missed: 2 * INTERVAL < LEASE.
#: - After an outage of more than SILENCE * LEASE (lua/lib/lease.lua) everyone gets a grace. A shorter one must end
#:   no lease, not even that of a worker that was about to beat when it began: INTERVAL + SILENCE * LEASE +
#:   REPEAT_PAUSE < LEASE.
#: - A worker that is merely slow to beat must not look like an outage, or the dead would get a grace:
#:   INTERVAL + 0.5 < SILENCE * LEASE.
#: - A worker that stands still keeps its lease for LEASE - INTERVAL at least, which should be long.
#: - Each beat costs the server four commands. An idle worker may cost three a second in all.
LEASE_MS = 4_600
INTERVAL_S = 1.8

#: How soon a failed beat is tried again, in seconds.
REPEAT_PAUSE_S = 0.1

#: How long the end of the thread may take, in seconds.
STOP_S = 0.6

#: The description of the worker is sent with a beat when it has changed, and else with one of so many beats.
BEATS_PER_DESCRIPTION = 16

#: How long a thread that computes may go on before another one gets the interpreter's lock, during a beat, in
#: seconds.
TURN_S = 0.0005

#: How much further than the worker's own clock the server's may have gone between two beats, in seconds. More
#: means that it was set forward, or that the beat was on its way for so long.
CLOCK_SLACK_S = 1.0

#: Of so many beats the server's clock is compared with the worker's own.
COMPARED_BEATS = 4


class Heartbeat:
    """Beats until it is stopped.

    Args:
        leases: what each beat renews.
        describe: the calls that renew the worker's description; asked for on this thread.
        heard: called on the event loop with what each beat brought.
        awake: the seconds for which this process has run; see Health.
        give_up: called when the thread cannot be kept alive; see LastingThread.

    """

    def __init__(
        self,
        leases: Leases,
        describe: Callable[[], Sequence[Command]],
        heard: Callable[[list[Beat]], None],
        awake: Callable[[], float] = time.monotonic,
        give_up: Callable[[str], None] = log.error,
    ) -> None:
        self.health = Health(awake, LEASE_MS / 1000)
        self.thread = LastingThread("aioq-heartbeat", self._run, give_up)
        self._leases = leases
        self._describe = describe
        self._heard = heard
        self._awake = awake
        self._loop = asyncio.get_running_loop()
        self._beat_task: asyncio.Task[Any] | None = None  # the last beat, on the loop of the thread
        self._clock = ServerClock()
        self._beats = 0
        self._described: Sequence[Command] | None = None
        self._troubles: set[str] = set()

    def start(self) -> None:
        self.thread.start()

    def stop(self) -> None:
        """End the thread. A beat that is under way is cut off.

        The thread is waited for only for a moment. One that cannot be cut off, because the system looks up the
        name of a host, is left behind.
        """
        self.thread.stopped.set()
        task = self._beat_task

        if task is not None:
            with suppress(RuntimeError):  # the thread has closed its loop meanwhile
                task.get_loop().call_soon_threadsafe(task.cancel)

        self.thread.stop(timeout=STOP_S)

    def _run(self) -> None:
        pause, is_described = 0.0, True

        # What the loop has opened ends together with it. A thread that is started again has another loop.
        with asyncio.Runner(loop_factory=self._new_loop) as runner:
            while not self.thread.stopped.wait(pause):
                # A beat that has failed goes again without the description, which may have been the reason.
                try:
                    pause, is_described = runner.run(self._beat(describe=is_described)), True
                except ServerError as error:
                    log.debug("a heartbeat failed: %s", error)
                    pause, is_described = REPEAT_PAUSE_S, False
                except Exception as error:  # noqa: BLE001 - whatever it is, the lease must be renewed
                    pause, is_described = REPEAT_PAUSE_S, False
                    self._log_once("a heartbeat failed, and is repeated", error)
                    runner.run(self._leases.aclose())  # the next beat goes on a new connection

    def _new_loop(self) -> asyncio.AbstractEventLoop:
        """A loop, as soon as the system has the descriptors for one."""
        while True:
            try:
                return _BeatLoop()
            except OSError as error:
                self._log_once("the heartbeat gets no event loop yet", error)

                if self.thread.stopped.wait(REPEAT_PAUSE_S):
                    raise

    async def _beat(self, *, describe: bool) -> float:
        """One beat. The pause before the next one, in seconds."""
        self._beat_task = asyncio.current_task()

        if self.thread.stopped.is_set():  # before `stop` could see this task
            return 0.0

        # The loop has not turned since the last beat. Here it hears whether the server has closed the connection.
        await asyncio.sleep(0)
        description = self._description() if describe else None
        is_due = description is not None and (
            description != self._described or self._beats % BEATS_PER_DESCRIPTION == 0
        )
        # The lease may have begun when the call was sent. A slow answer must not put the next beat off, nor must a
        # process that stood still before it read the answer.
        sent, sent_awake = time.monotonic(), self._awake()
        self._beats += 1

        with _SHORT_TURNS:
            found = await self._leases.renew(description if is_due and description else ())

        self.health.beaten(sent_awake, lapsed=any(beat.lapsed for beat in found))

        if is_due:
            self._described = description

        clocks = [beat.clock_ms for beat in found if beat.clock_ms]

        if clocks and not self._clock.is_steady(sent, max(clocks)):
            found = [beat._replace(lost=[]) for beat in found]

        self._pass_on(found)

        return max(0.0, sent + _until_next(found) - time.monotonic())

    def _description(self) -> Sequence[Command] | None:
        """None, if it cannot be made: that is told once, and costs no lease."""
        try:
            return self._describe()
        except Exception as error:  # noqa: BLE001 - as above
            self._log_once("the description of this worker for `aioq info` cannot be made", error)

            return None

    def _log_once(self, what: str, error: Exception) -> None:
        trouble = f"{what}: {error!r}"

        if trouble not in self._troubles and len(self._troubles) < 100:
            self._troubles.add(trouble)
            log.error("%s: %r", what, error, exc_info=error)

    def _pass_on(self, found: list[Beat]) -> None:
        if self.thread.stopped.is_set():
            return

        try:
            self._loop.call_soon_threadsafe(self._heard, found)
        except RuntimeError:  # the loop was closed while this thread was in a call
            self.thread.stopped.set()


class _BeatLoop(asyncio.SelectorEventLoop):
    """The loop of a heartbeat's thread. It looks up the names of hosts on this thread, where nothing else waits.

    Another thread for that may not be had just then, and the end of the process would wait for it.
    """

    async def getaddrinfo(self, host: Any, port: Any, **options: Any) -> Any:
        return socket.getaddrinfo(host, port, **options)


class ShortTurns:
    """While it is entered, a thread that computes must hand the interpreter's lock on sooner.

    A beat needs the lock several times, and beside a hundred threads that compute each time takes a hundred turns.
    The interval is one of the whole process, so all heartbeats share this.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._usual_s = 0.0

    def __enter__(self) -> None:
        with self._lock:
            self._inside += 1

            if self._inside == 1:
                self._usual_s = sys.getswitchinterval()
                sys.setswitchinterval(min(self._usual_s, TURN_S))

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1

            # Unless the application has changed it meanwhile.
            if self._inside == 0 and sys.getswitchinterval() <= TURN_S:
                # Rounded up: the interpreter cuts what it is given to whole microseconds.
                sys.setswitchinterval(self._usual_s + 1e-7)


_SHORT_TURNS = ShortTurns()


class ServerClock:
    """Notices that the server's clock was set forward.

    Then leases seem to have ended whose workers have not had the time to beat again. So a worker that has noticed
    declares nobody dead until all others must have beaten. One that has just begun cannot notice, and waits for as
    long.
    """

    def __init__(self) -> None:
        self._ahead: deque[float] = deque(
            maxlen=COMPARED_BEATS
        )  # how far the server's clock was ahead at the last beats
        self._trusted_from = 0.0

    def is_steady(self, sent: float, clock_ms: int) -> bool:
        """Whether the leases that have ended at this beat may be believed to have.

        Args:
            sent: when the beat was sent, by this worker's monotonic clock in seconds.
            clock_ms: when it was carried out, by the server's clock.

        """
        ahead = clock_ms / 1000 - sent

        if not self._ahead:
            self._trusted_from = sent + INTERVAL_S
        elif ahead - min(self._ahead) > CLOCK_SLACK_S:
            self._trusted_from = sent + INTERVAL_S + CLOCK_SLACK_S
            self._ahead.clear()

        self._ahead.append(ahead)

        return sent >= self._trusted_from


def _until_next(found: list[Beat]) -> float:
    """The pause before the next beat: shorter, if someone's lease ends before."""
    ends = [beat.next_end_ms / 1000 + 0.01 for beat in found if beat.next_end_ms >= 0]

    return min([INTERVAL_S, *ends])
