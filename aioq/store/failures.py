"""Failures: the failed jobs of one queue by their fingerprints."""

from __future__ import annotations

from typing import Any

from aioq.store.acting import act_of
from aioq.store.calls import Calls, verdict_of
from aioq.store.net.command import Command
from aioq.store.reply import fields_of, text
from aioq.values.durations import in_two_units
from aioq.values.failure_group import FailureGroup, read_group

#: Fingerprints that one call brings: about half a millisecond of the server's time.
PAGE = 100


class Failures:
    """What the failed jobs of a queue have failed of.

    Args:
        calls: the queue's.

    """

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    async def all(self) -> list[FailureGroup]:
        """All groups, in no order. One that comes or goes meanwhile is there or not."""
        found: dict[str, FailureGroup] = {}
        skip = 0

        while True:
            groups, looked = await self._page("", skip)
            found |= {each.fingerprint: each for each in groups}
            skip += looked

            if looked < PAGE:
                return list(found.values())

    async def one(self, name: str) -> FailureGroup | None:
        """The group with this fingerprint; None if there is none."""
        groups, _ = await self._page(name, 0)

        return groups[0] if groups else None

    async def mute(self, name: str, ms: int, by: str) -> bool:
        """Mute a group. False: there is none with this fingerprint.

        Args:
            name: the fingerprint.
            ms: for how long; -1: until it is unmuted; 0: unmute it.
            by: who says so.

        """
        act = act_of("mute" if ms else "unmute", f"for {in_two_units(ms / 1000)}" if ms > 0 else "")
        reply = await self._calls.call_once("mute", act, f=name, ms=ms, by=by)

        return bool(reply[0] == b"ok")

    async def forget(self) -> None:
        """Unmute all groups. Then none is left that has no jobs."""
        for each in await self.all():
            if each.is_muted:
                await self.mute(each.fingerprint, 0, "")

    async def _page(self, only: str, skip: int) -> tuple[list[FailureGroup], int]:
        return read_page(await self._calls.send(self.page_command(skip, only)))

    def page_command(self, skip: int, only: str = "") -> Command:
        """The call that brings a page of groups; `read_page` reads its reply."""
        return self._calls.command("failures", only=only, skip=skip, limit=PAGE)


def read_page(reply: Any) -> tuple[list[FailureGroup], int]:
    """The groups in a reply of `page_command`, and how many fingerprints were looked at."""
    verdict_of("failures", reply)
    clock_ms = int(reply[2])
    groups = [read_group(text(name), int(count), fields_of(fields), clock_ms) for name, count, fields in reply[1]]

    return groups, int(reply[3])
