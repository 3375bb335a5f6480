"""A terminal of a test's own: a command runs on it, keys are pressed, and what is shown is read."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
from typing import Any, Self

from tests.cli.tools import COMMAND
from tests.tools import eventually_sync

#: Makes the terminal that of the process, so that it sends its signals there, and then becomes the command.
_LEAD = (
    "import fcntl, os, sys, termios; os.setsid(); fcntl.ioctl(0, termios.TIOCSCTTY, 0);"
    " os.execv(sys.argv[1], sys.argv[1:])"
)

#: What comes before each frame, and what gives the terminal back.
_FRAME, BACK = b"\x1b[?2026h", b"\x1b[?1049l"


class OnTerminal:
    """A command on a terminal.

    Args:
        words: the command and its options.
        environment: of the process.
        columns, lines: the size of the terminal.

    """

    def __init__(self, *words: str, environment: dict[str, str], columns: int = 80, lines: int = 24) -> None:
        self.own, its = pty.openpty()
        self.resize(columns, lines)
        self.before = termios.tcgetattr(self.own)
        environment = {name: value for name, value in environment.items() if name not in ("COLUMNS", "LINES")}
        self.process = subprocess.Popen(
            [sys.executable, "-c", _LEAD, *COMMAND, *words],
            env=environment | {"TERM": "xterm-256color"},
            stdin=its,
            stdout=its,
            stderr=its,
        )
        os.close(its)
        self.sent = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()

        os.close(self.own)

    @property
    def settings(self) -> list[Any]:
        """The settings of the terminal now."""
        return termios.tcgetattr(self.own)

    def resize(self, columns: int, lines: int) -> None:
        """As if its window became larger or smaller."""
        fcntl.ioctl(self.own, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def press(self, keys: str, text: str = "") -> None:
        """Press keys, and wait until the screen shows a text."""
        os.write(self.own, keys.encode())

        if text:
            self.shows(text)

    def shows(self, text: str, timeout: float = 30) -> None:
        """Wait until the last frame has a text, or the process has ended."""
        eventually_sync(lambda: text in self.screen() or self.process.poll() is not None, timeout=timeout)
        assert text in self.screen(), self.sent[-3000:].decode(errors="replace")

    def says(self, sent: bytes, timeout: float = 30) -> None:
        """Wait until these bytes were sent, at any time."""
        eventually_sync(lambda: self.screen() is not None and sent in self.sent, timeout=timeout)

    def screen(self) -> str:
        """The last frame that has come as a whole, without colours."""
        while select.select([self.own], [], [], 0.02)[0]:
            try:
                self.sent += os.read(self.own, 65_536)
            except OSError:  # the other end is closed
                break

        frames = self.sent.split(_FRAME)[1:]
        whole = [each for each in frames if b"\x1b[?2026l" in each]
        text = whole[-1].partition(b"\x1b[?2026l")[0].decode() if whole else ""

        return re.sub(r"\x1b\[[\d;?]*[a-zA-Z]", "", text).replace("\r", "")

    def ends(self, timeout: float = 30) -> int:
        """The exit code; what was still sent is read."""
        eventually_sync(lambda: (self.screen(), self.process.poll() is not None)[1], timeout=timeout)

        return self.process.wait()
