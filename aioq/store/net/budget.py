"""Budget: what a call may cost while its server is silent, over all its attempts."""

from __future__ import annotations

import random
from collections.abc import Sequence

from aioq.values.errors import ServerUnreachable

#: A call is given up after so many seconds without a moving byte, unless the caller has said something else.
CALL_TIMEOUT_S = 15.0

#: One attempt of it, where there may be another one: a new connection may lead to a server that answers. It is far
#: above the time of any script. An attempt gets a third of a longer budget.
ATTEMPT_TIMEOUT_S = 5.0

#: A patient call is repeated after these pauses, in seconds, each shortened or lengthened by up to a half.
PAUSES = (0.05, 0.2, 0.8)


class Budget:
    """Counts what the attempts of one call have cost. It is made when the first attempt has failed.

    Args:
        seconds: what all attempts and the pauses between them may cost, without time in which bytes moved.
        pauses: seconds before each further attempt.

    """

    def __init__(self, seconds: float, pauses: Sequence[float]) -> None:
        self.left = seconds
        self._pauses = list(pauses)

    def pause_after(self, error: ServerUnreachable) -> float:
        """Seconds to wait before the next attempt.

        Raises:
            ServerUnreachable: the given error; there is no attempt left, or no time for one.

        """
        self.left -= error.silence

        if not self._pauses or self.left <= self._pauses[0]:
            raise error

        pause = self._pauses.pop(0) * (0.5 + random.random())  # noqa: S311 - spreads a crowd, no secret
        self.left -= pause

        return pause


def attempt_timeout(budget: float, asked: float | None, *, is_repeated: bool, has_others: bool) -> float:
    """Seconds without a moving byte after which one attempt of a call is given up.

    Args:
        budget: seconds that all attempts together may cost.
        asked: the `socket_timeout` that the caller has set; None if there is none.
        is_repeated: the call is repeated when an attempt fails.
        has_others: another server may take over when one is silent.

    """
    if asked is not None:
        longest = asked
    elif is_repeated:
        longest = max(ATTEMPT_TIMEOUT_S, budget / 3)
    else:
        longest = budget

    return min(budget, longest, ATTEMPT_TIMEOUT_S if has_others else longest)
