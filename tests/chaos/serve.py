"""A worker of a trial: `python -m tests.chaos.serve WORDS`, with the words of the command `aioq worker`.

It is the command as users run it. It also says when it serves, and ends one of its own threads when a signal asks
for it, as an error would do that nobody has foreseen.
"""

from __future__ import annotations

import ctypes
import signal
import sys
import threading
from collections.abc import Callable
from typing import Any

from aioq.cli.main import main
from aioq.worker.worker import Worker

#: Which threads a signal ends, by the beginning of their names.
ENDS = {signal.SIGUSR1: "aioq-heartbeat", signal.SIGUSR2: "aioq-guard"}

#: The signal after which the threads of each kind are counted.
COUNTS = signal.SIGWINCH


def of_kind(name: str) -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith(name)]


def end_threads(number: int, frame: object) -> None:
    """Raise SystemExit in all threads that a signal stands for. They meet it at their next instruction."""
    for thread in of_kind(ENDS[signal.Signals(number)]):
        if thread.ident is not None:
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(SystemExit))


def count_threads(number: int, frame: object) -> None:
    """Print how many threads there are of each kind."""
    for name in ENDS.values():
        print("threads", name, len(of_kind(name)), flush=True)


async def run(self: Worker, *, ready: Callable[[], None] | None = None, **options: Any) -> int:
    """As `Worker.run`; says when it serves."""

    def say() -> None:
        print("ready", self.name, flush=True)

        if ready is not None:
            ready()

    return await serve(self, ready=say, **options)


if __name__ == "__main__":
    serve, Worker.run = Worker.run, run  # type: ignore[method-assign]

    for each in ENDS:
        signal.signal(each, end_threads)

    signal.signal(COUNTS, count_threads)

    sys.argv = ["aioq", "worker", *sys.argv[1:]]
    main()
