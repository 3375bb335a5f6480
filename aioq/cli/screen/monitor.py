"""Monitor: reads what is shown, draws it, and does what keys say, until the user leaves."""

from __future__ import annotations

import asyncio
import io
import os
import signal
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from rich.console import Console

from aioq.cli.screen.acting import carry_out
from aioq.cli.screen.keyboard import Keyboard
from aioq.cli.screen.layout import draw
from aioq.cli.screen.reading import read
from aioq.cli.screen.state import Act, Place, State, follow, press
from aioq.cli.screen.terminal import Terminal
from aioq.cli.screen.view import Page, View
from aioq.store import Connection
from aioq.values.errors import AioqError
from aioq.web.board import Board

#: Seconds between two frames at least, and for how long Escape may be the beginning of another key.
FRAME_S, ESCAPE_S = 0.1, 0.05

#: A look that takes longer than this, in seconds, is given up and begun anew.
LONGEST_LOOK_S = 5.0

#: Signals that end the screen; the shell that started it hears of them by the exit code.
_ENDING = (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)


class Monitor:
    """The screen.

    Args:
        connection: the server.
        terminal: where it is shown.
        interval: seconds between two looks.
        encoding: of the terminal.

    """

    def __init__(self, connection: Connection, terminal: Terminal, interval: float, encoding: str) -> None:
        self._board = Board(connection)
        self._terminal = terminal
        self._interval = interval
        self._encoding = encoding
        self._keyboard = Keyboard()
        self._state = State()
        self._views: dict[tuple[str, str, str], View] = {}
        self._read_at = time.monotonic()
        self._asked, self._changed, self._over = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._acting: asyncio.Task[None] | None = None
        self._ended_by: signal.Signals | None = None
        self._flushing: asyncio.TimerHandle | None = None

    async def run(self) -> int:
        """Show the screen until the user leaves; the exit code."""
        loop = asyncio.get_running_loop()
        loop.add_reader(self._terminal.keys, self._hear)
        handlers = {signal.SIGWINCH: self._redraw, signal.SIGTSTP: self._suspend, signal.SIGCONT: self._resume}

        for number, handler in handlers.items():
            loop.add_signal_handler(number, handler)

        for number in _ENDING:
            loop.add_signal_handler(number, self._end, number)

        tasks = [asyncio.create_task(each, name="aioq monitor") for each in (self._look_on(), self._draw_on())]
        leaving = asyncio.create_task(self._over.wait(), name="aioq monitor: until it is left")

        try:
            await asyncio.wait([*tasks, leaving], return_when=asyncio.FIRST_COMPLETED)

            for each in tasks:
                if each.done():
                    each.result()  # an error of its own
        finally:
            loop.remove_reader(self._terminal.keys)

            for number in (*handlers, *_ENDING):
                loop.remove_signal_handler(number)

            await _cancel([*tasks, leaving, *([self._acting] if self._acting is not None else [])])
            await self._board.aclose()

        return 0 if self._ended_by is None else 128 + self._ended_by

    # Keys and signals

    def _hear(self) -> None:
        if self._flushing is not None:
            self._flushing.cancel()

        data = self._terminal.read()

        if not data:  # the terminal is gone
            self._over.set()

            return

        self._press(self._keyboard.feed(data))

        if self._keyboard.is_waiting:
            later = asyncio.get_running_loop().call_later
            self._flushing = later(ESCAPE_S, lambda: self._press(self._keyboard.flush()))

    def _press(self, keys: list[str]) -> None:
        for key in keys:
            if key == "redraw":
                self._redraw()

                continue

            before = self._state
            self._state, act = press(before, self._view(before.place), key)

            if act is not None:
                self._begin(act)

            if self._state.place.target != before.place.target or (before.is_paused and not self._state.is_paused):
                self._state = follow(self._state, self._view(self._state.place))._replace(trouble="")
                self._asked.set()

            if self._state.is_over:
                self._over.set()

        self._changed.set()

    def _end(self, number: signal.Signals) -> None:
        self._ended_by = number
        self._over.set()

    def _redraw(self) -> None:
        self._changed.set()

    def _suspend(self) -> None:
        """Ctrl-Z: the shell gets its terminal back, and this process goes on when it is continued."""
        self._terminal.leave()
        os.kill(os.getpid(), signal.SIGSTOP)

    def _resume(self) -> None:
        self._terminal.enter()
        self._changed.set()

    # What is shown

    def _view(self, place: Place) -> View:
        title = {Page.QUEUE: f"Queue {place.queue}", Page.JOB: f"Job {place.id}"}.get(place.page, place.page)

        return self._views.get(place.target) or View(title, read_at="reading ...")

    async def _look_on(self) -> None:
        """Read what is shown, again and again. While it is paused, only what is opened is read."""
        while True:
            self._asked.clear()
            await self._look(self._state.place)
            self._changed.set()

            with suppress(TimeoutError):
                await asyncio.wait_for(self._asked.wait(), self._interval)

            if self._state.is_paused:
                await self._asked.wait()

    async def _look(self, place: Place) -> None:
        try:
            async with asyncio.timeout(LONGEST_LOOK_S):
                view = await read(self._board, place)
        except TimeoutError:
            self._tell_trouble(f"the server has not answered for {LONGEST_LOOK_S:g} s")

            return
        except AioqError as error:
            self._tell_trouble(str(error))

            return
        except Exception as error:  # noqa: BLE001 - one job that cannot be shown must not take the screen away
            self._tell_trouble(f"this page cannot be shown ({type(error).__name__}: {error})")

            return

        kept = {each.target for each in self._state.places}
        self._views = {target: each for target, each in self._views.items() if target in kept}
        self._views[place.target] = view
        self._read_at = time.monotonic()

        if self._state.place.target == place.target:
            self._state = follow(self._state, view)._replace(trouble="")

    def _tell_trouble(self, what: str) -> None:
        ago = time.monotonic() - self._read_at
        self._state = self._state._replace(trouble=f"As it was {ago:.0f} s ago: {what}")

    async def _draw_on(self) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            self._terminal.show(self._frame(), self._over.set)
            await asyncio.sleep(FRAME_S)

    def _frame(self) -> bytes:
        width, height = self._terminal.size
        out = io.StringIO()
        console = Console(file=out, force_terminal=True, width=width, height=height, highlight=False)
        console.print(draw(self._view(self._state.place), self._state, width, height), end="", crop=True)
        # A line is erased before it is written: behind a line that fills the screen, its last character would go.
        text = "\x1b[2K" + out.getvalue().replace("\n", "\r\n\x1b[2K")

        return text.encode(self._encoding, "replace")

    # What is done

    def _begin(self, act: Act) -> None:
        if self._acting is not None and not self._acting.done():
            self._state = self._state._replace(notice="One thing at a time: the last action goes on.")
        else:
            self._state = self._state._replace(notice=f"{act.verb.partition('_')[0]} ...")
            self._acting = asyncio.create_task(self._act(act), name="aioq monitor: an action")

    async def _act(self, act: Act) -> None:
        try:
            self._notice(await carry_out(self._board.connection, act, self._notice))
        except AioqError as error:
            self._notice(f"It was not done: {error}")

        if not self._state.is_paused:
            self._asked.set()

    def _notice(self, text: str) -> None:
        self._state = self._state._replace(notice=text)
        self._changed.set()


async def _cancel(tasks: Sequence[asyncio.Task[Any]]) -> None:
    for each in tasks:
        each.cancel()

    if tasks:
        await asyncio.wait(tasks)
