"""A Cluster of three primaries, each with a replica, or without."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from itertools import count
from typing import Any, Self

import redis
from redis.crc import key_slot

from tests.tools import eventually

from .node import HOST, PASSWORD, Node, Scene, Settings, data_settings, free_ports, safely

SLOTS = 16384

#: What each user of a Cluster may do as well.
CLIENTS = "+asking +cluster|slots"

#: What happens while a slot is half moved.
Halfway = Callable[[], Awaitable[Any] | Any]


def slot_of(queue: str) -> int:
    """The slot of all keys of a queue."""
    return int(key_slot(f"aioq:{{{queue}}}:".encode()))


@dataclass(frozen=True, slots=True)
class Member:
    """A node, as another one sees it."""

    id: str
    port: int
    flags: frozenset[str]
    primary: str  # its id; "-" for a primary
    slots: tuple[range, ...]

    @classmethod
    def read(cls, line: str) -> Member:
        """A line of CLUSTER NODES."""
        name, address, flags, primary, _, _, _, _, *parts = line.split()
        bounds = [part.split("-") for part in parts if not part.startswith("[")]  # in brackets: one that moves
        slots = tuple(range(int(bound[0]), int(bound[-1]) + 1) for bound in bounds)
        port = int(address.partition("@")[0].rpartition(":")[2])

        return cls(name, port, frozenset(flags.split(",")), primary, slots)

    @property
    def is_primary(self) -> bool:
        return "master" in self.flags

    @property
    def is_sound(self) -> bool:
        return not self.flags & {"fail", "fail?", "handshake", "noaddr"}


class ClusterOfSix(Scene):
    """Three primaries with a third of the slots each, and a replica for each.

    Args:
        settings: of all nodes.
        node_timeout: milliseconds until a node that does not answer is believed to be down.
        tls, secured, program: see Scene.

    """

    replicas = 3

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        node_timeout: int = 1500,
        tls: bool = False,
        secured: bool = False,
        program: str | None = None,
    ) -> None:
        super().__init__(tls=tls, secured=secured, program=program)
        self._options = settings or {}
        self._node_timeout = node_timeout
        size = 3 + self.replicas
        ports = free_ports(2 * size)
        self._buses = dict(zip(ports[:size], ports[size:], strict=True))
        self.nodes = [self._node(number, port) for number, port in enumerate(self._buses)]

    async def __aenter__(self) -> Self:
        try:
            for node in self.nodes:
                node.launch()

            for node in self.nodes:
                await node.answers()

            await self._form()
            await self.healthy()
        except BaseException:
            self.close()
            raise

        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    def url(self, user: str = "default") -> str:
        """What clients are given: two of the nodes, from which they hear of the others."""
        named = f"{user}:{PASSWORD}@" if self.access.secured else ""
        addresses = ",".join(node.address for node in self.nodes[:2])

        return f"{self.access.scheme}+cluster://{named}{addresses}{self.access.query()}"

    def members(self, seen_by: Node | None = None) -> list[Member]:
        """What one node, or the first that answers, knows of all."""
        for node in self.running if seen_by is None else [seen_by]:
            return [Member.read(line) for line in node.call("CLUSTER", "NODES").splitlines()]

        raise AssertionError("no node is running")

    def primaries(self) -> list[Node]:
        """Those that serve slots, as the first node that answers knows them."""
        return [self.at(each.port) for each in self.members() if each.is_primary and each.is_sound and each.slots]

    def replica_of(self, node: Node) -> Node:
        members = self.members()
        name = self._member(node, members).id

        return next(self.at(each.port) for each in members if each.primary == name)

    def node_of(self, queue: str) -> Node:
        """The primary that serves a queue."""
        return self.node_of_slot(slot_of(queue))

    def node_of_slot(self, slot: int) -> Node:
        return next(
            self.at(each.port)
            for each in self.members()
            if each.is_primary and each.is_sound and any(slot in some for some in each.slots)
        )

    def queues(self, number: int = 3, prefix: str = "queue") -> list[str]:
        """Names of queues, no two of the first three on one shard."""
        found: list[str] = []
        homes: list[Node] = []

        for name in (f"{prefix}-{each}" for each in count()):
            if len(found) == number:
                break

            home = self.node_of(name)

            if homes.count(home) <= len(found) // 3:
                found, homes = [*found, name], [*homes, home]

        return found

    def admins(self) -> list[redis.Redis]:
        """A bare client of each primary."""
        return [node.client() for node in self.primaries()]

    def kill_primary(self, queue: str) -> Node:
        node = self.node_of(queue)
        node.kill()

        return node

    def freeze_primary(self, queue: str) -> Node:
        node = self.node_of(queue)
        node.freeze()

        return node

    async def failover(self, primary: Node) -> Node:
        """A failover that somebody asks for, which loses nothing; gives the new primary."""
        replica = await asyncio.to_thread(self.replica_of, primary)
        await asyncio.to_thread(replica.call, "CLUSTER", "FAILOVER")
        await eventually(
            safely(lambda: all(_serves(replica, self.members(seen_by=node)) for node in self.running)),
            timeout=20, describe=f"{replica!r} takes over from {primary!r}",
        )  # fmt: skip

        return replica

    async def taken_over(self, primary: Node) -> None:
        """Wait until another node serves what a node served that is away."""
        await eventually(
            safely(lambda: all(self._is_covered(node, without=primary) for node in self.running)),
            timeout=30, describe=f"somebody takes over from {primary!r}",
        )  # fmt: skip

    async def migrate_slot(self, slot: int, target: Node, halfway: Halfway | None = None) -> None:
        """Move a slot in the classic way, key by key; `halfway` is called when half of the keys are there."""
        source = await asyncio.to_thread(self.node_of_slot, slot)
        assert source is not target
        members = self.members()
        to, come_from = self._member(target, members).id, self._member(source, members).id
        await asyncio.to_thread(target.call, "CLUSTER", "SETSLOT", slot, "IMPORTING", come_from)
        await asyncio.to_thread(source.call, "CLUSTER", "SETSLOT", slot, "MIGRATING", to)
        half = (await asyncio.to_thread(source.call, "CLUSTER", "COUNTKEYSINSLOT", slot)) // 2
        await self._move_keys(slot, source, target, half)

        if halfway is not None:
            acted = halfway()

            if inspect.isawaitable(acted):
                await acted

        await self._move_keys(slot, source, target)
        primaries = self.primaries()
        others = [node for node in primaries if node not in (source, target)]

        for node in (target, source, *others):  # first where it is now: nobody is without it
            await asyncio.to_thread(node.call, "CLUSTER", "SETSLOT", slot, "NODE", to)

        await self._known(slot, target)

    async def migrate_atomically(self, slot: int, target: Node) -> None:
        """Move a slot as a whole, which servers can do from Valkey 9 on."""
        source = await asyncio.to_thread(self.node_of_slot, slot)
        assert source is not target
        name = self._member(target, self.members()).id
        await asyncio.to_thread(source.call, "CLUSTER", "MIGRATESLOTS", "SLOTSRANGE", slot, slot, "NODE", name)
        await self._known(slot, target)

    async def healthy(self) -> None:
        """Wait until all slots are served, all that runs is sound and agrees, and replicas are in sync."""
        await eventually(safely(self._is_healthy), timeout=40, describe="a Cluster that is whole")

    def _is_healthy(self) -> bool:
        running = self.running
        owners = {frozenset((each.port, each.slots) for each in self._serving(node)) for node in running}

        return (
            len(owners) == 1
            and all(self._is_covered(node) for node in running)
            and all(
                facts["role"] == "master" or facts["master_link_status"] == "up"
                for facts in (node.replication() for node in running)
            )
        )

    def _serving(self, node: Node) -> list[Member]:
        """Who serves slots, as a node knows it."""
        running = {each.port for each in self.running}
        members = self.members(seen_by=node)

        return [
            each for each in members if each.is_primary and each.is_sound and each.slots and each.port in running
        ]

    def _is_covered(self, node: Node, *, without: Node | None = None) -> bool:
        """Whether a node finds all slots with primaries that are sound, and all that runs sound."""
        running = {each.port for each in self.running}
        members, serving = self.members(seen_by=node), self._serving(node)

        return (
            "cluster_state:ok" in node.call("CLUSTER", "INFO")
            and sum(len(some) for each in serving for some in each.slots) == SLOTS
            and all(each.is_sound for each in members if each.port in running)
            and (without is None or all(each.port != without.port for each in serving))
        )

    async def _move_keys(self, slot: int, source: Node, target: Node, count: int | None = None) -> None:
        """Move that many keys, or all; new ones do not come up at the source meanwhile."""
        auth = ["AUTH2", "default", PASSWORD] if self.access.secured else []

        while count is None or count > 0:
            batch = 10 if count is None else min(10, count)
            keys = await asyncio.to_thread(source.call, "CLUSTER", "GETKEYSINSLOT", slot, batch)

            if not keys:
                break

            words = ("MIGRATE", HOST, target.port, "", 0, 5000, *auth, "KEYS", *keys)
            await asyncio.to_thread(source.call, *words)
            count = None if count is None else count - len(keys)

    async def _known(self, slot: int, target: Node) -> None:
        def is_known() -> bool:
            found = [self._member(target, self.members(seen_by=node)) for node in self.running]

            return all(any(slot in some for some in each.slots) for each in found)

        await eventually(safely(is_known), timeout=30, describe=f"slot {slot} is with {target!r}")

    @staticmethod
    def _member(node: Node, members: list[Member]) -> Member:
        return next(each for each in members if each.port == node.port)

    async def _form(self) -> None:
        """All meet all, since to hear of each other takes them seconds."""
        share = -(-SLOTS // 3)

        for number, node in enumerate(self.nodes):
            node.call("CLUSTER", "SET-CONFIG-EPOCH", number + 1)

            if number < 3:
                last = min(SLOTS, (number + 1) * share) - 1
                node.call("CLUSTER", "ADDSLOTSRANGE", number * share, last)

            for other in self.nodes[:number]:
                node.call("CLUSTER", "MEET", HOST, other.port, self._buses[other.port])

        await eventually(safely(self._have_met), timeout=20, describe="nodes that know each other")

        for node, primary in zip(self.nodes[3:], self.nodes, strict=False):
            node.call("CLUSTER", "REPLICATE", self._member(primary, self.members(seen_by=primary)).id)

    def _have_met(self) -> bool:
        seen = [self.members(seen_by=node) for node in self.nodes]

        return all(len(members) == len(self.nodes) and all(each.is_sound for each in members) for members in seen)

    def _node(self, number: int, port: int) -> Node:
        def settings() -> Iterator[tuple[str, str]]:
            yield from data_settings(self.access, self._options, more=CLIENTS)
            yield from {
                "cluster-enabled": "yes",
                "cluster-port": str(self._buses[port]),
                "cluster-node-timeout": str(self._node_timeout),
                "cluster-replica-validity-factor": "0",
                "cluster-allow-replica-migration": "no",
                "repl-ping-replica-period": "1",
            }.items()

            if self.access.certificates is not None:
                yield "tls-cluster", "yes"

            if self.access.secured:
                yield "masterauth", PASSWORD

        return Node(self.folder, f"node-{number}", port, self.access, settings())


class ClusterOfThree(ClusterOfSix):
    """Three primaries without replicas. While one is away, the others go on."""

    replicas = 0

    def __init__(self, settings: Settings | None = None) -> None:
        super().__init__({"cluster-require-full-coverage": "no"} | (settings or {}))

    def node_of_key(self, key: str) -> Node:
        return self.node_of_slot(int(key_slot(key.encode())))

    def queue_on(self, node: Node, prefix: str = "queue") -> str:
        """The name of a queue that is on a node."""
        return next(name for name in (f"{prefix}-{each}" for each in count()) if self.node_of(name) is node)


def _serves(node: Node, members: list[Member]) -> bool:
    return any(each.port == node.port and each.is_primary and each.slots for each in members)
