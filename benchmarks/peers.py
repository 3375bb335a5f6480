"""The peers: what is installed for each, how it is run, and what is left out for it."""

from __future__ import annotations

from dataclasses import dataclass

#: All that a peer can be measured in. A benchmark that is not named here is aioq's alone.
WAYS = ("one", "gather", "many", "drain", "users", "latency")

#: Jobs that wait for others, groups, and being told of a group's end: each of them only few peers have.
GRAPHS = ("fan_out", "fan_in", "chain")
GROUPS = ("group", "told")

#: Of the number of jobs of aioq and the floor. Rates are per second, and slow systems need less to show theirs.
SHARE = 0.15

#: The suffix of a peer that runs with its own defaults.
DEFAULTS = "defaults"


@dataclass(frozen=True)
class Peer:
    """One peer.

    Args:
        packages: what pip installs.
        ways: what it is measured in; why something is missing, its adapter says.
        concurrency: jobs at once where a benchmark does not name a number: the fastest of 10, 32, 100 and 500.
        share: of the number of jobs that aioq gets.
        most: jobs of one graph.
        results: whether results are stored, so that the run can be verified with them.

    """

    packages: tuple[str, ...]
    ways: tuple[str, ...] = WAYS
    concurrency: int = 100
    share: float = SHARE
    most: int | None = None
    results: bool = True


#: typing-extensions and packaging stand here for peers that import them without requiring them.
PEERS = {
    "ardiq": Peer(("ardiq==1.2.0", "redis==5.3.1"), concurrency=500, share=1),
    "streaq": Peer(("streaq==7.2.0", "redis==5.3.1"), ways=("one", "gather", "many", "drain", "latency", *GRAPHS)),
    "docket": Peer(("pydocket==0.26.0", "redis==5.3.1")),
    "arq": Peer(("arq==0.28.0", "redis==5.3.1"), ways=("one", "gather", "drain", "users", "latency")),
    "saq": Peer(
        ("saq[redis]==0.26.4", "redis==5.3.1", "typing-extensions==4.15.0"),
        ways=("one", "gather", "drain", "users", "latency"),
        concurrency=32,
    ),
    "taskiq": Peer(
        ("taskiq==0.13.0", "taskiq-redis==1.2.4", "redis==8.1.0"), ways=("one", "gather", "drain", "users")
    ),
    "repid": Peer(
        ("repid[redis]==2.1.4", "redis==7.4.1", "typing-extensions==4.15.0"),
        ways=("one", "gather", "drain"),
        share=1,
        results=False,
    ),
    "rq": Peer(
        ("rq==3.0.0", "redis==5.3.1"), ways=("one", "many", "drain", "latency", *GRAPHS, "group"), share=0.025
    ),
    "dramatiq": Peer(("dramatiq==2.2.1", "redis==5.3.1"), ways=("one", "drain", "latency")),
    "celery": Peer(
        ("celery==5.6.3", "redis==6.4.0", "packaging==25.0"), ways=("one", "drain", "latency", *GRAPHS, *GROUPS)
    ),
    "huey": Peer(("huey==3.5.4", "redis==5.3.1"), ways=("one", "drain", "latency")),
    "bullmq": Peer(("bullmq==3.4.4", "redis==7.4.1"), ways=(*WAYS, "fan_in", "chain")),
    "toro": Peer(("toro-queue==1.1.0", "redis==8.1.0"), ways=(*WAYS, "fan_in", "chain"), most=1000),
}


def peer(system: str) -> Peer | None:
    """The peer of a system's name; None for aioq and the floor."""
    return PEERS.get(system.partition(":")[0])


def has(system: str, way: str) -> bool:
    """Whether a system can be measured in this way. aioq can; the floor has only what every queue has."""
    found = peer(system)

    return way in found.ways if found else system == "aioq" or way in WAYS


def with_defaults(system: str) -> bool:
    return system.endswith(f":{DEFAULTS}")


def concurrency(system: str) -> int | None:
    """Jobs at once where a benchmark does not name a number; None is the system's default."""
    if with_defaults(system):
        return None

    found = peer(system)

    return found.concurrency if found else 100
