"""`aioq worker --reload`: a supervisor that starts the worker again when source files change. For development."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NoReturn

import typer

from aioq.cli import output
from aioq.cli.common import CommandError
from aioq.values.durations import to_ms

#: How often the supervisor checks whether the worker has ended by itself, in milliseconds.
LOOK_MS = 200

#: How long a worker may take to stop, beside the times of its options, in seconds. Then it is killed.
LEAVING_S = 10.0

#: The program of a supervised worker: the command, and a thread that waits for the end of the supervisor.
_PROGRAM = "from aioq.cli.reload import follow; follow(); from aioq.cli.main import main; main()"

#: Signals that end a worker. The supervisor passes them on.
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

#: The exit code of a wrong command line, which no change of a source file can fix.
USAGE = 2


def supervise(folders: Sequence[Path], limits: Sequence[str]) -> NoReturn:
    """Run this command without `--reload`, again and again, until a signal ends it.

    Args:
        folders: where Python files are watched.
        limits: durations that the worker's stop may take.

    Raises:
        CommandError: watchfiles is not installed, or there is no such folder.
        InvalidInput: a limit is no duration.
        Exit: with the exit code of the last worker.

    """
    if find_spec("watchfiles") is None:
        raise CommandError("--reload needs the package watchfiles: pip install watchfiles")

    for folder in folders:
        if not folder.is_dir():
            raise CommandError(f"--reload: there is no directory {folder} to watch")

    patience = LEAVING_S + sum(to_ms(each, "limit") / 1000 for each in limits)
    words = [word for word in sys.argv[1:] if word != "--reload"]

    raise typer.Exit(Supervisor(words, patience).run(folders))


def follow() -> None:
    """In a supervised worker: stop it if its supervisor was killed. Nothing else would, and its code gets old."""
    life = int(sys.argv.pop(1))
    os.set_inheritable(life, False)

    def wait() -> None:
        os.read(life, 1)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, name="aioq-supervisor", daemon=True).start()


class Supervisor:
    """Runs one worker after another.

    Args:
        words: the options of its command line.
        patience: the seconds that one may take to end.

    """

    def __init__(self, words: Sequence[str], patience: float) -> None:
        self._words = words
        self._patience = patience
        self._stopped = threading.Event()
        self._life, self._own_life = os.pipe()  # the worker reads the end of this process from it
        self._worker: subprocess.Popen[bytes] | None = None

    def run(self, folders: Sequence[Path]) -> int:
        """Run workers until a signal comes. The exit code of the last one."""
        from watchfiles import PythonFilter, watch  # noqa: PLC0415 - an extra

        looks = watch(
            *folders,
            watch_filter=PythonFilter(),
            stop_event=self._stopped,
            rust_timeout=LOOK_MS,
            yield_on_timeout=True,
            ignore_permission_denied=True,
        )

        with _handled(self._pass_on):
            is_told = False

            for changes in looks:
                # The first worker starts after the watch has begun, so no change is missed.
                if changes or self._worker is None:
                    self._start_again(sorted(path for _, path in changes))
                    is_told = False
                elif (code := self._worker.poll()) is not None and not is_told:
                    if code == USAGE:
                        break

                    is_told = True
                    output.warn(f"The worker has ended with exit code {code}; it starts again when a file changes")

            return self._end()

    def _start_again(self, changed: Sequence[str]) -> None:
        if self._worker is not None:
            more = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
            output.warn(f"{_shown(changed[0])}{more} changed: the worker starts again")

            if self._worker.poll() is None:
                self._worker.terminate()

            self._end()

        if not self._stopped.is_set():
            self._worker = subprocess.Popen(  # noqa: S603 - this command
                (sys.executable, "-c", _PROGRAM, str(self._life), *self._words), pass_fds=(self._life,)
            )

    def _end(self) -> int:
        """Wait for the worker's end, and return its exit code. Its jobs have the usual time of a stop."""
        if self._worker is None:
            return 0

        try:
            code = self._worker.wait(self._patience)
        except subprocess.TimeoutExpired:
            output.warn(f"The worker has not ended within {self._patience:g} s; it is killed")
            self._worker.kill()
            code = self._worker.wait()

        return 128 - code if code < 0 else code

    def _pass_on(self, number: int, _: Any) -> None:
        self._stopped.set()

        # A terminal sends Ctrl-C to the worker as well, and a second signal would cut its stop short.
        is_from_terminal = number == signal.SIGINT and os.isatty(0)

        if self._worker is not None and self._worker.poll() is None and not is_from_terminal:
            # To a pool of processes, SIGHUP means something else.
            self._worker.send_signal(signal.SIGTERM if number == signal.SIGHUP else number)


@contextmanager
def _handled(handler: Callable[[int, Any], None]) -> Iterator[None]:
    before = {number: signal.signal(number, handler) for number in SIGNALS}

    try:
        yield
    finally:
        for number, each in before.items():
            signal.signal(number, each)


def _shown(path: str) -> str:
    """A path, relative to the current directory if possible."""
    try:
        return str(Path(path).relative_to(Path.cwd()))
    except (ValueError, OSError):
        return path
