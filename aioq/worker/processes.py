"""Plain functions in processes of their own, which are kept and used again, and can be killed at any moment.

A process is a fresh interpreter that runs `child.py`. anyio's `to_process` does too little for this: what a job
prints vanishes, a crash is told without its signal, and what comes back is unpickled.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass
from itertools import chain
from typing import Any

from aioq.values.errors import InvalidFunction, JobProcessError, RemoteError, ServerError
from aioq.values.reference import is_plain
from aioq.values.retry import Retry, read_retry
from aioq.values.signed import META
from aioq.worker.forks import SIGNALS, forks
from aioq.worker.frames import pack, take
from aioq.worker.lines import current_style
from aioq.worker.run import Run, own_task
from aioq.worker.streams import STDERR, has_stderr, open_standard_descriptors

log = logging.getLogger("aioq.worker")

#: What a process runs: with the paths of the worker, so that it finds the same modules.
_PROGRAM = "import json, sys; sys.path[:] = json.loads(sys.argv.pop()); from aioq.worker.child import main; main()"

#: Pauses between looks for the end of a process that was killed, in seconds: each is twice the one before.
SHORTEST_LOOK = 0.000_5
LONGEST_LOOK = 0.05

#: How long the end of the worker waits for processes that it has killed, in seconds.
DEATH_S = 2.0


@dataclass(frozen=True, slots=True)
class Packed:
    """What a function has returned, serialised where it ran."""

    data: bytes


class Processes:
    """The processes of a worker.

    Args:
        limit: how many there may be.
        find: brings the function of a run.

    """

    def __init__(self, limit: int, find: Callable[[Run], Awaitable[Callable[..., Any]]]) -> None:
        self.waiting: dict[Run, None] = {}
        self._find = find
        self._slots = asyncio.Semaphore(limit)
        self._idle: list[Child] = []
        self._living: dict[Child, None] = {}
        self._burials: set[asyncio.Task[int]] = set()

    async def run(self, run: Run, begin: Callable[[Run], None]) -> Packed | Retry:
        """Run a job's function in a process, as soon as one is free.

        If it is cancelled, the process is killed.

        Args:
            run: the run.
            begin: called when it begins.

        Raises:
            FunctionNotAllowed, BadSignature, DeserializationError, InvalidFunction: it is not to be run.
            RemoteError: what the function has raised.
            JobProcessError: the process has ended before the function did.

        """
        record = run.claim.record

        if record.signer is not None:
            record.verify()

        if not is_plain(await self._find(run)):
            raise InvalidFunction(
                f'{record.func_name} is awaited, and executor="process" is for plain functions. Leave the option'
                " away: a coroutine runs on the event loop"
            )

        self.waiting[run] = None

        try:
            await self._slots.acquire()
        finally:
            del self.waiting[run]

        try:
            return await self._run(run, begin)
        finally:
            self._slots.release()

    async def close(self) -> None:
        """Kill all processes, and wait for their ends."""
        ends = [*map(self._bury, list(self._living)), *self._burials]

        if ends and (left := (await asyncio.wait(ends, timeout=DEATH_S))[1]):
            log.error(
                "processes of jobs that were killed and have not ended, since the system holds them: %d", len(left)
            )

    async def _run(self, run: Run, begin: Callable[[Run], None]) -> Packed | Retry:
        child = self._take_idle() or await self._start()

        try:
            begin(run)
            child.send(*_described(run))
            kind, *parts = await _answer(run, child)
        except EOFError:
            code = await self._bury(child)

            raise JobProcessError(
                f"the process of the job {child.fault or _ending(code)} before the job did"
            ) from None
        except BaseException:
            await self._bury(child)

            raise

        self._idle.append(child)

        if kind == b"result":
            return Packed(*parts)

        if kind == b"retry":
            return _policy(*parts)

        run.returned = kind == b"returned"
        made_of, *told = parts
        text, error_type, error_message, *kinds = (part.decode(errors="surrogatepass") for part in told)

        raise RemoteError(text, kinds, error_type, error_message, made_of)

    def _take_idle(self) -> Child | None:
        """The process that was used last, and still lives."""
        while self._idle:
            if (child := self._idle.pop()).is_alive:
                return child

            self._bury(child)

        return None

    async def _start(self) -> Child:
        try:
            child, channel = _spawn()
        except (OSError, ValueError, TypeError) as error:
            raise JobProcessError(f"no process could be started for the job: {error}") from None

        self._living[child] = None

        try:
            loop = asyncio.get_running_loop()
            child.transport, _ = await loop.create_unix_connection(lambda: child, sock=channel)
            await child.receive()  # that it is ready
        except EOFError:
            code = await self._bury(child)

            raise JobProcessError(f"the process for the job {_ending(code)} before it was ready") from None
        except BaseException:
            if child.transport is None:
                channel.close()

            await self._bury(child)

            raise

        return child

    def _bury(self, child: Child) -> asyncio.Future[int]:
        """Kill a process, and wait for its end, which brings its exit code. It goes on if nobody waits."""
        self._living.pop(child, None)
        burial = own_task(child.end())
        self._burials.add(burial)
        burial.add_done_callback(self._burials.discard)

        return asyncio.shield(burial)


class Child(asyncio.Protocol):
    """One process, as the worker sees it.

    Args:
        process: the process, which leads a group of its own.
        life: the worker's end of the pipe that tells the process whether the worker lives.

    """

    def __init__(self, process: subprocess.Popen[bytes], life: int) -> None:
        self.fault = ""
        self.transport: asyncio.Transport | None = None
        self._process = process
        self._life = life
        self._buffer = bytearray()
        self._frames: deque[list[bytes]] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._lost = False

    @property
    def is_alive(self) -> bool:
        return not self._lost and self._process.poll() is None

    def send(self, *parts: bytes) -> None:
        assert self.transport is not None
        self.transport.write(pack(*parts))

    async def receive(self) -> list[bytes]:
        """The next frame. Raises EOFError if there will be none."""
        while not self._frames:
            if self._lost:
                raise EOFError

            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter

        return self._frames.popleft()

    async def end(self) -> int:
        """Kill the process and all that it has started; its exit code."""
        pause = SHORTEST_LOOK

        if self._process.returncode is None:  # else the number may belong to another process by now
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)

        while (code := self._process.poll()) is None:
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_LOOK)

        if self.transport is not None:
            self.transport.abort()

        if self._life >= 0:
            forks.release(self._life)
            os.close(self._life)
            self._life = -1

        return code

    def data_received(self, data: bytes) -> None:
        self._buffer += data

        try:
            while (parts := take(self._buffer)) is not None:
                self._frames.append(parts)
        except ValueError as error:
            self.fault = f"was killed: in what it has sent to its worker, {error}"
            self.connection_lost(error)
        else:
            self._wake()

    def connection_lost(self, _: Exception | None) -> None:
        self._lost = True
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


def _spawn() -> tuple[Child, socket.socket]:
    """A new process, and the worker's end of the channel to it.

    Raises:
        OSError, ValueError, TypeError: none can be started; nothing stays open.

    """
    open_standard_descriptors()  # else a socket might take the place of one that is closed
    style = json.dumps(asdict(current_style()))
    # Python's import passes over all that is no text.
    paths = json.dumps([path for path in sys.path if isinstance(path, str)])
    printed = STDERR if has_stderr() else subprocess.DEVNULL

    with ExitStack() as theirs, ExitStack() as ours:
        channel, other = socket.socketpair()
        ours.callback(channel.close)
        theirs.callback(other.close)
        life, held = os.pipe()
        ours.callback(os.close, held)
        theirs.callback(os.close, life)
        # Blocked until it can answer them: a signal to all processes of a service must not end it while it starts.
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        theirs.callback(signal.pthread_sigmask, signal.SIG_SETMASK, blocked)
        process = subprocess.Popen(  # noqa: S603 - this interpreter
            (sys.executable, "-c", _PROGRAM, str(other.fileno()), str(life), style, paths),
            stdin=subprocess.DEVNULL,
            stdout=printed,  # what jobs print stands in the worker's log
            stderr=printed,
            pass_fds=(other.fileno(), life),
            start_new_session=True,
        )
        ours.pop_all()

    forks.keep(held)  # a fork that outlives the worker must not keep this process alive

    return Child(process, held), channel


def _described(run: Run) -> tuple[bytes, ...]:
    """The job as its process is told of it, verified and without signatures."""
    record = run.claim.record.opened()
    fields = chain.from_iterable(record.fields.items())

    return run.id.encode(), run.store.queue.encode(), b"%d" % run.claim.fence, *fields


async def _answer(run: Run, child: Child) -> list[bytes]:
    """What the run came to; meanwhile, its meta is saved as often as it asks for that."""
    while (parts := await child.receive())[0] == b"meta":
        child.send(*await _save_meta(run, parts[1:]))

    return parts


def _policy(packed: bytes) -> Retry:
    """The Retry that the function has returned."""
    try:
        return read_retry(packed)
    except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError) as error:
        raise JobProcessError(f"the process of the job has sent a Retry that cannot be read: {error}") from None


async def _save_meta(run: Run, parts: list[bytes]) -> tuple[bytes, bytes]:
    """The verdict, or an error's kind and text. parts: names and values in turn; an empty one removes its name."""
    changes: list[bytes] = []
    removed: list[bytes] = []

    for name, value in zip(parts[::2], parts[1::2], strict=False):
        field = META + name

        if value:
            changes += (field, run.claim.record.seal(field, value))
        else:
            removed.append(field)

    try:
        return (await run.store.changes.save_meta(run.id, run.claim.fence, changes, removed)).encode(), b""
    except ServerError as error:
        return type(error).__name__.encode(), str(error).encode()


def _ending(code: int) -> str:
    """How a process has ended, by its exit code."""
    if code >= 0:
        return f"has ended with the exit code {code}"

    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = "a signal"

    reason = " (if nobody has sent it, the machine was out of memory)" if -code == signal.SIGKILL else ""

    return f"was killed by {name}, signal {-code},{reason}"
