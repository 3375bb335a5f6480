"""Cluster: many servers that share the keys. Each command goes to the server that has its key.

All keys of a queue have one slot, so a script finds them all on one server. Another server may get the slot at any
time. The one that has lost it names the other one (MOVED) and carries nothing out, so the command is sent there.
While a slot is moved key by key, its old server answers ASK for a key that is gone. A script is refused as a whole
then (TRYAGAIN), because one of the keys that it declares is never there: see Keys.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from aioq.store.net.address import Address
from aioq.store.net.command import Argument, Command, keys_of
from aioq.store.net.node import Node
from aioq.store.net.place import Place, spelled
from aioq.store.net.refusals import unreachable
from aioq.store.net.slots import SLOTS, SlotMap
from aioq.store.net.stream import ReplyError
from aioq.store.net.subscription import Subscription
from aioq.store.net.tasks import all_settled, see_end, shared, within
from aioq.store.net.translation import translated
from aioq.store.net.wire import Wire
from aioq.values.errors import ServerError, ServerUnreachable

log = logging.getLogger("aioq.store")

T = TypeVar("T")

#: Where any server will do, the next one is tried when one has said nothing for this many seconds.
NEXT_SERVER_AFTER_S = 0.5

#: How often a command is sent on to another server before it is given up.
MOST_REDIRECTS = 5


class Cluster:
    """The way to all servers of a Cluster, for one event loop.

    Args:
        address: of the Cluster.
        slots: shared by all ways of a process to the same Cluster, also by threads.
        timeout: as for Node.

    """

    def __init__(self, address: Address, slots: SlotMap, timeout: float) -> None:
        self.address = address
        self.url = address.url
        self._timeout = timeout
        self._slots = slots
        self._nodes: dict[Place, Node] = {}
        self._asking: asyncio.Task[None] | None = None
        self._opened_before = 0

    @property
    def opened(self) -> int:
        """Wires so far, to all servers."""
        return self._opened_before + sum(node.opened for node in self._nodes.values())

    @property
    def is_open(self) -> bool:
        """Whether there is a wire to any server."""
        return any(node.is_open for node in self._nodes.values())

    async def round_trip(self, commands: Sequence[Command], left: float = math.inf) -> list[Any]:
        """Each command to the server of its key, in one round trip to each, side by side. As Node.round_trip.

        Raises:
            ServerUnreachable: one of the servers did not answer. The others have carried out what was theirs.

        """
        replies: list[Any] = [None] * len(commands)
        rest: Sequence[int] = range(len(commands))

        if self._slots.is_stale:
            left -= await self._ask_within(left)

        for _ in range(MOST_REDIRECTS):  # the server that is named may not know of it yet
            rest = await self._send_to_all(commands, rest, replies, left)

            if not rest:
                return replies

        raise sent_on(self.url, replies[rest[0]])

    async def nodes(self) -> list[Node]:
        """The servers that have keys, also those that are away."""
        await self._ask_for_slots()
        self._slots.living()

        return [self._node(place) for place in sorted(self._slots.primaries)]

    async def by_server(self, keys: Sequence[Argument]) -> list[tuple[Node | Cluster, list[int]]]:
        """The positions of keys, each with the way to their server. Keys that no server has go to this way."""
        await self._ask_for_slots()
        groups: dict[Place | None, list[int]] = defaultdict(list)

        for at, key in enumerate(keys):
            try:
                groups[self._slots.owner(key)].append(at)
            except ServerUnreachable:
                groups[None].append(at)

        return [(self if place is None else self._node(place), positions) for place, positions in groups.items()]

    async def open_wire(self, patience: float, key: Argument) -> Wire:
        """A wire of one's own to the server that has a key."""
        await self._ask_for_slots()

        return await self._node(self._slots.owner(key)).open_wire(patience, key)

    async def open_subscription(self, hear: Callable[[Any], None]) -> Subscription:
        """A connection to one of the servers that live: what is published on any of them is heard on all."""
        await self._ask_for_slots()

        async def open_at(place: Place) -> Subscription:
            def hear_here(reply: Any) -> None:
                self._watch(place, subscription)
                hear(reply)

            subscription = await self._node(place).open_subscription(hear_here)

            return subscription

        return await self._first(self._slots.living(), open_at, _abort)

    async def aclose(self) -> None:
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.wait([self._asking])

        for node in self._nodes.values():
            await node.aclose()

        self._nodes.clear()

    async def _send_to_all(
        self, commands: Sequence[Command], rest: Sequence[int], replies: list[Any], left: float
    ) -> Sequence[int]:
        """One round trip to each server, for the commands that are left. Returns those that must go elsewhere."""
        groups = self._slots.group(commands, rest)
        sent = [
            self._node(place).round_trip([commands[at] for at in positions], left)
            for place, positions in groups.items()
        ]
        # All are waited for, so that none is still under way when the call is repeated.
        found = await all_settled(sent)
        again: list[int] = []
        failures: list[BaseException] = []

        for (place, positions), answers in zip(groups.items(), found, strict=True):
            if isinstance(answers, BaseException):
                self._slots.note(place, answers)

                if isinstance(answers, ServerUnreachable) and not any(keys_of(commands[at]) for at in positions):
                    again += positions  # any other server will do

                    for at in positions:
                        replies[at] = answers
                else:
                    failures.append(answers)

                continue

            self._slots.note(place, None)

            for at, answer in zip(positions, answers, strict=True):
                replies[at] = answer

                if isinstance(answer, ReplyError) and answer.code in ("MOVED", "ASK"):
                    slot, there = _redirect_of(answer, place)

                    if answer.code == "ASK":
                        replies[at] = (await self._node(there).round_trip((("ASKING",), commands[at]), left))[1]
                    else:
                        self._slots.learn(slot, there)
                        again.append(at)

        if failures:
            raise failures[0]

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
        """Ask who has what, once for all who want to know. If nobody tells, what is known already must do.

        Raises:
            ServerError: nobody tells, and nothing is known.

        """
        try:
            with translated(self.url):
                await shared(self._begin_asking())
        except ServerError:
            if not self._slots.primaries:
                raise

    def _begin_asking(self) -> asyncio.Task[None]:
        if self._asking is None or self._asking.done():
            self._asking = asyncio.get_running_loop().create_task(self._read_slots())
            self._asking.add_done_callback(see_end)

        return self._asking

    async def _read_slots(self) -> None:
        async def read_from(place: Place) -> None:
            (reply,) = await self._node(place).round_trip((SLOTS,))
            self._slots.read(reply, place)

        await self._first(self._slots.known(), read_from)
        await self._leave_others()

    async def _first(
        self,
        places: Sequence[Place],
        attempt: Callable[[Place], Awaitable[T]],
        discard: Callable[[T], None] | None = None,
    ) -> T:
        """The first success with one of these servers. A silent one holds nobody up for long.

        Args:
            places: the servers, in the order in which they are tried.
            attempt: what to do with one.
            discard: undoes a success that comes too late.

        Raises:
            ServerError: none succeeds.

        """
        left, failures = list(places), list[ServerError]()
        running: set[asyncio.Task[T]] = set()
        found: list[T] = []

        try:
            while not found and (left or running):
                if left:
                    running.add(asyncio.ensure_future(self._attempt(left.pop(0), attempt, failures)))

                patience = NEXT_SERVER_AFTER_S if left else None
                done, running = await asyncio.wait(running, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
                found += [task.result() for task in done if task.exception() is None]
        finally:
            for task in running:
                task.cancel()

            for late in await all_settled(running):
                if not isinstance(late, BaseException):
                    found.append(late)

            for late in found[1:]:
                if discard is not None:
                    discard(late)

        if not found:
            raise _one_of(self.url, failures)

        return found[0]

    async def _attempt(
        self, place: Place, attempt: Callable[[Place], Awaitable[T]], failures: list[ServerError]
    ) -> T:
        try:
            found = await attempt(place)
        except ServerError as error:
            self._slots.note(place, error)
            failures.append(error)
            raise
        except Exception as error:  # the unforeseen, in what a server says, must not keep us from asking others
            log.exception(
                "the server %s of the Cluster is passed over: an error that nobody foresaw", spelled(place)
            )
            failures.append(ServerError(f"the server at {spelled(place)}: {error!r}"))
            raise

        self._slots.note(place, None)

        return found

    def _watch(self, place: Place, subscription: Subscription) -> None:
        """Give up a subscription whose server has left the Cluster. It would stand, and hear nothing any more."""
        if place not in self._slots.primaries:
            subscription.abort(ConnectionResetError("the server has left the Cluster"))
        elif self._slots.is_old:
            self._begin_asking()

    async def _leave_others(self) -> None:
        """Close the ways to servers that have no slots any more. Calls that still wait for them fail."""
        primaries = self._slots.primaries

        for place in [place for place in self._nodes if place not in primaries]:
            node = self._nodes.pop(place)
            self._opened_before += node.opened
            await node.aclose()


def sent_on(url: str, answer: object) -> ServerUnreachable:
    """The servers disagree on who has a key; they will agree soon."""
    if isinstance(answer, ServerUnreachable):
        return answer

    return unreachable(url, ConnectionError(f"{answer}: sent on {MOST_REDIRECTS} times"))


def _one_of(url: str, failures: Sequence[ServerError]) -> ServerError:
    """The error where no server does. As long as one of them is only away, it is worth trying again."""
    if any(isinstance(error, ServerUnreachable) for error in failures):
        return unreachable(url, ConnectionError("; ".join(map(str, failures))))

    return failures[0]


def _abort(subscription: Subscription) -> None:
    subscription.abort(ConnectionResetError("another server was faster"))


def _redirect_of(answer: ReplyError, asked: Place) -> tuple[int, Place]:
    """Slot and server of `MOVED 866 127.0.0.1:7002`; an empty host is that of the server that was asked."""
    _, slot, address, *_ = str(answer).split(" ")
    host, _, port = address.rpartition(":")

    return int(slot), (host or asked[0], int(port))
