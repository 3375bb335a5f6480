"""Settings: what a pool was told to do, and what it tells each of its processes."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class ChildSettings:
    """What each process of a pool is told. All of it is plain, and goes to the process as JSON on a socket.

    Args:
        queues: the names of the queues.
        url: the server, with its password; None: that of the environment.
        options: of Worker, by name.
        limits: of `Worker.run`, by name.
        imports: modules that are imported before the worker begins.
        functions: further arguments of Worker, as names such as "shop.worker:lifespan".
        style: how the log looks.

    """

    queues: list[str]
    url: str | None
    options: dict[str, Any]
    limits: dict[str, Any]
    imports: list[str]
    functions: dict[str, str | list[str]]
    style: dict[str, Any] = field(default_factory=dict)

    def of_process(self, number: int, max_jobs: int | None) -> dict[str, Any]:
        """What the process of this number is told: its name and its lines in the log say which one it is."""
        told = asdict(self)
        told["style"]["child"] = number
        told["limits"]["max_jobs"] = max_jobs

        if self.options["name"] is not None:
            told["options"]["name"] = f"{self.options['name']}-{number}"

        return told


@dataclass(frozen=True, slots=True)
class PoolSettings:
    """What a pool was told. Times are in seconds, sizes in bytes.

    Args:
        processes: how many it keeps going.
        child: what each of them is told.
        max_jobs: how many jobs each may claim; None: any number.
        max_memory: how much resident memory each may have; None: any amount.
        ends: whether the processes come to an end by themselves, as those of a burst do.
        stop_s: how long a process may take to stop.
        hurried_s: how long it may take after a second stop.

    """

    processes: int
    child: ChildSettings
    max_jobs: int | None
    max_memory: int | None
    ends: bool
    stop_s: float
    hurried_s: float

    def jobs_of_first(self, number: int) -> int | None:
        """How many jobs the first process in a place may claim.

        That of the last place ends up to a tenth earlier than that of the first, so that they are not all replaced
        at the same time.
        """
        if self.max_jobs is None:
            return None

        return max(1, self.max_jobs - self.max_jobs * (number - 1) // (10 * self.processes))
