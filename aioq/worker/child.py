"""The other side of `process.py`: what runs in a process, one job after the other, until its worker ends.

It has no connection to the server, and it gets no secret: the worker verifies a job before it sends it, and signs
and records the answer.
"""

from __future__ import annotations

import faulthandler
import fcntl
import io
import json
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from itertools import chain
from typing import Any, NoReturn

from aioq.client.context import CurrentJob, resources
from aioq.client.meta import changed_meta
from aioq.client.plain import DONE, coroutine_method, dropped, not_awaited
from aioq.client.waits import current
from aioq.store import Store
from aioq.values import errors
from aioq.values.cause import origin
from aioq.values.errors import DeserializationError, InvalidJobOperation, NotAwaited
from aioq.values.outcome import is_final
from aioq.values.record import JobRecord
from aioq.values.resolving import resolve
from aioq.values.retry import Retry, kinds, members_of
from aioq.values.serializer import know_own_serializers
from aioq.values.signed import META
from aioq.values.summary import summary
from aioq.worker import lines
from aioq.worker.forks import SIGNALS, end_fork, forks
from aioq.worker.frames import next_frame, pack_frame
from aioq.worker.process_lifespan import process_lifespan
from aioq.worker.streams import drop_what_nobody_takes
from aioq.worker.taking import FIRST, Taken, unpack_taken, with_results
from aioq.worker.tracebacks import error_text

log = logging.getLogger("aioq.worker")

#: How much is read at once.
READ_BYTES = 262_144


class WorkerChannel:
    """The socket to the worker.

    Args:
        channel: the child's end.

    """

    def __init__(self, channel: socket.socket) -> None:
        self._socket = channel
        self._buffer = bytearray()

    def send(self, *parts: bytes) -> None:
        self._socket.sendall(pack_frame(*parts))

    def receive(self) -> list[bytes]:
        """The next frame. Raises EOFError if the worker has closed the channel."""
        while (parts := next_frame(self._buffer)) is None:
            if not (data := self._socket.recv(READ_BYTES)):
                raise EOFError

            self._buffer += data

        return parts


class ChildJob(CurrentJob):
    """A job as its own function sees it here: a snapshot, of which only the meta can be saved.

    Args:
        record: what is stored of the job, without signatures.
        queue: the name of its queue.
        fence: the number of the claim.
        channel: to the worker.

    """

    __slots__ = ("_channel", "_lock", "_queue")

    def __init__(self, record: JobRecord, queue: str, fence: int, channel: WorkerChannel) -> None:
        super().__init__(record, None, fence=fence)
        self._queue = queue
        self._channel: WorkerChannel | None = channel
        self._lock = threading.Lock()  # threads that the function has started may save, too

    @property
    def origin(self) -> str:
        return self._queue

    @property
    def resources(self) -> Any:
        """What the process_lifespan has yielded. Raises InvalidJobOperation if the worker has none."""
        try:
            return resources.get()
        except LookupError:
            raise InvalidJobOperation(
                f"job {self.id} runs in a process of its own, which enters no lifespan: open what it needs in its"
                " function, or give the worker a process_lifespan"
            ) from None

    def save_meta_sync(self) -> None:
        """As `save_meta`. The worker does it, and the function waits for the answer."""
        if (changes := changed_meta(self.record, self.meta)) is not None:
            parts = chain.from_iterable((changes.changed | dict.fromkeys(changes.removed, b"")).items())
            self._meta_saved(self._ask(b"meta", *(part.removeprefix(META) for part in parts)), changes.present)

    @coroutine_method
    def save_meta(self) -> Coroutine[Any, Any, None]:
        """As `save_meta_sync`; it may be awaited, and need not be."""
        self.save_meta_sync()

        return DONE

    def close(self) -> None:
        """The run has ended: from now on, requests of threads that it has left are refused."""
        with self._lock:
            self._channel = None

    def _ask(self, *parts: bytes) -> str:
        with self._lock:
            if self._channel is None:
                raise InvalidJobOperation(f"job {self.id}: this run has ended; its meta was not saved")

            self._channel.send(*parts)
            verdict, text = (part.decode() for part in self._channel.receive())

        if text:
            raise getattr(errors, verdict, errors.ServerError)(text)

        return verdict

    @property
    def _enqueued_store(self) -> Store:
        """There is none here. Raises InvalidJobOperation."""
        raise InvalidJobOperation(
            f"job {self.id} runs in a process of its own, which has no connection to the server:"
            " `job.save_meta_sync()` saves its meta; for all else, open a Queue in the function"
        )


def main() -> NoReturn:
    """Run the jobs that the worker sends, until the worker ends.

    The arguments of the process: the channel, the pipe that ends with the worker, how its log looks, and the name
    of the process_lifespan, if there is one.
    """
    channel, life = map(int, sys.argv[1:3])
    _leave_signals_to_the_worker()
    _end_with_the_worker(life)

    for each in (channel, life):  # no program that a job starts has them, and no fork
        os.set_inheritable(each, False)
        forks.withhold(each)

    drop_what_nobody_takes()
    faulthandler.enable()  # a crash shows the job's line
    lines.install(lines.Style(**json.loads(sys.argv[3])))

    if isinstance(sys.stdout, io.TextIOWrapper):  # what a job prints must not be lost when the process is killed
        sys.stdout.reconfigure(line_buffering=True)

    with suppress(EOFError, OSError), forks.watched(signals=True):
        _open_and_serve(WorkerChannel(socket.socket(fileno=channel)), *sys.argv[4:])

    os._exit(0)  # threads that jobs have left behind must end as well


