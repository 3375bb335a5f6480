"""Steps of the clock of a server that stands alone."""

from __future__ import annotations

import asyncio
import random

from tests.chaos.history import Event
from tests.chaos.topology import Standalone

from .kinds import fault, now

#: How long the clock keeps its new value, or its old one again, in seconds: at least until all workers have beaten
#: by it. After two steps that come sooner, who has beaten between them looks dead beside who has not.
SHORTEST, LONGEST = 8.0, 16.0

#: How far a step goes, in seconds: from less than a lease to less than results are kept.
SMALLEST, LARGEST = 2.0, 300.0


@fault("clock", 1)
async def clock_step(scene: Standalone, rng: random.Random) -> Event | None:
    """The server's clock is set forward or back, and after a while as it was."""
    if not scene.clock.works:
        return None

    async with scene.at_server:
        at, sign = now(), rng.choice([-1, 1])
        shift = sign * round(SMALLEST * (LARGEST / SMALLEST) ** rng.random())
        scene.clock.set(shift)
        await asyncio.sleep(rng.uniform(SHORTEST, LONGEST))
        scene.clock.set(0)
        until = now()
        await asyncio.sleep(SHORTEST)

        return Event(at, "fault", until=until, shift=shift)
