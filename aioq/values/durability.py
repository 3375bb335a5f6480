"""How safe a job is when `enqueue` returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from aioq.values.errors import InvalidInput

Level = Literal["memory", "fsync", "replicated"]


@dataclass(frozen=True, slots=True)
class Durability:
    """Where a job was known to be when its `enqueue` returned.

    Args:
        level: "memory": in the server's memory, and on its way to wherever its settings send it; "fsync": on the
            server's disk; "replicated": in the memory of replicas, too.
        replicas: how many replicas have it; 0 unless the level is "replicated".

    """

    level: Level
    replicas: int = 0

    def __str__(self) -> str:
        return f"{self.level} ({self.replicas})" if self.replicas else self.level


MEMORY = Durability("memory")


def check_level(value: object, name: str = "durability") -> Level:
    """The value of the option `durability`.

    Raises:
        InvalidInput: it is none of the levels.

    """
    for level in get_args(Level):
        if value == level:
            return level  # type: ignore[no-any-return]

    raise InvalidInput(f'{name}={value!r}: expected "memory", "fsync" or "replicated"')
