"""Changes: what users ask for. Each is one script."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from aioq.store.acting import act_of
from aioq.store.audit import Audit
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
        audit: the queue's.
        forget: called with the ids of jobs that have been deleted.

    """

    def __init__(self, calls: Calls, audit: Audit, forget: Callable[[Sequence[str]], None]) -> None:
        self._calls = calls
        self._audit = audit
        self._forget = forget

    async def cancel(self, job_id: str, *, act: str = "") -> tuple[str, str]:
        """The verdict (ok, already, refused, gone), and the status that refuses. act: what this is a part of."""
        return _verdict(
            await self._calls.call_once(
                "cancel",
                act or act_of("cancel"),
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
                act_of("stop"),
                control=self._calls.shared.control,
                failure_ttl=FAILURE_TTL_MS,
                id=job_id,
            )
        )

    async def delete(self, ids: Sequence[str], only: JobStatus | None = None, *, act: str = "") -> int:
        """Delete jobs (only those in a state); how many there were. act: what this is a part of."""
        if not ids:
            return 0

        reply = await self._calls.call_once(
            "delete",
            act or act_of("delete"),
            control=self._calls.shared.control,
            only=only or "",
            ids=list(ids),
        )

        self._forget(ids)

        return int(reply[1])

    async def requeue(
        self, ids: Sequence[str], *, at_front: bool, reset: bool, only: JobStatus | None = None, act: str = ""
    ) -> list[str]:
        """Bring jobs back (only those in a state). For each id: ok, gone, or the status that does not allow it.

        Args:
            ids: the jobs.
            at_front: put them at the front.
            reset: count their attempts and deliveries anew.
            only: the state that they must be in; None: any that allows it.
            act: what this is a part of.

        """
        options = {"at_front": at_front, "reset": reset, "dependents": False}
        verdicts, _ = await self._requeue(ids, act or act_of("requeue"), only=only, **options)

        return verdicts

    async def requeue_with_dependents(
        self, ids: Sequence[str], *, at_front: bool, reset: bool, only: JobStatus | None = None
    ) -> tuple[list[str], dict[str, str]]:
        """As requeue. Dependents that the ends of these jobs had ended come back, too, and wait for them again.

        Returns:
            The verdicts; and those dependents, by their names, each with the state that it has now. "gone": there
            is no record. "": it is of another queue, where a row of the outbox brings it back.

        """
        act = act_of("requeue", "with dependents")

        return await self._requeue(ids, act, at_front=at_front, reset=reset, only=only, dependents=True)

    async def _requeue(
        self,
        ids: Sequence[str],
        act: str,
        *,
        at_front: bool,
        reset: bool,
        only: JobStatus | None,
        dependents: bool,
    ) -> tuple[list[str], dict[str, str]]:
        if not ids:
            return [], {}

        reply = await self._calls.call_once(
            "requeue",
            act,
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

    async def pause(self, ttl_ms: int | None = None, *, told: str = BARE, act: str = "") -> None:
        """No worker claims from the queue, until resume or for ttl_ms. told: why, as `pack_pause` packs it."""
        await self._told(_set(self._calls.keys.paused, told, ttl_ms), act)

    async def resume(self) -> None:
        """End a pause."""
        await self._told(("DEL", self._calls.keys.paused), act_of("resume"))
        await self.wake()

    async def set_retry_budget(self, budget: Mapping[bytes, int] | None, *, act: str = "") -> None:
        """Let the queue take no more retries than that; None: as many as come."""
        key = self._calls.keys.retry_budget

        if budget is None:
            await self._told(("DEL", key), act)
        else:
            await self._told(("HSET", key, *(part for field in budget.items() for part in field)), act)

    async def _told(self, command: Command, act: str) -> None:
        """A command, and in the same round trip its row of the audit."""
        commands = [command, self._audit.command(act)] if act else [command]
        await self._calls.connection.calls(commands)

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
