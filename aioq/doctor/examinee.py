"""Examinee: one queue while it is examined."""

from __future__ import annotations

from aioq.doctor.finding import Examined, Finding
from aioq.doctor.kinds import KINDS
from aioq.store import Connection, Store
from aioq.store.examination import Examination
from aioq.store.examination import Finding as Found
from aioq.values.errors import ServerError


class Examinee:
    """A queue while it is examined."""

    def __init__(self, connection: Connection, name: str) -> None:
        self.name = name
        self.store: Store = Store(connection, name)
        self.examination: Examination = Examination(self.store.keys)
        self.keys: set[bytes] = set()  # the existing keys of those that a queue has once
        self.found: dict[tuple[str, str], Found] = {}
        self.jobs = 0
        self.listed: bool | None = None
        self.error: ServerError | None = None
        self.format: int | None = None

    @property
    def is_blocked(self) -> bool:
        """Whether further examination is useless."""
        is_wrong = any(kind == "wrong-type" and not each.repaired for (kind, _), each in self.found.items())

        return is_wrong or self.error is not None

    def report(self) -> Examined:
        order = list(KINDS)
        findings = sorted(
            (Finding(self.name, *each) for each in self.found.values()),
            key=lambda each: (order.index(each.kind), each.name),
        )

        return Examined(self.name, self.listed, self.jobs, findings, self.error, self.format)
