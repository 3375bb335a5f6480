"""Locks on files: each lock shows that its holder is alive.

Three files in a directory are only locked with flock, never read:

- `users.lock`, shared: by every process that uses the server. Exclusive: by a keeper that stops it.
- `keeper.lock`, exclusive: by the keeper, handed down by the process that started it.
- `server.lock`, exclusive: by the keeper and by the server, which inherits it.

The kernel drops a lock with its last descriptor, so a lock cannot outlive its holder, however that ended.
"""

from __future__ import annotations

import os
import time
from importlib.util import find_spec
from pathlib import Path

from aioq.embedded.errors import EmbeddedError

USERS_LOCK = "users.lock"
KEEPER_LOCK = "keeper.lock"
SERVER_LOCK = "server.lock"

_RETRY_SECONDS = 0.02


def require_flock() -> None:
    """Check the platform.

    Raises:
        EmbeddedError: there is no fcntl module.

    """
    if find_spec("fcntl") is None:
        raise EmbeddedError(
            "embedded:// needs flock, which this platform does not have: use a redis:// URL instead"
        )


def open_lock(path: Path) -> int:
    """A descriptor to lock with. Like all files that Python opens, it is closed in executed programs."""
    return os.open(path, os.O_RDWR | os.O_CREAT, 0o600)


def lock(fd: int, *, shared: bool = False, until: float = 0.0) -> bool:
    """Take the lock, trying until the time `until` of the monotonic clock. True if it was taken."""
    import fcntl  # noqa: PLC0415 - this module must be importable where fcntl is missing

    operation = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    while True:
        try:
            fcntl.flock(fd, operation | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= until:
                return False
        else:
            return True

        time.sleep(_RETRY_SECONDS)


def take(path: Path, *, shared: bool = False, until: float = 0.0) -> int | None:
    """As `lock`, on a path: the locked descriptor, or None if it was not taken."""
    fd = open_lock(path)
    try:
        if lock(fd, shared=shared, until=until):
            return fd
    except BaseException:
        os.close(fd)
        raise

    os.close(fd)
    return None


def is_current(fd: int, path: Path) -> bool:
    """Whether the path still names the open file. It does not after the directory was removed."""
    try:
        return os.path.samestat(os.fstat(fd), path.stat())
    except FileNotFoundError:
        return False
