"""Processes: plain functions in processes of their own, which are used again and can be killed at any moment.

anyio's `to_process` does too little for this: it loses what a job prints, tells of a crash without its signal, and
unpickles the answer.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain

from aioq.values.errors import JobProcessError, RemoteError, ServerError
from aioq.values.retry import Retry, read_retry
from aioq.values.serializer import own_serializers
from aioq.values.signed import META
from aioq.values.sizes import shown_size
from aioq.worker.process import JobProcess, how_it_ended, spawn
from aioq.worker.run import Run, own_task
from aioq.worker.settings import ProcessLimits
from aioq.worker.taking import packed_taken
from aioq.worker.tracebacks import rebuilt

log = logging.getLogger("aioq.worker")

#: How long processes may take to close what their lifespan has opened, in seconds.
LIFESPAN_END_S = 5.0

#: How long the end of the worker waits for processes that it has killed, in seconds.
KILLED_WAIT_S = 2.0


@dataclass(frozen=True, slots=True)
class Packed:
    """What a function has returned, serialised where it ran."""

    data: bytes


class Processes:
    """The processes of a worker.

    Args:
        limits: how many there may be, and how long each is used.
        lifespan: the name of what each enters before its first job; None: nothing.

    """

    def __init__(self, limits: ProcessLimits, lifespan: str | None = None) -> None:
        self._limits = limits
        self._lifespan = lifespan
        self._free = asyncio.Semaphore(limits.number)
        self._idle: list[JobProcess] = []
        self._living: dict[JobProcess, None] = {}
        self._burials: set[asyncio.Task[int]] = set()

    async def run(self, run: Run, begin: Callable[[], None]) -> Packed | Retry:
        """Run a job's function in a process, as soon as one is free.

        If it is cancelled, the process is killed.

        Args:
            run: the run, whose record was verified.
            begin: called when the run has a process.

        Raises:
            RemoteError: what the function has raised.
            JobProcessError: the process has ended before the function did.

        """
        run.waits_for_process = True

        try:
            await self._free.acquire()
        finally:
            run.waits_for_process = False

        try:
            return await self._run(run, begin)
        finally:
            self._free.release()

    async def close(self) -> None:
        """End all processes, and wait for their ends."""
        grace = LIFESPAN_END_S if self._lifespan else 0
        ends = [*(self._bury(each, grace) for each in list(self._living)), *self._burials]

        if ends and (left := (await asyncio.wait(ends, timeout=grace + KILLED_WAIT_S))[1]):
            log.error(
                "processes of jobs that were killed and have not ended, since the system holds them: %d", len(left)
            )

    async def _run(self, run: Run, begin: Callable[[], None]) -> Packed | Retry:
        process = self._next_idle() or await self._start()

        try:
            begin()
            process.send(*_described(run))
            kind, *parts = await _answer(run, process)
        except EOFError:
            code = await self._bury(process)

            raise JobProcessError(
                f"the process of the job {process.fault or how_it_ended(code)} before the job did"
            ) from None
        except BaseException:
            await self._bury(process)

            raise

        self._keep(process)

        if kind == b"result":
            return Packed(*parts)

        if kind == b"retry":
            policy, *cause = parts

            if not cause:
                return _policy(policy)

            raise _policy(policy) from _cause(*cause)

        run.returned = kind in (b"returned", b"unread")  # neither would come to anything else

        raise _remote_error(*parts)

    def _keep(self, process: JobProcess) -> None:
        """Use a process again, unless it has run enough jobs, or has grown too large."""
        process.jobs += 1
        most_jobs, most_memory = self._limits.max_jobs, self._limits.max_memory
        is_used_up = most_jobs is not None and process.jobs >= most_jobs

        if is_used_up or (most_memory is not None and process.memory > most_memory):
            log.debug("a process of jobs ends after %d jobs, with %s", process.jobs, shown_size(process.memory))
            self._bury(process)
        else:
            self._idle.append(process)

    def _next_idle(self) -> JobProcess | None:
        """The process that was used last, and still lives."""
        while self._idle:
            if (process := self._idle.pop()).is_alive:
                return process

            self._bury(process)

        return None

    async def _start(self) -> JobProcess:
        serializers = own_serializers()  # they may hold secrets, and others can see the arguments of a process

        try:
            process, channel = spawn(self._lifespan)
        except (OSError, ValueError, TypeError) as error:
            raise JobProcessError(f"no process could be started for the job: {error}") from None

        self._living[process] = None

        try:
            loop = asyncio.get_running_loop()
            process.transport, _ = await loop.create_unix_connection(lambda: process, sock=channel)
            kind, *parts = await process.receive()

            if serializers:
                process.send(serializers)
        except EOFError:
            code = await self._bury(process)

            raise JobProcessError(f"the process for the job {how_it_ended(code)} before it was ready") from None
        except BaseException:
            if process.transport is None:
                channel.close()

            await self._bury(process)

            raise

        if kind == b"failed":
            await self._bury(process)

            raise JobProcessError(f"process_lifespan {self._lifespan} has failed at its start:\n{_text(parts[0])}")

        return process

    def _bury(self, process: JobProcess, grace: float = 0) -> asyncio.Future[int]:
        """Kill a process, and wait for its end; the exit code. This goes on if nobody waits for it."""
        self._living.pop(process, None)
        burial = own_task(process.end(grace))
        self._burials.add(burial)
        burial.add_done_callback(self._burials.discard)

        return asyncio.shield(burial)


def _described(run: Run) -> tuple[bytes, ...]:
    """The job as its process gets it: verified, and without signatures."""
    record = run.claim.record.opened()
    fields = chain.from_iterable((record.fields | packed_taken(run.taken) if run.taken else record.fields).items())

    return run.id.encode(), run.store.queue.encode(), b"%d" % run.claim.fence, *fields


async def _answer(run: Run, process: JobProcess) -> list[bytes]:
    """What the run came to. Until then, its meta is saved as often as the process asks for that."""
    while (parts := await process.receive())[0] == b"meta":
        process.send(*await _save_meta(run, parts[1:]))

    return parts


def _policy(packed: bytes) -> Retry:
    """The Retry that the function has returned or raised."""
    try:
        return read_retry(packed)
    except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError) as error:
        raise JobProcessError(f"the process of the job has sent a Retry that cannot be read: {error}") from None


def _cause(text: bytes, error_type: bytes = b"", error_message: bytes = b"") -> BaseException | None:
    """The error that has led to a Retry, if there is one."""
    if not text:
        return None

    return rebuilt(RemoteError(_text(text), (), _text(error_type), _text(error_message)))


def _remote_error(made_of: bytes, *texts: bytes) -> RemoteError:
    """What the function has raised."""
    text, error_type, error_message, belongs = map(_text, texts)
    kinds, *members = json.loads(belongs)

    return RemoteError(text, kinds, error_type, error_message, made_of, members)


def _text(packed: bytes) -> str:
    return packed.decode(errors="surrogatepass")


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
