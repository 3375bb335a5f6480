"""What the processes tell each other. No client library is used to talk to the server."""

from __future__ import annotations

import re
import socket
from pathlib import Path

# A new keeper sends this to the process that started it, once the server answers.
READY = b"ready"

_ANSWER_SECONDS = 1.0

# While the server loads its data it answers PING with an error.
_PONG_AND_PID = re.compile(rb"\A\+PONG\r\n.*^process_id:(\d+)\r$", re.DOTALL | re.MULTILINE)


def server_pid(path: Path) -> int | None:
    """The process id of the server that listens there. None if no server answers, or it is not ready."""
    found = _PONG_AND_PID.match(_converse(path, b"PING\r\nINFO server\r\nQUIT\r\n"))
    return int(found[1]) if found else None


def ask_to_stop(path: Path) -> None:
    """Tell the server to write its data and end, without waiting for that."""
    _converse(path, b"SHUTDOWN NOSAVE\r\n")


def _converse(path: Path, commands: bytes) -> bytes:
    try:
        with socket.socket(socket.AF_UNIX) as link:
            link.settimeout(_ANSWER_SECONDS)
            link.connect(str(path))
            link.sendall(commands)
            return b"".join(iter(lambda: link.recv(4096), b""))
    except OSError:
        return b""
