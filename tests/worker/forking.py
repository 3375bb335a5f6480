"""Plain functions that fork, and tell how their forks have ended."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

fork = multiprocessing.get_context("fork")


def code_of(pid: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def leave(how: str) -> Any:
    """A fork that comes to the end of the function, in its way."""
    if (pid := os.fork()) != 0:
        return code_of(pid)

    match how:
        case "return":
            return "from the fork"
        case "exit":
            sys.exit(3)
        case "exit text":
            sys.exit("a text")
        case "raise":
            raise ValueError("in the fork")
        case "interrupt":
            raise KeyboardInterrupt


ENDS = {"return": 0, "exit": 3, "exit text": 1, "raise": 1, "interrupt": -signal.SIGINT}


def end_by_signal(number: int) -> list[int]:
    """Forks that are sent a signal, some of them at once, while they begin."""
    codes = []

    for pause in (0, 0, 0, 0, 0.05):
        if (pid := os.fork()) == 0:
            time.sleep(30)
            os._exit(9)

        time.sleep(pause)
        os.kill(pid, number)
        codes.append(code_of(pid))

    return codes


def describe() -> list[Any]:
    return [
        signal.getsignal(signal.SIGTERM) is signal.SIG_DFL,
        signal.getsignal(signal.SIGINT) is signal.default_int_handler,
        signal.set_wakeup_fd(-1),
        sorted(signal.pthread_sigmask(signal.SIG_BLOCK, ())),
    ]


def tell(function: Callable[..., Any], *args: Any) -> Any:
    """What a function returns in a fork."""
    here, there = fork.Pipe()
    process = fork.Process(target=lambda: there.send(function(*args)))
    process.start()
    told = here.recv() if here.poll(10) else "nothing"
    process.join()
    return told


def handlers() -> Any:
    return tell(describe)


def handlers_before_a_program() -> list[Any]:
    here, there = os.pipe()
    subprocess.run(["true"], preexec_fn=lambda: os.write(there, repr(describe()).encode()), check=True)
    return eval(os.read(here, 1000))


def end_a_program() -> int:
    with subprocess.Popen(["sleep", "30"], preexec_fn=lambda: None) as program:  # noqa: PLW1509 - the subject
        program.terminate()
        return program.wait(5)


def terminate() -> int | None:
    process = fork.Process(target=time.sleep, args=(30,))
    process.start()
    process.terminate()
    process.join(10)
    process.kill()
    return process.exitcode


def pool() -> int:
    with fork.Pool(2) as workers:  # which terminates its processes
        return sum(workers.imap(abs, range(20)))


def middle() -> Any:
    """A fork that opens files, has a handler and a blocked signal of its own, and forks again."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    files = [tempfile.TemporaryFile() for _ in range(60)]
    return tell(leaf, [file.fileno() for file in files])


def leaf(numbers: list[int]) -> Any:
    lost = []

    for number in numbers:
        try:
            os.fstat(number)
        except OSError:
            lost.append(number)

    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    return lost, signal.getsignal(signal.SIGTERM) is signal.SIG_IGN, signal.SIGINT in blocked


def nested() -> Any:
    return tell(middle)


async def in_coroutine(how: str) -> Any:
    return leave(how)


async def handlers_in_coroutine() -> Any:
    return handlers()
