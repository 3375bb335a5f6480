"""Bench: what a benchmark needs to run, and what it leaves behind."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from benchmarks.environments import python
from benchmarks.machine import cores
from benchmarks.peers import peer
from benchmarks.process import Process
from benchmarks.server import Server, Shards

#: `--size` names the jobs of the drain benchmark; all other sizes keep their proportion to it.
FULL_SIZE = 20_000
QUICK_SIZE = 5_000


@dataclass
class Plan:
    """How the command line wants it."""

    quick: bool
    repeat: int
    size: int
    uvloop: bool
    spin: bool
    aof: bool
    unix: bool
    binary: str
    peers: tuple[str, ...] = ()


@dataclass
class Outcome:
    """What one run of one system brought.

    Args:
        system: which.
        figures: by key.
        checks: what was verified, and whether it is so.
        notes: what a reader of the table must know.

    """

    system: str
    figures: dict[str, float] = field(default_factory=dict)
    checks: list[tuple[str, bool]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


class Bench:
    """The tools of a benchmark.

    Args:
        plan: the command line.
        step: called when a run begins, with what it is.

    """

    def __init__(self, plan: Plan, step: Callable[[str], None]) -> None:
        self.plan = plan
        self._step = step
        self._server_core, self.core = cores() or (None, None)

    def size(self, full: int, least: int = 50, system: str = "aioq") -> int:
        """A number of jobs, scaled to the size that was asked for, and to what the system is given."""
        found = peer(system)
        share = found.share if found else 1

        return max(least, round(full * share * self.plan.size / FULL_SIZE))

    def peers(self, *ways: str) -> tuple[str, ...]:
        """The chosen peers that can be measured in one of these ways."""
        return tuple(system for system in self.plan.peers if set(ways) & set(peer(system).ways))

    def interleave(self, systems: tuple[str, ...], run: Callable[[Bench, str], Outcome]) -> Iterator[Outcome]:
        """Each system once, then each again: what changes on the machine meanwhile meets all of them."""
        for turn in range(self.plan.repeat):
            for system in systems:
                self.step(f"{system}, {turn + 1} of {self.plan.repeat}")
                yield run(self, system) if peer(system) is None else self._run_peer(system, run)

    def _run_peer(self, system: str, run: Callable[[Bench, str], Outcome]) -> Outcome:
        """A peer that breaks is a remark. It must not end a run that is about aioq."""
        try:
            return run(self, system)
        except Exception as error:
            return Outcome(system, notes=[f"{system} broke: {type(error).__name__}: {error}"])

    def step(self, text: str) -> None:
        self._step(text)

    def server(self) -> Server:
        """A fresh, empty server."""
        return Server(self.plan.binary, self._server_core, aof=self.plan.aof, unix=self.plan.unix)

    def shards(self, count: int) -> Shards:
        """Fresh servers that are a Cluster, all of them on the server's core."""
        return Shards(self.plan.binary, self._server_core, count, aof=self.plan.aof)

    def process(self, role: str, environment: dict[str, str] | None = None, **spec: Any) -> Process:
        """A fresh process, on the core of clients and workers, with the interpreter of its system."""
        interpreter = python(spec.get("system", "aioq"))

        return Process(
            role, self.core, python=interpreter, uvloop=self.plan.uvloop, environment=environment, **spec
        )


def percentile(values: list[float], part: float) -> float:
    """The value that this part of all values does not exceed."""
    ordered = sorted(values)

    return ordered[min(len(ordered) - 1, int(part * len(ordered)))]
