"""Holding: what holds the jobs of a whole queue back: a pause, a retry budget."""

from __future__ import annotations

from aioq.client.parts import part_of
from aioq.client.plain import awaited
from aioq.store import Store
from aioq.store.acting import act_of, actor_now
from aioq.values.durations import Duration, in_two_units, positive_ms
from aioq.values.pause import MAX_BY, pack_pause
from aioq.values.retry_budget import RetryBudget, check_budget


@part_of("Queue")
class Holding:
    """The part of a queue that holds its jobs back."""

    store: Store

    @awaited
    async def pause(
        self, duration: Duration | None = None, *, reason: str | None = None, by: str | None = None
    ) -> None:
        """Let no worker claim from the queue until `resume` (or for a duration). Runs in progress go on.

        Args:
            duration: for how long (default None: until `resume`).
            reason: why, in one line of at most 500 characters; `aioq info` and `Job.explain` tell it.
            by: who does it, in at most 100 characters; they tell that, too (default None: who acts, if
                `acting_as` says that).

        Raises:
            InvalidInput: a value cannot be used; nothing is paused.

        Example:
            >>> await queue.pause("30m", reason="the mail server moves", by="ann")  # doctest: +SKIP

        """
        ttl_ms = None if duration is None else positive_ms(duration, "duration")
        told = _told(reason, by)
        await self.store.changes.pause(ttl_ms, told=told, act=act_of("pause", _for(ttl_ms), reason or ""))

    @awaited
    async def resume(self) -> None:
        """End a pause."""
        await self.store.changes.resume()

    @awaited
    async def is_paused(self) -> bool:
        """Whether workers claim nothing from this queue, by `pause` or by `aioq suspend`."""
        return await self.store.reads.is_paused()

    @awaited
    async def set_retry_budget(self, limit: int | None, *, per: Duration = 1, at_once: int | None = None) -> None:
        """Hold retries back that come faster than this, for all workers of the queue and at once.

        It is stored with the queue. No retry fails for it: one that is too much begins its pause later. Retries
        that are held back already keep their moment. It concerns runs that raised, and runs that asked for another
        attempt; jobs that a worker gives back or loses, and requeued ones, are not held back.

        Args:
            limit: how many in the time `per`, at least 1. None: as many as come, as before.
            per: that time (default one second).
            at_once: how many at once, after a time with few (default None: as many as `limit`).

        Raises:
            InvalidInput: a value is out of its range.

        Example:
            >>> await queue.set_retry_budget(100, per="1m", at_once=20)  # doctest: +SKIP

        """
        budget = None if limit is None else check_budget(limit, per, at_once)
        detail = "none" if budget is None else f"{limit} per {in_two_units(positive_ms(per, 'per') / 1000)}"
        await self.store.changes.set_retry_budget(budget, act=act_of("retry_budget", detail))

    @awaited
    async def retry_budget(self) -> RetryBudget | None:
        """How many retries the queue takes; None: as many as come."""
        return await self.store.reads.retry_budget()


def _told(reason: str | None, by: str | None) -> str:
    """What is stored of a pause."""
    actor = actor_now()

    return pack_pause(reason, actor.by[:MAX_BY] if by is None and actor is not None else by)


def _for(ttl_ms: int | None) -> str:
    return "" if ttl_ms is None else f"for {in_two_units(ttl_ms / 1000)}"
