"""Groups: the groups whose home is one queue, as the server keeps them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import NamedTuple, get_args

from aioq.store.calls import Calls
from aioq.store.mailbox import Mailbox, Standing
from aioq.store.net.command import Argument
from aioq.store.net.per_loop import PerLoop, running_loop
from aioq.store.reply import fields_of, text
from aioq.values.group import FILL_MS, HOWS, GroupProgress, SequelKind
from aioq.values.options import EXPIRED_TTL_MS
from aioq.values.signed import Fields

#: How many members one call lists.
PAGE = 2000


class StoredGroup(NamedTuple):
    """A group as it was at one moment.

    Args:
        progress: how many members have ended.
        fields: its record.

    """

    progress: GroupProgress
    fields: Fields

    def moment(self, field: bytes) -> datetime | None:
        """A moment in a field of the record; None if there is none."""
        ms = self.fields.get(field, b"")

        return datetime.fromtimestamp(int(ms) / 1000, UTC) if ms.isdigit() else None


class Groups:
    """The groups whose home is one queue.

    Args:
        calls: the queue's.

    """

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self._mailboxes = PerLoop(self._make_mailbox)

    async def open(
        self, name: str, token: str, kept_ms: int, sequels: Mapping[SequelKind, Mapping[bytes, Argument]]
    ) -> bool:
        """Store a group that has no members yet. False: another group has this name.

        Args:
            name: of the group.
            token: a word that was made for it.
            kept_ms: for how long it is kept after its end; -1: for ever.
            sequels: what is stored of the jobs that are made at its end.

        """
        flat: list[Argument] = []

        for kind, fields in sequels.items():
            flat += (kind, len(fields))

            for field, value in fields.items():
                flat += (field, value)

        reply = await self._calls.call(
            "open_group", g=name, token=token, kept_ms=kept_ms, fill_ms=FILL_MS, sequels=flat
        )

        return bool(reply[0] == b"ok")

    async def add(self, name: str, token: str, ids: Sequence[str]) -> int | None:
        """List jobs as members, before they are enqueued.

        Args:
            name: of the group.
            token: a word for whoever adds them. The group does not end before `close` is called with it.
            ids: of the jobs.

        Returns:
            The place of the first one; None if there is no such group.

        """
        first: int | None = None

        for at in range(0, max(len(ids), 1), PAGE):
            reply = await self._calls.call_once(
                "add_members",
                g=name,
                token=token,
                fill_ms=FILL_MS,
                expired_ttl=EXPIRED_TTL_MS,
                ids=list(ids[at : at + PAGE]),
            )

            if reply[0] == b"gone":
                return None

            first = int(reply[1]) if first is None else first

        return first

    async def close(self, name: str, token: str, absent: Sequence[int] = ()) -> bool:
        """Whoever added members is done; if all members have ended, the group ends. False: it is gone.

        Args:
            name: of the group.
            token: as for `add`; "": that of all who have not gone on in time.
            absent: the places of members that were not enqueued after all.

        """
        reply = await self._calls.call(
            "close_group", g=name, token=token, expired_ttl=EXPIRED_TTL_MS, absent=list(absent)
        )

        return bool(reply[0] == b"ok")

    async def tell(self, rows: Sequence[str]) -> None:
        """What has become of members that are jobs of other queues; see tell_group.lua."""
        await self._calls.call("tell_group", expired_ttl=EXPIRED_TTL_MS, rows=list(rows))

    async def load(self, name: str) -> StoredGroup | None:
        """The group; None if there is none."""
        reply = await self._calls.call("load_group", g=name)

        if reply[0] == b"gone":
            return None

        fields, counts = fields_of(reply[1]), {text(how): int(count) for how, count in fields_of(reply[2]).items()}
        total, over = counts.pop("total"), counts.pop("over")
        finished = over - sum(counts.values())

        return StoredGroup(
            GroupProgress(total=total, finished=finished, **counts, has_ended=b"ended_at" in fields), fields
        )

    async def names(self) -> list[str]:
        """The names of all groups that are listed. Those whose retention is over may be among them."""
        return [text(each) for each in await self._calls.send(("ZRANGE", self._calls.keys.groups, 0, -1))]

    async def members(self, name: str, first: int = 0, count: int = PAGE) -> list[str]:
        """The ids of members, in order.

        Args:
            name: of the group.
            first: the place of the first one.
            count: the most of them.

        """
        key = self._calls.keys.members + name.encode()

        return [text(each) for each in await self._calls.send(("LRANGE", key, first, first + count - 1))]

    async def over(self, name: str, how: str = "") -> bytes:
        """A bit for each member by its place: whether it has ended, or has ended in this way."""
        key = self._calls.keys.over + name.encode() + (b"/" + how.encode() if how else b"")
        bits: bytes | None = await self._calls.send(("GET", key))

        return bits or b""

    async def delete(self, *names: str) -> None:
        """Remove what is kept of groups. Their jobs stay."""
        keys = self._calls.keys

        for name in (each.encode() for each in names):
            parts = [keys.group + name, keys.members + name, keys.over + name]
            parts += [keys.over + name + b"/" + how.encode() for how in HOWS]
            parts += [keys.sequel + name + b"/" + kind.encode() for kind in get_args(SequelKind)]
            await self._calls.send(("DEL", *parts))
            await self._calls.send(("ZREM", keys.groups, name))

    async def wait(self, channel: str, whats: Sequence[str]) -> list[Standing]:
        """Register a channel for groups; see Mailbox."""
        reply = await self._calls.call("wait_group", channel=channel, whats=list(whats))

        return [row if isinstance(row, int) else fields_of(row) for row in reply[1]]

    @property
    def mailbox(self) -> Mailbox:
        """Waits for the ends of groups (by name), or for more than so many ends of members (name/number)."""
        return self._mailboxes[running_loop()]

    def _make_mailbox(self) -> Mailbox:
        return Mailbox(
            self._calls.connection.listener,
            self._calls.shared.waiter,
            self.wait,
            insists=self._calls.connection.has_others,
        )
