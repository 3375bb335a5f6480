"""JobProcess: one process for plain functions, as the worker sees it. `child.py` is what runs in it.

It is a fresh interpreter. It leads a group of its own, so it can be killed together with all that it has started.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections import deque
from contextlib import ExitStack, suppress
from dataclasses import asdict

from aioq.worker.forks import SIGNALS, forks
from aioq.worker.frames import next_frame, pack_frame
from aioq.worker.lines import current_style
from aioq.worker.memory import resident
from aioq.worker.streams import STDERR, has_stderr, open_standard_descriptors

#: What a process runs: with the paths of the worker, so that it finds the same modules.
_PROGRAM = "import json, sys; sys.path[:] = json.loads(sys.argv.pop()); from aioq.worker.child import main; main()"

#: Pauses between checks whether a process that was killed has ended, in seconds: each is twice the one before.
SHORTEST_PAUSE_S = 0.000_5
LONGEST_PAUSE_S = 0.05


class JobProcess(asyncio.Protocol):
    """A process that runs one function after the other.

    Args:
        process: the process, which leads a group of its own.
        life: the worker's end of the pipe that tells the process whether the worker lives.

    """

    def __init__(self, process: subprocess.Popen[bytes], life: int) -> None:
        self.fault = ""  # what was wrong with a frame of the process
        self.jobs = 0  # how many it has run
        self.transport: asyncio.Transport | None = None
        self._process = process
        self._life = life
        self._buffer = bytearray()
        self._frames: deque[list[bytes]] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._lost = False

    @property
    def memory(self) -> int:
        """Its resident memory in bytes; 0 if that cannot be told."""
        return resident(self._process.pid) or 0

    @property
    def is_alive(self) -> bool:
        return not self._lost and self._process.poll() is None

    def send(self, *parts: bytes) -> None:
        assert self.transport is not None
        self.transport.write(pack_frame(*parts))

    async def receive(self) -> list[bytes]:
        """The next frame. Raises EOFError if there will be none."""
        while not self._frames:
            if self._lost:
                raise EOFError

            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter

        return self._frames.popleft()

    async def end(self, grace: float = 0) -> int:
        """Kill the process and all that it has started; its exit code.

        Args:
            grace: for how long it may end by itself before, in seconds: it closes what its lifespan has opened.

        """
        if grace and self.transport is not None:
            self.transport.close()

            with suppress(TimeoutError):
                async with asyncio.timeout(grace):
                    await self._ended()

        if self._process.returncode is None:  # else the number may belong to another process by now
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)

        code = await self._ended()

        if self.transport is not None:
            self.transport.abort()

        if self._life >= 0:
            forks.forget(self._life)
            os.close(self._life)
            self._life = -1

        return code

    def data_received(self, data: bytes) -> None:
        self._buffer += data

        try:
            while (parts := next_frame(self._buffer)) is not None:
                self._frames.append(parts)
        except ValueError as error:
            self.fault = f"was killed: in what it has sent to its worker, {error}"
            self.connection_lost(error)
        else:
            self._wake()

    def connection_lost(self, _: Exception | None) -> None:
        self._lost = True
        self._wake()

    async def _ended(self) -> int:
        """The exit code, as soon as the process has ended."""
        pause = SHORTEST_PAUSE_S

        while (code := self._process.poll()) is None:
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE_S)

        return code

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


def spawn(lifespan: str | None = None) -> tuple[JobProcess, socket.socket]:
    """A new process, and the worker's end of the channel to it.

    Args:
        lifespan: the name of what the process enters before its first job; None: nothing.

    Raises:
        OSError, ValueError, TypeError: no process can be started; nothing stays open.

    """
    open_standard_descriptors()  # else a socket might get the number of a standard descriptor that is closed
    style = json.dumps(asdict(current_style()))
    # Python's import passes over whatever is no text.
    paths = json.dumps([path for path in sys.path if isinstance(path, str)])
    printed = STDERR if has_stderr() else subprocess.DEVNULL

    with ExitStack() as theirs, ExitStack() as ours:
        channel, other = socket.socketpair()
        ours.callback(channel.close)
        theirs.callback(other.close)
        life, held = os.pipe()
        ours.callback(os.close, held)
        theirs.callback(os.close, life)
        # The process unblocks them when it can answer: a signal to a service must not end it while it starts.
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        theirs.callback(signal.pthread_sigmask, signal.SIG_SETMASK, blocked)
        process = subprocess.Popen(  # noqa: S603 - this interpreter
            (sys.executable, "-c", _PROGRAM, str(other.fileno()), str(life), style, lifespan or "", paths),
            stdin=subprocess.DEVNULL,
            stdout=printed,  # jobs print into the worker's log
            stderr=printed,
            pass_fds=(other.fileno(), life),
            start_new_session=True,
        )
        ours.pop_all()

    forks.withhold(held)  # a fork that outlives the worker must not keep this process alive

    return JobProcess(process, held), channel


def how_it_ended(code: int) -> str:
    """How a process has ended, by its exit code."""
    if code >= 0:
        return f"has ended with the exit code {code}"

    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = "a signal"

    reason = " (if nobody has sent it, the machine was out of memory)" if -code == signal.SIGKILL else ""

    return f"was killed by {name}, signal {-code},{reason}"
