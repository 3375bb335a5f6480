"""Terminal: the keys as they are pressed, and a screen of its own. All is restored, whatever happens."""

from __future__ import annotations

import asyncio
import os
import shutil
import termios
import tty
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

#: Another screen, no cursor, no line breaks by the terminal, and pasted texts are marked.
_ENTER = b"\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[?2004h\x1b[2J\x1b[H"

#: All of that back. The first character ends a sequence that was not sent to its end.
_LEAVE = b"\x18\x1b[0m\x1b[?2004l\x1b[?7h\x1b[?25h\x1b[?1049l"

#: A terminal that shows a frame as a whole does not flicker; others pass over these.
_BEGIN, _END = b"\x1b[?2026h", b"\x1b[?2026l"

#: What is read at once.
READ_BYTES = 4096


class Terminal:
    """A terminal that shows frames.

    Writing never waits: a terminal that takes nothing, because of Ctrl-S or a slow line, gets the newest frame
    when it takes something again.

    Args:
        keys: the descriptor that keys are read from.
        screen: the descriptor that frames are written to.

    """

    def __init__(self, keys: int, screen: int) -> None:
        self.keys = keys
        self._screen = screen
        self._saved: list[Any] | None = None
        self._own: int | None = None
        self._rest = b""
        self._next: bytes | None = None

    def __enter__(self) -> Self:
        self._own = _unblocked(self._screen)
        self.enter()

        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.leave()

        if self._own is not None:
            os.close(self._own)
            self._own = None

    @property
    def size(self) -> tuple[int, int]:
        """Columns and lines."""
        with suppress(OSError):
            columns, lines = os.get_terminal_size(self._screen)

            if columns and lines:
                return columns, lines

        return shutil.get_terminal_size()

    def enter(self) -> None:
        """Take the terminal. Ctrl-C and Ctrl-Z stay what they are."""
        if self._saved is None:
            self._saved = termios.tcgetattr(self.keys)

        tty.setcbreak(self.keys, termios.TCSADRAIN)
        self._write(_ENTER)

    def leave(self) -> None:
        """Give the terminal back as it was."""
        if self._saved is None:
            return

        self._forget()

        with suppress(OSError):  # there is no terminal any more
            self._write(_LEAVE)

        with suppress(termios.error):
            termios.tcsetattr(self.keys, termios.TCSADRAIN, self._saved)

        self._saved = None

    def read(self) -> bytes:
        """What was pressed; b"" if the terminal is gone. To be called when there is something."""
        try:
            return os.read(self.keys, READ_BYTES)
        except OSError:
            return b""

    def show(self, frame: bytes, when_gone: Callable[[], None]) -> None:
        """Show a frame, now or when the terminal takes it.

        Args:
            frame: the lines, with the sequences for their styles.
            when_gone: called if there is no terminal any more.

        """
        whole = _BEGIN + b"\x1b[H" + frame + b"\x1b[0m" + _END

        if self._rest:
            self._next = whole
        else:
            self._rest = whole
            self._go_on(when_gone)

    def _go_on(self, when_gone: Callable[[], None]) -> None:
        """Write what the terminal takes. The rest is written when it takes more."""
        assert self._own is not None

        try:
            while self._rest:
                self._rest = self._rest[os.write(self._own, self._rest) :]

                if not self._rest and self._next is not None:
                    self._rest, self._next = self._next, None
        except BlockingIOError:
            asyncio.get_running_loop().add_writer(self._own, self._go_on, when_gone)

            return
        except OSError:
            self._rest = b""
            when_gone()

        asyncio.get_running_loop().remove_writer(self._own)

    def _forget(self) -> None:
        """Leave out what was not written yet."""
        self._rest, self._next = b"", None

        with suppress(RuntimeError):  # there is no loop any more
            if self._own is not None:
                asyncio.get_running_loop().remove_writer(self._own)

    def _write(self, data: bytes) -> None:
        while data:
            data = data[os.write(self._screen, data) :]


def _unblocked(screen: int) -> int:
    """The same terminal, opened for this process alone, so that writing to it does not wait.

    The descriptor that the process was given is shared with the shell, which would not wait then either. Where the
    terminal has no name that can be opened, writing may wait.
    """
    try:
        return os.open(os.ttyname(screen), os.O_WRONLY | os.O_NOCTTY | os.O_NONBLOCK)
    except OSError:
        return os.dup(screen)
