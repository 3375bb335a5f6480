"""For tests: what a test lets a worker do otherwise, and what it hears of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from aioq.values.outcome import Outcome
from aioq.worker.dependencies import Overrides
from aioq.worker.run import Run


@dataclass(frozen=True, slots=True)
class ForTests:
    """What a test lets a worker do otherwise.

    Args:
        overrides: functions that are called in the place of dependencies.
        ended: hears of each run that is over, on the event loop, before its outcome is recorded. None: nothing
            is to be recorded.

    """

    overrides: Overrides
    ended: Callable[[Run, Outcome | None], None]

    def first(self, report: Callable[[Run, Outcome | None], None]) -> Callable[[Run, Outcome | None], None]:
        """A report that is heard here first."""

        def told(run: Run, outcome: Outcome | None) -> None:
            self.ended(run, outcome)
            report(run, outcome)

        return told
