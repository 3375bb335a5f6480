"""Graphs: jobs that depend on one another are enqueued together, each after those that it depends on."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from graphlib import CycleError, TopologicalSorter
from typing import Any, Protocol, TypeVar

from aioq.client.call import Call
from aioq.values.dependency import Edge, Edges
from aioq.values.errors import InvalidInput, InvalidJobOperation, InvalidType
from aioq.values.options import JobOptions


class CreatedJob(Protocol):
    """What `Job.create` returns."""

    @property
    def id(self) -> str: ...

    @property
    def call(self) -> Call | None: ...

    @property
    def meta(self) -> dict[str, Any]: ...


J = TypeVar("J", bound=CreatedJob)


@dataclass(frozen=True, slots=True)
class GraphJob:
    """A job of a graph, whose edges name the other jobs by their ids."""

    id: str
    call: Call
    meta: dict[str, Any]


def in_order(jobs: Iterable[J], kind: type[J]) -> list[J]:
    """The jobs of a graph, each after those that it depends on.

    Raises:
        InvalidType: one is not what `Job.create` returns.
        InvalidInput: they depend on each other in a circle, or an id stands there twice.
        InvalidJobOperation: one was enqueued already.

    """
    if not isinstance(jobs, Iterable):
        raise InvalidType(f"jobs={jobs!r}: expected a list of what Job.create returns")

    by_id: dict[str, J] = {}

    for job in jobs:
        if not isinstance(job, kind):
            raise InvalidType(f"jobs: {job!r} is not what Job.create returns")

        if job.call is None:
            raise InvalidJobOperation(f"job {job.id} was enqueued already; name it in depends_on only")

        if by_id.setdefault(job.id, job) is not job:
            raise InvalidInput(f"jobs: job {job.id} stands there twice")

    parents = {job.id: [edge.job_id for edge in edges_of(job) if edge.job_id in by_id] for job in by_id.values()}

    try:
        return [by_id[job_id] for job_id in TopologicalSorter(parents).static_order()]
    except CycleError as error:
        raise InvalidInput(f"jobs: they depend on each other in a circle: {' → '.join(error.args[1])}") from None


def among(job: CreatedJob, ids: Collection[str]) -> GraphJob:
    """A job whose dependencies among the jobs with these ids, which no queue has yet, are named by their ids."""
    assert job.call is not None
    call, edges = job.call, job.call.options.edges

    if edges is not None:
        found = tuple(edge._replace(job=None) if edge.job_id in ids else edge for edge in edges.edges)
        options = JobOptions(edges=Edges(found, edges.at_front)).over(call.options)
        call = replace(call, options=options)

    return GraphJob(job.id, call, job.meta)


def edges_of(job: CreatedJob) -> tuple[Edge, ...]:
    """What a job was told to depend on."""
    edges = None if job.call is None else job.call.options.edges

    return () if edges is None else edges.edges
