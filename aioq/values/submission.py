"""Submission: a job on its way to the server."""

from __future__ import annotations

from dataclasses import dataclass

from aioq.values.durability import Level
from aioq.values.record import JobRecord


@dataclass(slots=True)  # one is made for each job, and a frozen one or a tuple takes twice as long
class Submission:
    """A job on its way to the server.

    size is that of the values in bytes; due is "" (now), "+ms" (from now) or a moment in ms; ttl_ms is 0 for none;
    nonce marks an id that the user chose; durability is what is waited for, and is not stored.
    """

    record: JobRecord
    size: int = 0
    at_front: bool = False
    due: str = ""
    ttl_ms: int = 0
    nonce: str = ""
    durability: Level = "memory"
