"""Changes: what users ask for. Each is one script."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from aioq.store.calls import Calls
from aioq.store.net.command import Command
from aioq.store.reply import text
from aioq.values.options import CANCELED_TTL_MS, EXPIRED_TTL_MS, FAILURE_TTL_MS
from aioq.values.pause import BARE
from aioq.values.states import JobStatus


class Changes:
    """What users do with jobs and with a queue.

    Args:
        calls: the queue's.
        forget: called with the ids of jobs that have been deleted.

    """

    def __init__(self, calls: Calls, forget: Callable[[Sequence[str]], None]) -> None:
        self._calls = calls
        self._forget = forget

    async def cancel(self, job_id: str) -> tuple[str, str]:
        """The verdict (ok, already, refused, gone), and the status that refuses."""
        return _verdict(
            await self._calls.call_once(
                "cancel",
                control=self._calls.shared.control,
                canceled_ttl=CANCELED_TTL_MS,
                id=job_id,
            )
        )

    async def stop(self, job_id: str) -> tuple[str, str]:
        """As cancel, for a run in progress."""
        return _verdict(
            await self._calls.call_once(
                "stop",
                control=self._calls.shared.control,
                failure_ttl=FAILURE_TTL_MS,
                id=job_id,
            )
        )

    async def delete(self, ids: Sequence[str], only: JobStatus | None = None) -> int:
        """Delete jobs (only those in a state); how many there were."""
        if not ids:
            return 0

        reply = await self._calls.call_once(
            "delete",
            control=self._calls.shared.control,
            only=only or "",
            ids=list(ids),
        )

        self._forget(ids)

        return int(reply[1])

    async def requeue(
        self, ids: Sequence[str], *, at_front: bool, reset: bool, only: JobStatus | None = None
    ) -> list[str]:
        """Bring jobs back (only those in a state). For each id: ok, gone, or the status that does not allow it."""
        verdicts, _ = await self._requeue(ids, at_front=at_front, reset=reset, only=only, dependents=False)

        return verdicts

    async def requeue_with_dependents(
        self, ids: Sequence[str], *, at_front: bool, reset: bool, only: JobStatus | None = None
    ) -> tuple[list[str], dict[str, str]]:
        """As requeue. Dependents that the ends of these jobs had ended come back, too, and wait for them again.

        Returns:
            The verdicts; and those dependents, by their names, each with the state that it has now. "gone": there
            is no record. "": it is of another queue, where a row of the outbox brings it back.

        """
        return await self._requeue(ids, at_front=at_front, reset=reset, only=only, dependents=True)

    async def _requeue(
        self, ids: Sequence[str], *, at_front: bool, reset: bool, only: JobStatus | None, dependents: bool
    ) -> tuple[list[str], dict[str, str]]:
        if not ids:
            return [], {}

        reply = await self._calls.call_once(
            "requeue",
            only=only or "",
            lane="front" if at_front else "",
            reset=int(reset),
            with_dependents=int(dependents),
            expired_ttl=EXPIRED_TTL_MS,
            ids=list(ids),
        )
        names, states = reply[2][::2], reply[2][1::2]

        return [text(verdict) for verdict in reply[1]], dict(zip(map(text, names), map(text, states), strict=True))

    async def save_meta(
        self, job_id: str, fence: int | None, changes: Sequence[bytes], removed: Sequence[bytes]
    ) -> str:
        """ok, stale (the run has lost its claim) or gone. changes: fields and values in turn."""
        reply = await self._calls.call_once(
            "save_meta",
            id=job_id,
            fence="" if fence is None else fence,
            count=len(changes) // 2,
            changes=[*changes, *removed],
        )

        return reply[0].decode()  # type: ignore[no-any-return]

    async def pause(self, ttl_ms: int | None = None, *, told: str = BARE) -> None:
        """No worker claims from the queue, until resume or for ttl_ms. told: why, as `pack_pause` packs it."""
        await self._calls.send(_set(self._calls.keys.paused, told, ttl_ms))

    async def resume(self) -> None:
        """End a pause."""
        await self._calls.send(("DEL", self._calls.keys.paused))
        await self.wake()

    async def set_retry_budget(self, budget: Mapping[bytes, int] | None) -> None:
        """Let the queue take no more retries than that; None: as many as come."""
        key = self._calls.keys.retry_budget

        if budget is None:
            await self._calls.send(("DEL", key))
        else:
            await self._calls.send(("HSET", key, *(part for field in budget.items() for part in field)))

    async def wake(self) -> None:
        """Let one idle worker look at the queue."""
        await self._calls.call("wake")

    def wake_command(self) -> Command:
        """The call that wakes an idle worker."""
        return self._calls.command("wake")


def _verdict(reply: Any) -> tuple[str, str]:
    return reply[0].decode(), text(reply[1]) if len(reply) > 1 else ""


def _set(key: bytes | str, value: str, ttl_ms: int | None) -> Command:
    return ("SET", key, value) if ttl_ms is None else ("SET", key, value, "PX", ttl_ms)
