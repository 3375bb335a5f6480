"""Cluster: many servers that share the keys. Each command goes to the server that has its key.

All keys of a queue have one slot, so a script always finds them on one server; which one that is may change at any
time. A server that does not have a slot any more says who has it (MOVED), and has carried nothing out, so the
command is sent there. While a slot is moved key by key, the server that is left says ASK where a key is gone, and
a script is refused as a whole (TRYAGAIN), since of the keys that it declares one is never there: see Keys.
"""

from __future__ import annotations

import asyncio
import math
import random
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from redis.crc import REDIS_CLUSTER_HASH_SLOTS, key_slot
from redis.exceptions import MovedError

from aioq.store.address import Address, Place
from aioq.store.node import Node, ThreadNode, within
from aioq.store.script import Argument, Command, keys_of
from aioq.store.translation import refusal, translated, unreachable
from aioq.store.wire import ReplyError, Subscription, Wire
from aioq.values.errors import ServerError, ServerUnreachable

SLOTS: Command = ("CLUSTER", "SLOTS")

#: How often a command is sent on to another server before it is given up.
HOPS = 5


class SlotMap:
    """Which server has which slot, as far as is known. Threads may share it.

    Args:
        url: names the Cluster in errors.
        seeds: servers to ask first.

    """

    def __init__(self, url: str, seeds: Sequence[Place]) -> None:
        self.is_stale = True
        self._url = url
        self._seeds = tuple(seeds)
        self._owners: list[Place | None] = [None] * REDIS_CLUSTER_HASH_SLOTS

    def primaries(self) -> list[Place]:
        """The servers that have slots."""
        return sorted({place for place in self._owners if place is not None})

    def known(self) -> list[Place]:
        """All servers that may tell, in no order, so that not all ask the same one."""
        found = list({*self.primaries(), *self._seeds})
        random.shuffle(found)

        return found

    def owner(self, key: Argument | None) -> Place:
        """Who has a key; for None, anyone.

        Raises:
            ServerUnreachable: nobody has its slot.

        """
        if key is None:
            found = next((place for place in self._owners if place is not None), None)
        else:
            found = self._owners[key_slot(key if isinstance(key, bytes) else str(key).encode())]

        if found is None:
            self.is_stale = True
            raise unreachable(self._url, ConnectionError(f"no server of the Cluster has the slot of {key!r}"))

        return found

    def group(self, commands: Sequence[Command], which: Iterable[int]) -> dict[Place, list[int]]:
        """The positions of commands, by the server that has their keys."""
        groups: dict[Place, list[int]] = defaultdict(list)

        for at in which:
            groups[self.owner(next(iter(keys_of(commands[at])), None))].append(at)

        return groups

    def learn(self, slot: int, place: Place) -> None:
        """One slot is known to be elsewhere. Others may be, too."""
        self._owners[slot] = place
        self.is_stale = True

    def read(self, reply: Any, asked: Place) -> None:
        """Take over what a server says of all slots.

        Raises:
            ServerError: it is no member of a Cluster, or refuses to tell.

        """
        if isinstance(reply, Exception):
            raise refusal(self._url, reply, SLOTS)

        owners: list[Place | None] = [None] * REDIS_CLUSTER_HASH_SLOTS

        for first, last, (host, port, *_), *_ in reply:
            owners[first : last + 1] = [(host.decode() if host else asked[0], int(port))] * (last + 1 - first)

        self._owners, self.is_stale = owners, False


