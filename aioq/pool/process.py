"""PoolProcess: one process of a pool, as the pool sees it: a fresh interpreter, which runs `child.py`."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from aioq.pool.link import READ_BYTES, line, take_lines
from aioq.pool.settings import ChildSettings
from aioq.worker.process import how_it_ended
from aioq.worker.streams import open_standard_descriptors

#: What a process runs: with the paths of the pool, so that it finds the same modules.
_PROGRAM = "import json, sys; sys.path[:] = json.loads(sys.argv.pop()); from aioq.pool.child import main; main()"

#: The exit codes of a process that could not begin: something was wrong, or a value can never be used.
CONFIGURATION_CODES = (1, 2)

#: That of a value that can never be used.
USAGE_CODE = 2


class PoolProcess:
    """A process of a pool, which runs one worker.

    Args:
        number: its place in the pool, from 1 on.
        generation: how often the pool had been told to restart when it was started.
        max_jobs: how many jobs it may claim.
        patience: how long it may take to stop, in seconds: after a first order, and after a second one.
        on_change: called when something has changed here.

    """

    def __init__(
        self,
        number: int,
        generation: int,
        max_jobs: int | None,
        patience: tuple[float, float],
        on_change: Callable[[], None],
    ) -> None:
        self.number = number
        self.generation = generation
        self.max_jobs = max_jobs
        #: The name of its worker; empty until it has told that.
        self.worker = ""
        #: When it has begun to serve, by the clock `time.monotonic`; None: it does not yet.
        self.serves_since: float | None = None
        #: Whether it has claimed as many jobs as it may, and ends with them.
        self.is_full = False
        #: How many jobs it has claimed in all; None unless it has ended in order.
        self.claimed: int | None = None
        #: Why it could not begin.
        self.error = ""
        #: Whether the pool does not let it serve.
        self.is_refused = False
        #: By when it must have ended, by the clock `time.monotonic`; None: it was not told to stop.
        self.must_end_at: float | None = None
        #: Its exit code; None while it runs.
        self.code: int | None = None
        self._patience = patience
        self._on_change = on_change
        self._buffer = bytearray()

    def start(self, settings: ChildSettings) -> None:
        """Start it.

        Raises:
            OSError: the system allows no further process; nothing stays open.

        """
        open_standard_descriptors()  # else the socket might get the number of a standard descriptor that is closed
        self._loop = asyncio.get_running_loop()
        ours, theirs = socket.socketpair()
        paths = json.dumps([path for path in sys.path if isinstance(path, str)])

        with theirs:
            try:
                self._process = subprocess.Popen(  # noqa: S603 - this interpreter
                    (sys.executable, "-c", _PROGRAM, str(theirs.fileno()), *settings.queues, paths),
                    stdin=subprocess.DEVNULL,
                    pass_fds=(theirs.fileno(),),
                    start_new_session=True,  # a terminal sends Ctrl-C to the pool only
                )
            except BaseException:
                ours.close()

                raise

        self._socket = ours
        self._tell(settings.of_process(self.number, self.max_jobs))
        ours.setblocking(False)
        self._loop.add_reader(ours, self._read)
        threading.Thread(target=self._wait, name=f"aioq-pool-{self.number}", daemon=True).start()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def has_ended(self) -> bool:
        return self.code is not None

    @property
    def serves(self) -> bool:
        return self.serves_since is not None and not self.has_ended

    @property
    def ended_well(self) -> bool:
        """Whether its worker has run to its end and signed off."""
        return self.code == 0 and self.claimed is not None and not self.is_refused

    @property
    def could_not_begin(self) -> bool:
        """Whether it has ended because of what it was told, or of the code that it has found."""
        return self.is_refused or (self.serves_since is None and self.code in CONFIGURATION_CODES)

    @property
    def was_misused(self) -> bool:
        """Whether that was a value that can never be used."""
        return self.is_refused or self.code == USAGE_CODE

    @property
    def end(self) -> str:
        """How it has ended."""
        if self.is_refused:
            return f"cannot serve: {self.error}"

        assert self.code is not None
        why = how_it_ended(self.code).replace(", (", " (").rstrip(",")

        return f"{why}: {self.error}" if self.error else why

    def stop(self, level: int) -> None:
        """Let it stop. Level 1: running jobs may end; 2: they go back at once. It is no signal, which a service
        manager may have sent to it as well, so that it would be a second one.
        """
        must_end_at = time.monotonic() + self._patience[level - 1]
        self.must_end_at = must_end_at if self.must_end_at is None else min(self.must_end_at, must_end_at)
        self._tell({"stop": level})

    def refuse(self, why: str) -> None:
        """Do not let it serve: its worker gives back what it has claimed, and ends."""
        self.is_refused, self.error, self.serves_since = True, why, None
        self.stop(2)

    def kill(self) -> None:
        self.must_end_at = None

        if not self.has_ended:
            with suppress(ProcessLookupError):
                self._process.send_signal(signal.SIGKILL)

    def _tell(self, facts: dict[str, Any]) -> None:
        with suppress(OSError):  # it has ended
            self._socket.sendall(line(facts))

    def _wait(self) -> None:
        """On a thread of its own: wait for the end of the process."""
        code = self._process.wait()

        with suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(self._note_end, code)

    def _note_end(self, code: int) -> None:
        self._read()  # what it has told last
        self._loop.remove_reader(self._socket)
        self._socket.close()
        self.code = code
        self._on_change()

    def _read(self) -> None:
        with suppress(OSError):  # there is nothing more, or the process has ended
            while data := self._socket.recv(READ_BYTES):
                self._buffer += data

            self._loop.remove_reader(self._socket)  # it has closed its end

        for facts in take_lines(self._buffer):
            self._hear(facts)

        self._on_change()

    def _hear(self, facts: dict[str, Any]) -> None:
        match facts:
            case {"worker": str(name)}:
                self.worker = name
            case {"serves": True}:
                self.serves_since = time.monotonic()
            case {"full": True}:
                self.is_full = True
            case {"claimed": int(number)}:
                self.claimed = number
            case {"error": str(text)}:
                self.error = text
