"""Random graphs of jobs in three queues, while workers are killed and users cancel, stop, delete and requeue."""

from __future__ import annotations

import asyncio
import random
import signal
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from aioq import AioqError, Dependency, Job, NoSuchJobError, Queue
from aioq.values.dependency import POLICIES, Policy
from tests.system.graph_jobs import node, noted
from tests.tools import eventually

QUEUES = ("one", "two", "three")

#: How long a failed job is kept, in seconds: whoever waits for its finish is canceled then.
KEPT_S = 2

#: The states after which a requeue may bring a finish.
ENDED = ("failed", "canceled", "stopped", "expired")


@dataclass
class Node:
    """One job of a graph."""

    job: Job[Any]
    edges: dict[int, Policy]
    acts: list[str] = field(default_factory=list)  # what users did to it


async def build(rng: random.Random, queues: list[Queue], size: int, path: Path) -> list[Node]:
    nodes: list[Node] = []

    for number in range(size):
        before = rng.sample(range(number), min(number, rng.choice([0, 1, 1, 2, 3])))
        edges: dict[int, Policy] = {each: rng.choice(POLICIES) for each in before}
        depends_on = [Dependency(nodes[each].job, on_failure=policy) for each, policy in edges.items()]
        options: dict[str, Any] = {"ttl": 0.05} if rng.random() < 0.05 else {}

        with suppress(AioqError):  # the other job may be gone by now
            job = await rng.choice(queues).enqueue(
                node, str(path), number, rng.uniform(0, 0.2), rng.random() < 0.15,
                depends_on=depends_on, failure_ttl=KEPT_S, **options,
            )  # fmt: skip
            nodes.append(Node(job, edges))
            continue

        nodes.append(Node(await queues[0].enqueue(node, str(path), number, 0, False), {}))

    return nodes


async def meddle(rng: random.Random, nodes: list[Node]) -> None:
    """What users do meanwhile."""
    for _ in range(len(nodes) // 8):
        chosen, act = rng.choice(nodes), rng.choice(["cancel", "stop", "delete", "requeue"])
        options = {"dependents": True} if act == "requeue" and rng.random() < 0.5 else {}

        with suppress(AioqError):  # its state may not allow it
            await getattr(chosen.job, act)(**options)
            chosen.acts.append(act)

        await asyncio.sleep(rng.uniform(0, 0.05))


async def states(nodes: list[Node]) -> list[str]:
    found: list[str] = []

    for each in nodes:
        try:
            found.append(str(await each.job.get_status()))
        except NoSuchJobError:
            found.append("gone")

    return found


async def is_over(nodes: list[Node]) -> bool:
    """Whether all have ended, but for those that wait for a finish which only a requeue could bring."""
    found = await states(nodes)

    def may_wait(edges: dict[int, Policy]) -> bool:
        return any(
            found[parent] == "deferred" or (policy == "wait" and found[parent] in ENDED)
            for parent, policy in edges.items()
        )

    return not {"queued", "started", "scheduled"} & set(found) and all(
        may_wait(each.edges) for each, state in zip(nodes, found, strict=True) if state == "deferred"
    )


async def is_empty(nodes: list[Node]) -> bool:
    """Whether nothing waits any more, when the records of all jobs that have not finished are deleted."""
    for each, state in zip(nodes, await states(nodes), strict=True):
        if state in ENDED:
            with suppress(NoSuchJobError):
                await each.job.delete()

    return not {"queued", "started", "scheduled", "deferred"} & set(await states(nodes))


def check(nodes: list[Node], path: Path) -> None:
    begun, ended = noted(path, "begin"), noted(path, "end")

    for number, each in enumerate(nodes):
        if "requeue" in each.acts:
            continue  # it does not wait again

        for parent, policy in each.edges.items():
            if number in begun and policy != "run":
                assert parent in ended, f"{number} has begun, and {parent} has not finished"
                assert min(ended[parent]) <= min(begun[number]), f"{number} has begun before {parent} has finished"

        undisturbed = not each.acts and all(parent in ended and not nodes[parent].acts for parent in each.edges)

        if undisturbed and each.job.ttl is None:
            assert number in begun, f"{number} has never begun, and all that it waits for has finished"


async def run(seed: str, size: int, url: str, spawn: Callable[..., Any], path: Path) -> None:
    rng = random.Random(seed)
    queues = [Queue(name, url) for name in QUEUES]
    workers = [await spawn(queues="one,two,three", url=url), await spawn(queues="three,one", url=url)]
    building = asyncio.create_task(build(rng, queues, size, path))
    await asyncio.sleep(rng.uniform(0, 1))
    workers[0].signal(signal.SIGKILL)
    await spawn(queues="two,three,one", url=url)
    nodes = await building
    await meddle(rng, nodes)
    await eventually(lambda: is_over(nodes), timeout=30 + KEPT_S, describe="the end of all jobs")
    check(nodes, path)
    await eventually(lambda: is_empty(nodes), timeout=30, describe="the end of those that wait for a requeue")
    check(nodes, path)

    for queue in queues:
        await queue.aclose()


@pytest.mark.timeout(120)
async def test_a_small_graph(server: Any, spawn: Callable[..., Any], tmp_path: Path) -> None:
    await run("small", 40, server.url, spawn, tmp_path / "notes")


@pytest.mark.chaos
@pytest.mark.timeout(180)
@pytest.mark.parametrize("seed", range(20))
async def test_a_graph_of_two_hundred(seed: int, server: Any, spawn: Callable[..., Any], tmp_path: Path) -> None:
    await run(str(seed), 200, server.url, spawn, tmp_path / "notes")
