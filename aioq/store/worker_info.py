"""WorkerInfo: what a worker tells of itself, as it is stored, and the types of its tasks."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from aioq.store.reply import text

#: What a worker tells with each description. The types of its tasks are larger, and read only when asked for.
FACTS = (
    *("hostname", "pid", "queues", "state", "running", "concurrency", "successful", "failed", "blocks"),
    *("started_at", "version", "lag_ms", "memory", "allow"),
)


class WorkerInfo(NamedTuple):
    """What a worker tells of itself.

    blocks: how often its event loop did not turn for more than half a second. lag_ms: by how long the loop was
    late at the most in the last ten seconds. memory: how much resident memory its process holds, in bytes; 0: not
    told. allow: the patterns of the functions that it may run; none: it may run all.
    """

    name: str
    hostname: str
    pid: int
    queues: list[str]
    state: str
    running: int
    concurrency: int
    successful: int
    failed: int
    blocks: int
    started_at_ms: int
    version: str
    lag_ms: int
    memory: int
    allow: list[str]


def worker_info(name: str, row: Mapping[bytes, bytes]) -> WorkerInfo:
    """The description of a worker, as it is stored. What is missing or no number is not told."""
    facts = {text(key): text(value) for key, value in row.items()}

    return WorkerInfo(
        name=name,
        hostname=facts.get("hostname", "?"),
        pid=_number(facts, "pid"),
        queues=facts.get("queues", "").split(),
        state=facts.get("state", "?"),
        running=_number(facts, "running"),
        concurrency=_number(facts, "concurrency"),
        successful=_number(facts, "successful"),
        failed=_number(facts, "failed"),
        blocks=_number(facts, "blocks"),
        started_at_ms=_number(facts, "started_at"),
        version=facts.get("version", "?"),
        lag_ms=_number(facts, "lag_ms"),
        memory=_number(facts, "memory"),
        allow=facts.get("allow", "").split(),
    )


def read_schemas(packed: bytes) -> dict[str, Any]:
    """What a worker tells of its tasks' types; nothing of what cannot be read."""
    try:
        found = json.loads(packed)
    except (ValueError, RecursionError):
        return {}

    return (
        {name: each for name, each in found.items() if isinstance(each, dict)} if isinstance(found, dict) else {}
    )


def _number(facts: Mapping[str, str], name: str) -> int:
    """The number that a worker told; 0 for what is none."""
    try:
        return int(facts.get(name, 0))
    except ValueError:
        return 0
