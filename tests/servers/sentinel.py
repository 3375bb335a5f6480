"""A primary, two replicas and three sentinels."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Self

import redis

from tests.tools import eventually

from .node import HOST, PASSWORD, Node, Scene, Settings, data_settings, free_ports, safely

SERVICE = "main"

#: What a client of a sentinel may do that only looks for the primary.
FINDER = (
    "on >PASSWORD resetchannels &* resetkeys -@all +hello +ping +psubscribe +role "
    "+sentinel|get-master-addr-by-name +sentinel|master +sentinel|masters +sentinel|myid +sentinel|replicas "
    "+sentinel|sentinels +subscribe"
)


class SentinelTrio(Scene):
    """Three nodes with data, one of which is the primary, and three sentinels that watch them.

    Sentinels and replicas come to a node as users of their own, so that a node can be cut off from both while
    clients still reach it.

    Args:
        settings: of the nodes with data.
        down_after: milliseconds until a node that does not answer is believed to be down. Sentinels ask once a
            second, so with 1000 they take one for dead that they have only just begun to ask.
        failover_timeout: milliseconds after which a failover is given up.
        min_replicas: a primary takes writes only with that many replicas.
        tls, secured, program: see Scene. When secured, sentinels have a user for clients, too: "finder".

    """

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        down_after: int = 2000,
        failover_timeout: int = 3000,
        min_replicas: int = 0,
        tls: bool = False,
        secured: bool = False,
        program: str | None = None,
    ) -> None:
        super().__init__(tls=tls, secured=secured, program=program)
        self._options = settings or {}
        self._times = {"down-after-milliseconds": down_after, "failover-timeout": failover_timeout}
        self._min_replicas = min_replicas
        ports = free_ports(6)
        self.nodes = [self._data(number, port, ports[0]) for number, port in enumerate(ports[:3])]
        names = {port: secrets.token_hex(20) for port in ports[3:]}
        self.sentinels = [self._sentinel(number, names, port) for number, port in enumerate(names)]

    async def __aenter__(self) -> Self:
        try:
            for node in self.processes():
                node.launch()

            await self.healthy()
        except BaseException:
            self.close()
            raise

        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    def processes(self) -> list[Node]:
        return [*self.nodes, *self.sentinels]

    def url(self, user: str = "default") -> str:
        """What clients are given: the sentinels and the name of the service."""
        named = f"{user}:{PASSWORD}@" if self.access.secured else ""
        more = {"sentinel_username": "finder", "sentinel_password": PASSWORD} if self.access.secured else {}
        addresses = ",".join(node.address for node in self.sentinels)

        return f"{self.access.scheme}+sentinel://{named}{addresses}/{SERVICE}/0{self.access.query(**more)}"

    def ask(self, *words: str) -> Any:
        """The answer of the first sentinel that gives one."""
        for node in self.sentinels:
            if node.is_running and not node.frozen:
                return node.call("SENTINEL", *words)

        raise AssertionError("no sentinel is running")

    def primary(self) -> Node:
        """Who the sentinels say it is."""
        return self._named(self.ask("GET-MASTER-ADDR-BY-NAME", SERVICE))

    def epoch(self) -> int:
        """How many failovers sentinels have begun, whoever asked for them."""
        told = self.ask("MASTER", SERVICE)

        return int(told[told.index("config-epoch") + 1])

    def replicas(self) -> list[Node]:
        primary = self.primary()

        return [node for node in self.nodes if node is not primary]

    def admin(self) -> redis.Redis:
        """A bare client of the primary."""
        return self.primary().client()

    def kill_primary(self) -> Node:
        node = self.primary()
        node.kill()

        return node

    def freeze_primary(self) -> Node:
        node = self.primary()
        node.freeze()

        return node

    async def failover(self, *, planned: bool = True) -> Node:
        """A failover that somebody asks for; gives the new primary.

        A planned one loses nothing: the primary holds writes back until a replica has all of them. Servers before
        Valkey 9 have only the other kind, in which the old primary takes writes until it is told.
        """
        old, how = self.primary(), ("COORDINATED",) if planned else ()

        for _ in range(4):  # sentinels give one up that takes long, as on a busy machine
            with suppress(redis.ResponseError):  # one is under way
                await asyncio.to_thread(self.ask, "FAILOVER", SERVICE, *how)

            with suppress(AssertionError):
                return await self.another_than(old, timeout=12)

        raise AssertionError(f"no other primary than {old!r}")

    async def another_than(self, old: Node, timeout: float = 40) -> Node:
        """The primary, when it is another one than that, and takes writes."""

        def found() -> Node | None:
            node = self.primary()

            return node if node is not old and _role(node) == "master" else None

        await eventually(safely(found), timeout=timeout, describe=f"a primary that is not {old!r}")

        return self.primary()

    def cut_off(self, node: Node) -> None:
        """Neither sentinels nor replicas reach it any more; clients do. Needs a scene that is secured."""
        assert self.access.secured, "whoever is refused as another user is the default user then"

        with node.client() as client:
            for user in ("watcher", "replica"):
                client.execute_command("ACL", "SETUSER", user, "off")
                client.execute_command("CLIENT", "KILL", "USER", user)

    def rejoin(self, node: Node) -> None:
        with node.client() as client:
            for user in ("watcher", "replica"):
                client.execute_command("ACL", "SETUSER", user, "on")

    async def healthy(self) -> None:
        """Wait until there is one primary, all else that runs is its replica and in sync, and sentinels agree."""
        await eventually(safely(self._is_healthy), timeout=40, describe="a primary with its replicas")

    def _is_healthy(self) -> bool:
        for node in self.sentinels:
            if self._named(node.call("SENTINEL", "GET-MASTER-ADDR-BY-NAME", SERVICE)) is not self.primary():
                return False

            node.call("SENTINEL", "CKQUORUM", SERVICE)  # an error, unless they know enough of each other

        primary = self.primary()
        told = self.ask("MASTER", SERVICE)
        flags = told[told.index("flags") + 1]  # names and values take turns
        facts = primary.replication()

        return (
            flags == "master"
            and facts["role"] == "master"
            and int(facts["connected_slaves"]) == len(self.running) - 1
            and all(_follows(node, primary) for node in self.running if node is not primary)
        )

    def _named(self, address: list[str]) -> Node:
        assert address[0] == HOST

        return self.at(int(address[1]))

    def _data(self, number: int, port: int, primary: int) -> Node:
        def settings() -> Iterator[tuple[str, str]]:
            yield from data_settings(self.access, self._options)
            yield from {
                "repl-ping-replica-period": "1",
                "min-replicas-to-write": str(self._min_replicas),
                "min-replicas-max-lag": "2",
                "masteruser": "replica",
                "masterauth": PASSWORD,
            }.items()
            yield "user", f"replica on >{PASSWORD} -@all +psync +replconf +ping"
            yield "user", f"watcher on >{PASSWORD} ~* &* +@all"

            if port != primary:
                yield "replicaof", f"{HOST} {primary}"

        return Node(self.folder, f"data-{number}", port, self.access, settings())

    def _sentinel(self, number: int, names: dict[int, str], port: int) -> Node:
        """They are told of each other, because to find that out takes seconds."""

        def settings() -> Iterator[tuple[str, str]]:
            first, *others = self.nodes

            if self.access.secured:
                yield "requirepass", PASSWORD
                yield "user", f"finder {FINDER}"
                yield "sentinel", f"sentinel-pass {PASSWORD}"

            yield "sentinel", f"myid {names[port]}"
            yield "sentinel", f"monitor {SERVICE} {HOST} {first.port} 2"
            yield "sentinel", f"auth-user {SERVICE} watcher"
            yield "sentinel", f"auth-pass {SERVICE} {PASSWORD}"
            yield from (("sentinel", f"{name} {SERVICE} {value}") for name, value in self._times.items())
            yield from (("sentinel", f"known-replica {SERVICE} {HOST} {node.port}") for node in others)

            for other, name in names.items():
                if other != port:
                    yield "sentinel", f"known-sentinel {SERVICE} {HOST} {other} {name}"

        return Node(self.folder, f"sentinel-{number}", port, self.access, settings(), ["--sentinel"])


def _role(node: Node) -> str:
    return node.replication()["role"]


def _follows(node: Node, primary: Node) -> bool:
    facts = node.replication()

    return (
        facts["role"] == "slave"
        and (facts["master_port"], facts["master_link_status"]) == (str(primary.port), "up")
        and facts["master_sync_in_progress"] == "0"
    )
