"""Pace: how many jobs a worker may claim beyond those that it runs.

With nothing claimed ahead, a slot whose job has ended stays empty for a round trip. With a fixed number ahead,
jobs that turn out slow would wait here while another worker is idle. So the number follows the pace of late: it is
the number of jobs that end during a round trip and within CLAIMED_AHEAD_BEGIN_S after it. A job that has waited
longer all the same is given back (see Slots).
"""

from __future__ import annotations

import time

#: A worker with fewer slots than this claims nothing ahead: with so few, the order counts more than the pace.
CLAIMING_AHEAD_MIN_SLOTS = 10

#: Seconds within which a job that was claimed ahead should begin, once it is here.
CLAIMED_AHEAD_BEGIN_S = 0.02

#: The weight of one round trip in the mean time of a round trip.
ROUND_TRIP_WEIGHT = 0.1

#: The pace is measured anew after this long, in seconds: a few round trips.
PACE_WINDOW_S = 0.01


class Pace:
    """The rate at which jobs end, and how long a round trip takes.

    Args:
        slots: how many jobs run side by side. No more than so many are claimed ahead.

    """

    def __init__(self, slots: int) -> None:
        self.ahead = 0
        self._max_ahead = slots if slots >= CLAIMING_AHEAD_MIN_SLOTS else 0
        self._ended = 0
        self._since = time.monotonic()
        self._round_trip_s = 0.0

    def note_round_trip(self, seconds: float) -> None:
        """Note how long a round trip took."""
        self._round_trip_s += ROUND_TRIP_WEIGHT * (seconds - self._round_trip_s)

    def note_ended(self, ended: int) -> None:
        """Measure the pace.

        Args:
            ended: how many jobs have ended in all.

        """
        now = time.monotonic()
        seconds = now - self._since

        if seconds >= PACE_WINDOW_S:
            window_s = CLAIMED_AHEAD_BEGIN_S + self._round_trip_s
            self.ahead = min(self._max_ahead, int((ended - self._ended) / seconds * window_s))
            self._ended, self._since = ended, now
