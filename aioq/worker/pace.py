"""Pace: how many jobs a worker may claim beyond those that it runs.

With nothing claimed ahead, a slot whose job has ended stays empty for a round trip. With a fixed number ahead,
jobs that turn out slow would wait here while another worker is idle. So the number follows the pace of late: as
many as end during a round trip, and as would begin within AHEAD after it. What has waited longer all the same is
given back (see Executor).
"""

from __future__ import annotations

import time

#: With fewer slots than this nothing is claimed ahead: whoever chose them wants the order more than the pace.
FEW = 10

#: Seconds within which a job that was claimed ahead should begin, once it is here.
AHEAD = 0.02

#: What one round trip counts for in the time that they take of late.
SHARE = 0.1

#: The pace is taken anew after this long, in seconds: a few round trips.
WINDOW = 0.01


class Pace:
    """The rate at which jobs end, and how long a round trip takes.

    Args:
        slots: how many jobs run side by side; no more than as many are claimed ahead.

    """

    def __init__(self, slots: int) -> None:
        self.ahead = 0
        self._most = slots if slots >= FEW else 0
        self._ended = 0
        self._since = time.monotonic()
        self._trip = 0.0

    def note_trip(self, seconds: float) -> None:
        """Take how long a round trip took."""
        self._trip += SHARE * (seconds - self._trip)

    def note(self, ended: int) -> None:
        """Take the pace.

        Args:
            ended: how many jobs have ended in all.

        """
        now = time.monotonic()
        took = now - self._since

        if took >= WINDOW:
            self.ahead = min(self._most, int((ended - self._ended) / took * (AHEAD + self._trip)))
            self._ended, self._since = ended, now
