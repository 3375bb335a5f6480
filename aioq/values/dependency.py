"""Dependency: the jobs that a job waits for, and what it means to it if one of them does not finish."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol, TypeAlias, TypeGuard

from aioq.values.errors import InvalidInput, InvalidType
from aioq.values.ids import check_id

#: What any end of a job but a finish means to one that depends on it.
Policy = Literal["wait", "run", "cancel", "fail"]
POLICIES: tuple[Policy, ...] = ("wait", "run", "cancel", "fail")
USUAL: Policy = "wait"


class HasId(Protocol):
    """A handle of a job."""

    @property
    def id(self) -> str: ...


@dataclass(frozen=True, slots=True, init=False)
class Dependency:
    """Jobs that a job waits for, if their failure is to mean something else than that it goes on waiting.

    Args:
        jobs: a job or its id, or several.
        on_failure: what any end but a finish means. "wait" (default): the job waits on, since a requeue may bring
            the finish, and it is canceled when the record of the other job goes. "run": it runs. "cancel": it is
            canceled. "fail": it fails.
        at_front: the job goes to the front of the queue when it is released (default False).
        allow_failure: RQ's spelling: True stands for on_failure="run".
        enqueue_at_front: RQ's spelling of at_front.

    Raises:
        InvalidInput: there is no such policy, or both spellings are given.

    Example:
        >>> Dependency(["a1", "b2"], on_failure="cancel")  # doctest: +SKIP

    """

    jobs: Sequence[HasId | str]
    on_failure: Policy
    at_front: bool

    def __init__(
        self,
        jobs: HasId | str | Iterable[HasId | str],
        on_failure: Policy | None = None,
        at_front: bool = False,
        *,
        allow_failure: bool | None = None,
        enqueue_at_front: bool | None = None,
    ) -> None:
        if on_failure is not None and allow_failure is not None:
            raise InvalidInput(f"on_failure={on_failure!r} and allow_failure={allow_failure!r}: give one of them")

        policy = on_failure or ("run" if allow_failure else USUAL)

        if policy not in POLICIES:
            raise InvalidInput(f"on_failure={policy!r}: expected one of {', '.join(map(repr, POLICIES))}")

        object.__setattr__(self, "jobs", _listed(jobs, "jobs"))
        object.__setattr__(self, "on_failure", policy)
        object.__setattr__(self, "at_front", bool(at_front or enqueue_at_front))


#: What `depends_on` takes.
DependsOn: TypeAlias = HasId | str | Dependency | Iterable[HasId | str | Dependency]


class Edge(NamedTuple):
    """One job that another one waits for.

    Args:
        job_id: of the job that is waited for.
        policy: what any end of it but a finish means.
        job: its handle, if it was given by one.
        queue: the name of its queue; empty for that of the job that waits.
        takes: whether its result is an argument of the job that waits.

    """

    job_id: str
    policy: Policy
    job: Any = None
    queue: str = ""
    takes: bool = False

    @property
    def name(self) -> str:
        """The id, with the queue behind it if that is another one."""
        return f"{self.job_id}@{self.queue}" if self.queue else self.job_id


@dataclass(frozen=True, slots=True)
class Edges:
    """All jobs that one waits for, each once."""

    edges: tuple[Edge, ...]
    at_front: bool = False

    def word(self) -> str:
        """As `enqueue.lua` reads it: a capital letter says that the result is taken."""
        return ",".join(
            [f"{each.policy[0].upper() if each.takes else each.policy[0]}{each.name}" for each in self.edges]
        )


def read_depends_on(value: DependsOn | Literal[False], name: str) -> Edges:
    """What a job is to wait for, as a user gives it.

    Raises:
        InvalidInput: it names one job with two policies.

    """
    found: dict[str, Edge] = {}
    at_front = False

    for each in [value] if isinstance(value, Dependency) else _listed(value or (), name):
        if isinstance(each, Dependency):
            edges = [_edge(job, each.on_failure, name) for job in each.jobs]
            at_front = at_front or each.at_front
        elif isinstance(each, str) or is_handle(each):
            edges = [_edge(each, USUAL, name)]
        else:
            edges = [_edge(job, USUAL, name) for job in _listed(each, name)]

        for edge in edges:
            if found.setdefault(edge.job_id, edge).policy != edge.policy:
                other = found[edge.job_id].policy

                raise InvalidInput(
                    f"{name}: job {edge.job_id} stands there with on_failure={other!r} and with {edge.policy!r}"
                )

    return Edges(tuple(found.values()), at_front)


def _listed(value: object, name: str) -> Sequence[Any]:
    if isinstance(value, str) or is_handle(value):
        return (value,)

    if isinstance(value, bytes) or not isinstance(value, Iterable):
        raise InvalidType(f"{name}={value!r}: expected a job, its id, or a list of them")

    return tuple(value)


def _edge(job: object, policy: Policy, name: str) -> Edge:
    if isinstance(job, str):
        return Edge(check_id(job, name), policy)

    if (job_id := getattr(job, "id", None)) is not None:
        return Edge(job_id, policy, job)

    raise InvalidType(f"{name}: {job!r} is neither a job nor an id")


def is_handle(value: object) -> TypeGuard[HasId]:
    """What `isinstance` of a protocol asks; in Python 3.11 that takes a hundred times as long."""
    return hasattr(value, "id")


def parent_in(after: bytes) -> str | None:
    """The id of the job that this one is a child of, from its field `after`; None if it is none."""
    found = re.search(rb"(?:^| )child=(\S+)", after)

    return None if found is None else found[1].decode(errors="replace")