class Cluster:
    """The way to all servers of a Cluster.

    Args:
        address: of the Cluster.
        timeout: as for Node.
        slots: shared by all ways of a process to the same Cluster.

    """

    def __init__(self, address: Address, timeout: float, slots: SlotMap | None = None) -> None:
        self.address = address
        self.url = address.url
        self._timeout = timeout
        self._slots = slots or SlotMap(address.url, address.seeds)
        self._nodes: dict[Place, Node] = {}
        self._asking: asyncio.Task[None] | None = None
        self._opened_before = 0

    @property
    def opened(self) -> int:
        """Wires so far, to all servers."""
        return self._opened_before + sum(node.opened for node in self._nodes.values())

    def sibling(self, timeout: float) -> Cluster:
        """Another way to the same Cluster."""
        return Cluster(self.address, timeout, self._slots)

    async def trip(self, commands: Sequence[Command], left: float = math.inf) -> list[Any]:
        """Each command to the server of its key, in one round trip to each, side by side. As Node.trip.

        Raises:
            ServerUnreachable: one of the servers did not answer. The others have carried out what was theirs.

        """
        replies: list[Any] = [None] * len(commands)
        rest: Sequence[int] = range(len(commands))

        if self._slots.is_stale:
            left -= await self._ask_within(left)

        for _ in range(HOPS):  # where a server sends it is newer than what others may know yet
            rest = await self._visit_all(commands, rest, replies, left)

            if not rest:
                return replies

        raise sent_on(self.url, replies[rest[0]])

    async def nodes(self) -> list[Node]:
        """The servers that have keys."""
        await self._ask_for_slots()

        return [self._node(place) for place in self._slots.primaries()]

    async def open_wire(self, patience: float, key: Argument) -> Wire:
        """A wire of one's own to the server that has a key."""
        await self._ask_for_slots()

        return await self._node(self._slots.owner(key)).open_wire(patience, key)

    async def open_subscription(self, hear: Callable[[Any], None]) -> Subscription:
        """A connection to one of the servers: what is published on any of them is heard on all."""
        await self._ask_for_slots()

        place = random.choice(self._slots.primaries())  # noqa: S311 - spreads a crowd, no secret

        return await self._node(place).open_subscription(hear)

    def for_thread(self, timeout: float) -> ThreadCluster:
        """The way there for one thread beside the event loop. timeout: seconds that a call may take."""
        return ThreadCluster(self.address, self._slots, timeout)

    async def aclose(self) -> None:
        if self._asking is not None and self._asking.get_loop() is asyncio.get_running_loop():
            self._asking.cancel()
            await asyncio.wait([self._asking])

        for node in self._nodes.values():
            await node.aclose()

        self._nodes.clear()

    async def _visit_all(
        self, commands: Sequence[Command], rest: Sequence[int], replies: list[Any], left: float
    ) -> Sequence[int]:
        """One round trip to each server, for the commands that are left. Returns those that must go elsewhere."""
        groups = self._slots.group(commands, rest)
        visits = [self._node(place).trip([commands[at] for at in mine], left) for place, mine in groups.items()]
        # All are waited for, so that none goes on behind the back of whoever repeats the call.
        found = await asyncio.gather(*visits, return_exceptions=True)
        again: list[int] = []

        for (place, mine), answers in zip(groups.items(), found, strict=True):
            if isinstance(answers, BaseException):
                self._slots.is_stale |= isinstance(answers, ServerUnreachable)
                raise answers

            for at, answer in zip(mine, answers, strict=True):
                replies[at] = answer

                if isinstance(answer, ReplyError) and answer.code in ("MOVED", "ASK"):
                    slot, there = _told(answer, place)

                    if answer.code == "ASK":
                        replies[at] = (await self._node(there).trip((("ASKING",), commands[at]), left))[1]
                    else:
                        self._slots.learn(slot, there)
                        again.append(at)

        return again

    def _node(self, place: Place) -> Node:
        node = self._nodes.get(place)

        if node is None:
            node = self._nodes[place] = Node(self.address.at(place), self._timeout)

        return node

    async def _ask_within(self, left: float) -> float:
        """Ask who has what, for no longer than these seconds. How many it took."""
        loop = asyncio.get_running_loop()
        begun = loop.time()

        try:
            with translated(self.url):
                await within(self._ask_for_slots(), left)
        except ServerUnreachable as error:
            error.silence = loop.time() - begun
            raise

        return loop.time() - begun

    async def _ask_for_slots(self) -> None:
        """Ask who has what, once for all who want to know."""
        loop = asyncio.get_running_loop()

        if self._asking is None or self._asking.done() or self._asking.get_loop() is not loop:
            self._asking = loop.create_task(self._read_slots())
            self._asking.add_done_callback(_see)

        await asyncio.shield(self._asking)

    async def _read_slots(self) -> None:
        failure: ServerError | None = None

        for place in self._slots.known():
            try:
                (reply,) = await self._node(place).trip((SLOTS,))
                self._slots.read(reply, place)
            except ServerError as error:
                failure = error
            else:
                await self._leave_others()

                return

        assert failure is not None
        raise failure

    async def _leave_others(self) -> None:
        """Close the way to servers that have no slots any more. Who still waits for such a one waits in vain."""
        primaries = set(self._slots.primaries())

        for place in [place for place in self._nodes if place not in primaries]:
            node = self._nodes.pop(place)
            self._opened_before += node.opened
            await node.aclose()


