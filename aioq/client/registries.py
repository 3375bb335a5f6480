"""Registries: the jobs of a queue by their states."""

from __future__ import annotations

from aioq.client.parts import part_of
from aioq.client.registry import Registry
from aioq.store import Store
from aioq.values.states import JobStatus


@part_of("Queue")
class Registries:
    """The part of a queue that lists its jobs by their states."""

    store: Store

    @property
    def scheduled_job_registry(self) -> Registry:
        """The jobs that wait for their moment or for their next attempt, by when they are due."""
        return self._registry(JobStatus.SCHEDULED)

    @property
    def deferred_job_registry(self) -> Registry:
        """The jobs that wait for the ends of those that they depend on, in the order in which they came."""
        return self._registry(JobStatus.DEFERRED)

    @property
    def started_job_registry(self) -> Registry:
        """The jobs that a worker runs."""
        return self._registry(JobStatus.STARTED)

    @property
    def finished_job_registry(self) -> Registry:
        """The jobs whose function has returned; they are kept for their `result_ttl`."""
        return self._registry(JobStatus.FINISHED)

    @property
    def failed_job_registry(self) -> Registry:
        """The jobs that have raised, with no attempt left; they are kept for their `failure_ttl`."""
        return self._registry(JobStatus.FAILED)

    @property
    def canceled_job_registry(self) -> Registry:
        """The jobs that were canceled; they are kept for a day."""
        return self._registry(JobStatus.CANCELED)

    @property
    def stopped_job_registry(self) -> Registry:
        """The jobs whose run was stopped; they are kept for their `failure_ttl`."""
        return self._registry(JobStatus.STOPPED)

    @property
    def expired_job_registry(self) -> Registry:
        """The jobs that waited for longer than their `ttl`; they are kept for an hour."""
        return self._registry(JobStatus.EXPIRED)

    def _registry(self, status: JobStatus) -> Registry:
        return Registry(self.store, status)
