"""Forks: what a process that a job forks must not take over from the process that runs jobs.

A fork has the signal handlers of its parent, and shares the descriptor that wakes the parent's event loop at a
signal. So a signal to the fork would do nothing there, and be taken by the worker for one of its own. And when the
forked code returns from the job's function, it stands in the middle of the worker: it must end there.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import NoReturn

from aioq.client.waits import current

#: The signals that the process handles in its own way.
SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Forks:
    """Acts at each fork of this process while it runs jobs. There is one, since it cannot be unregistered."""

    def __init__(self) -> None:
        self.in_fork = False
        self._owners = 0
        self._owners_of_signals = 0
        self._private: set[int] = set()
        self._fork = threading.local()
        self._is_registered = False

    @contextmanager
    def watched(self, *, signals: bool) -> Iterator[None]:
        """See to the forks of jobs.

        Args:
            signals: the process handles signals in its own way, so see to all other forks, too.

        """
        if not self._is_registered:
            self._is_registered = True
            os.register_at_fork(
                before=self._before, after_in_parent=self._after_in_parent, after_in_child=self._after_in_child
            )

        self.in_fork = False
        self._owners += 1
        self._owners_of_signals += signals

        try:
            yield
        finally:
            self._owners -= 1
            self._owners_of_signals -= signals

    def withhold(self, *descriptors: int) -> None:
        """Close these descriptors in every fork."""
        self._private.update(descriptors)

    def forget(self, descriptor: int) -> None:
        """Do not close a descriptor in forks any more: it is about to be closed here."""
        self._private.discard(descriptor)

    def _before(self) -> None:
        self._fork.mask = None

        if self._owners_of_signals or (self._owners and current.get() is not None):
            # A signal must not meet the fork before it has its own handlers.
            self._fork.mask = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)

    def _after_in_parent(self) -> None:
        if self._fork.mask is not None:
            signal.pthread_sigmask(signal.SIG_SETMASK, self._fork.mask)

    def _after_in_child(self) -> None:
        # The fork is no worker: what it forks in its turn is its own affair.
        self._owners = self._owners_of_signals = 0
        private, self._private = self._private, set()

        if self._fork.mask is None:
            return

        self.in_fork = True

        for each in private:
            with suppress(OSError):
                os.close(each)

        signal.set_wakeup_fd(-1)

        for number in SIGNALS:
            signal.signal(number, signal.SIG_DFL)

        # A signal that has come meanwhile ends the fork here: a KeyboardInterrupt would be lost in this callback.
        signal.pthread_sigmask(signal.SIG_SETMASK, self._fork.mask - set(SIGNALS))
        signal.signal(signal.SIGINT, signal.default_int_handler)


forks = Forks()


def end_fork(error: BaseException | None) -> NoReturn:
    """End a fork whose code has come to the end of the job's function, as a program ends.

    Args:
        error: what it has raised; None: nothing.

    """
    code = 0

    if isinstance(error, SystemExit):
        if isinstance(error.code, int):
            code = error.code
        elif error.code is not None:
            sys.stderr.write(f"{error.code}\n")
            code = 1
    elif error is not None:
        sys.excepthook(type(error), error, error.__traceback__)
        code = 1

    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):  # whatever the job has put there
            stream.flush()

    if isinstance(error, KeyboardInterrupt):
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)

    os._exit(code & 0xFF)