class ThreadCluster:
    """The way to all servers of a Cluster for one thread, which may wait for them.

    Args:
        address: of the Cluster.
        slots: shared with the event loop.
        timeout: seconds that a call may take.

    """

    def __init__(self, address: Address, slots: SlotMap, timeout: float) -> None:
        self._address, self._slots, self._timeout = address, slots, timeout
        self._nodes: dict[Place, ThreadNode] = {}

    def trip(self, commands: Sequence[Command]) -> list[Any]:
        """Each command to the server of its key, one server after the other. As ThreadNode.trip."""
        replies: list[Any] = [None] * len(commands)
        left: Sequence[int] = range(len(commands))

        if self._slots.is_stale:
            self._read_slots()

        for _ in range(HOPS):
            left = self._visit_all(commands, left, replies)

            if not left:
                return replies

        raise sent_on(self._address.url, replies[left[0]])

    def close(self) -> None:
        for node in self._nodes.values():
            node.close()

        self._nodes.clear()

    def _visit_all(self, commands: Sequence[Command], left: Sequence[int], replies: list[Any]) -> Sequence[int]:
        again: list[int] = []

        for place, mine in self._slots.group(commands, left).items():
            try:
                answers = self._node(place).trip([commands[at] for at in mine])
            except ServerUnreachable:
                self._slots.is_stale = True
                raise

            for at, answer in zip(mine, answers, strict=True):
                replies[at] = answer

                if isinstance(answer, MovedError):
                    self._slots.learn(answer.slot_id, (answer.host or place[0], answer.port))
                    again.append(at)

        return again

    def _node(self, place: Place) -> ThreadNode:
        if place not in self._nodes:
            self._nodes[place] = ThreadNode(self._address.at(place), self._timeout)

        return self._nodes[place]

    def _read_slots(self) -> None:
        failure: ServerError | None = None

        for place in self._slots.known():
            try:
                (reply,) = self._node(place).trip((SLOTS,))
                self._slots.read(reply, place)
            except ServerError as error:
                failure = error
            else:
                return

        assert failure is not None
        raise failure


def sent_on(url: str, answer: object) -> ServerUnreachable:
    """The servers disagree on who has a key; they will agree soon."""
    return unreachable(url, ConnectionError(f"{answer}: sent on {HOPS} times"))


def _told(answer: ReplyError, asked: Place) -> tuple[int, Place]:
    """Slot and server of `MOVED 866 127.0.0.1:7002`; an empty host is that of the server that was asked."""
    _, slot, address, *_ = str(answer).split(" ")
    host, _, port = address.rpartition(":")

    return int(slot), (host or asked[0], int(port))


def _see(task: asyncio.Task[None]) -> None:
    """Who asked may have given up: then nobody else takes note of an error."""
    if not task.cancelled():
        task.exception()
