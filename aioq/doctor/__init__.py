"""The doctor: whether what is stored of a queue is sound, and whether the server's settings keep it so.

>>> from aioq.doctor import examine
>>> assert await examine(queue) == []  # doctest: +SKIP
"""

from aioq.doctor.kinds import KINDS, Kind
from aioq.doctor.queue import Finding, examine
from aioq.doctor.server import Setting, examine_server

__all__ = ["KINDS", "Finding", "Kind", "Setting", "examine", "examine_server"]
