"""Counts: how many jobs are in each state."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from aioq.values.states import JobStatus


@dataclass(frozen=True, slots=True)
class Counts:
    """How many jobs are in each state, and how many workers have a lease.

    Args:
        jobs: the number of jobs by their state.
        workers: the number of workers.
        callbacks: the number of callbacks that wait or run; they are not among the jobs.

    """

    jobs: Mapping[JobStatus, int]
    workers: int
    callbacks: int = 0

    def __getitem__(self, state: JobStatus) -> int:
        return self.jobs[state]

    @property
    def queued(self) -> int:
        """How many jobs wait to be claimed."""
        return self[JobStatus.QUEUED]
