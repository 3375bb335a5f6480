"""Snapshot: the state of a job that a handle keeps, and how it is renewed."""

from __future__ import annotations

from typing import Any

from aioq.client.parts import part_of
from aioq.client.plain import awaited
from aioq.client.polling import Polling
from aioq.client.view import JobView
from aioq.store import Store
from aioq.values.record import JobRecord
from aioq.values.states import JobStatus


@part_of("Job")
class Snapshot(JobView):
    """A handle that keeps what is known of its job.

    Args:
        record: what is known of it.
        store: its queue; None before it is enqueued.

    """

    __slots__ = ("_meta", "_polling", "_store", "record")

    record: JobRecord
    _store: Store | None

    def __init__(self, record: JobRecord, store: Store | None) -> None:
        self.record = record
        self._store = store
        self._meta: dict[str, Any] | None = None
        self._polling: Polling | None = None

    @property
    def status(self) -> JobStatus | None:
        """The state when the snapshot was taken; None for a job that was never enqueued.

        Raises:
            DeserializationError: what is stored is no state.

        """
        record = self.record

        if b"status" not in record.fields:
            return None

        if not (status := record.status).is_final:
            if self._polling is None or self._polling.record is not record:
                self._polling = Polling(record)
            else:
                self._polling.note_read()

        return status

    @property
    def meta(self) -> dict[str, Any]:
        """The job's own data. Changes are kept only by `save_meta`."""
        if self._meta is None:
            self._meta = self.record.meta

        return self._meta

    @meta.setter
    def meta(self, values: dict[str, Any]) -> None:
        self._meta = values

    @awaited
    async def refresh(self) -> None:
        """Take a new snapshot; changes of meta that were not saved are dropped.

        Raises:
            NoSuchJobError: the job is gone.

        """
        (record,) = await self._enqueued_store.reads.load([self.id])

        if record is None:
            raise self._gone()

        self._renew(record)

    @awaited
    async def get_status(self) -> JobStatus:
        """The state now. Raises NoSuchJobError if the job is gone."""
        await self.refresh()

        return self.record.status

    @awaited
    async def get_meta(self) -> dict[str, Any]:
        """The meta values as they are stored now."""
        await self.refresh()

        return self.meta

    def _renew(self, record: JobRecord) -> None:
        """Take another record as what is known; changes of meta that were not saved are dropped."""
        self.record, self._meta = record, None
