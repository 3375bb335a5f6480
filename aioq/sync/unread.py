"""Unread: the handle that a plain one uses."""

from __future__ import annotations

from typing import Any, ClassVar, Generic, Self, TypeVar

from aioq.client.job import Job as AsyncJob
from aioq.values.record import JobRecord

R_co = TypeVar("R_co", covariant=True)


class Unread(AsyncJob[R_co], Generic[R_co]):
    """A job whose value is not read on the event loop, since that may run code of the user's."""

    __slots__ = ()

    read_value: ClassVar[staticmethod[[JobRecord], Any]] = staticmethod(lambda _: None)

    @classmethod
    def of(cls, job: AsyncJob[R_co]) -> Self:
        """Another handle on a job, which takes over what is known of it."""
        made = cls(job.record, None)
        made.adopt(job)
        made.call = job.call

        return made
