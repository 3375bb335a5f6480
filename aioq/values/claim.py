"""Claim: a worker's right to one run of a job, and what a claim of several brought."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from aioq.values.record import JobRecord


class Claim(NamedTuple):
    """A worker's right to one run of a job."""

    record: JobRecord
    fence: int


class Claims(NamedTuple):
    """What a claim brought. verdict: ok, paused, or missing (join the queue first).

    is_reserved: the worker may claim nothing more, of any queue, until a later claim of this one says otherwise.
    It runs a job that must run alone, or is to be empty for one. suspects: how many of the jobs, the first ones,
    were on workers that died, so that a worker may run only a few of them at a time. has_rows: something is to be
    done in other queues, see worker/relay.py. waits_ms: for how long jobs have waited, and how many of them for so
    long; without callbacks. expired: how many jobs the claim found that had waited for too long.
    """

    verdict: str
    jobs: list[Claim]
    due_in_ms: int
    is_reserved: bool = False
    suspects: int = 0
    has_rows: bool = False
    waits_ms: Mapping[int, int] = MappingProxyType({})
    expired: int = 0
