"""Health: whether a worker keeps its leases, as far as it can tell by its own clock. Only then may it claim."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

#: A worker whose lease has lapsed so often within so many seconds claims nothing until so many beats came in time.
MOST_LAPSES, LAPSES_WITHIN_S, BEATS_TO_RECOVER = 2, 600.0, 3


class Health:
    """What the answers to one row of beats say about the worker that sends them.

    A lapse counts only if the worker was awake and failed to beat for longer than a lease: its thread was ended,
    its way to the server was cut. A process that stood still for that time (a laptop that slept, SIGSTOP) has no
    fault that could come again, and a server that has lost its data or was away is not the worker's fault.

    Args:
        awake: the seconds for which this process has run, on a clock of any beginning that only grows.
        lease_s: how long a lease is.

    """

    def __init__(self, awake: Callable[[], float], lease_s: float) -> None:
        self._awake = awake
        self._lease_s = lease_s
        self._beaten_at = awake()
        self._lapses: deque[float] = deque(maxlen=MOST_LAPSES)
        self._in_a_row = BEATS_TO_RECOVER
        self._is_counted = False

    @property
    def has_lease(self) -> bool:
        """Whether a beat was answered within the last lease."""
        return self._awake() - self._beaten_at <= self._lease_s

    @property
    def is_distrusted(self) -> bool:
        """Whether the lease has lapsed too often lately, and the beats have not come in time since."""
        return self._in_a_row < BEATS_TO_RECOVER

    @property
    def may_claim(self) -> bool:
        """Whether the worker may claim jobs."""
        return self.has_lease and not self.is_distrusted

    def beaten(self, sent: float, *, lapsed: bool) -> None:
        """A beat was answered.

        Args:
            sent: when it was sent, by the clock `awake`.
            lapsed: the server said that the lease had ended and others have taken the jobs.

        """
        is_in_time = self.has_lease and not lapsed

        if lapsed:
            self.lapsed()

        self._beaten_at, self._is_counted = sent, False

        if is_in_time:
            self._in_a_row = min(BEATS_TO_RECOVER, self._in_a_row + 1)
        elif self.is_distrusted:
            self._in_a_row = 0

    def lapsed(self) -> None:
        """Others have taken the jobs, says a beat or a claim. It counts once for each time without a beat."""
        if self.has_lease or self._is_counted:
            return

        now, self._is_counted = self._awake(), True
        self._lapses.append(now)

        if len(self._lapses) == MOST_LAPSES and now - self._lapses[0] <= LAPSES_WITHIN_S:
            self._in_a_row = 0