def _open_and_serve(channel: WorkerChannel, lifespan: str = "") -> None:
    """Serve, and have the lifespan open meanwhile. An error of its start is the worker's to tell."""
    if not lifespan:
        return _serve(channel)

    try:
        manager = process_lifespan(lifespan)
        value = manager.__enter__()
    except BaseException as error:  # noqa: BLE001 - SystemExit too
        return channel.send(b"failed", _encoded(error_text(error)))

    resources.set(value)

    try:
        _serve(channel)
    finally:
        try:
            manager.__exit__(None, None, None)
        except BaseException:
            log.exception("process_lifespan %s has failed at its end", lifespan)


def _serve(channel: WorkerChannel) -> None:
    channel.send(b"ready")

    while True:
        parts = channel.receive()

        if len(parts) == 1:
            _know_serializers(*parts)
            continue

        job_id, queue, fence, *flat = parts
        fields = dict(zip(flat[::2], flat[1::2], strict=True))
        taken = unpack_taken(fields) if FIRST in fields else ()
        reply = _run(ChildJob(JobRecord(job_id.decode(), fields), queue.decode(), int(fence), channel), taken)

        with suppress(Exception):  # a job may have closed it
            sys.stdout.flush()

        channel.send(*reply)


def _know_serializers(packed: bytes) -> None:
    """Know the serializers of users that the worker knows."""
    try:
        know_own_serializers(packed)
    except DeserializationError:  # a job that needs one will fail, and name it
        log.exception("the serializers that the worker was given cannot be loaded in the process of a job")


def _run(job: ChildJob, taken: Sequence[Taken]) -> tuple[bytes, ...]:
    record, kind = job.record, b"raised"
    dropped_calls: list[str] = []
    current.set(job)
    dropped.set(dropped_calls)

    try:
        func = resolve(record.func_name)
        kind = b"unread"  # a call that cannot be read now cannot be later, mostly
        instance, args, kwargs = record.call()

        if taken:
            args, kwargs = with_results(taken, args, kwargs)

        kind = b"raised"

        if instance is not None:
            args = (instance, *args)

        result = func(*args, **kwargs)
        kind = b"returned"  # the result may still be one that cannot be serialised

        if forks.in_fork:  # the job has forked, and this is the fork
            end_fork(None)

        _refuse_dropped(dropped_calls)

        if isinstance(result, Retry):
            return b"retry", _packed_retry(result)

        return b"result", record.pack_result(result)
    except BaseException as error:  # noqa: BLE001 - SystemExit too: whatever a job raises is its own failure
        if forks.in_fork:
            end_fork(error)

        if kind == b"unread" and not is_final(error, found=True):
            kind = b"raised"

        if isinstance(error, Retry):
            return b"retry", _packed_retry(error), *map(_encoded, _cause_of(error))

        if dropped_calls and not isinstance(error, NotAwaited):
            error.add_note(not_awaited(dropped_calls))

        belongs = json.dumps([kinds(error), *members_of(error)])

        return kind, origin(error), *map(_encoded, (error_text(error), *summary(error), belongs))
    finally:
        job.close()
        current.set(None)
        dropped.set(None)


def _packed_retry(retry: Retry) -> bytes:
    return json.dumps(retry.to_dict()).encode()


def _cause_of(retry: Retry) -> tuple[str, ...]:
    """What a Retry that was raised says of the error that led to it: the traceback, and a summary."""
    cause = retry.__cause__ or (None if retry.__suppress_context__ else retry.__context__)

    return ("",) if cause is None else (error_text(cause), *summary(cause))


def _encoded(text: str) -> bytes:
    return text.encode(errors="surrogatepass")


def _refuse_dropped(calls: list[str]) -> None:
    """Let a job fail whose function has made calls and not awaited them."""
    if calls:
        raise NotAwaited(not_awaited(calls))


def _leave_signals_to_the_worker() -> None:
    """Do nothing at signals that go to all processes of a service, or of a terminal: the worker answers them.

    The signals are not ignored, because programs that a job starts would then ignore them, too.
    """
    for number in SIGNALS:
        signal.signal(number, lambda *_: None)

    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)  # the worker has blocked them for the start


def _end_with_the_worker(life: int) -> None:
    """Kill this process, and all that jobs have started, when the worker ends and closes its end of the pipe.

    Linux does this itself, even while C code of a job holds the interpreter. Elsewhere a thread does it.
    """
    if sys.platform != "linux":
        threading.Thread(target=_await_end, args=(life,), name="aioq-life", daemon=True).start()

        return

    fcntl.fcntl(life, fcntl.F_SETOWN, -os.getpgrp())
    fcntl.fcntl(life, fcntl.F_SETSIG, signal.SIGKILL)
    fcntl.fcntl(life, fcntl.F_SETFL, os.O_ASYNC | os.O_NONBLOCK)

    with suppress(BlockingIOError):  # nothing to read, and no end: the worker lives
        _await_end(life)


def _await_end(life: int) -> None:
    os.read(life, 1)
    os.killpg(0, signal.SIGKILL)
