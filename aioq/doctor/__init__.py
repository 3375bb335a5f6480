"""The doctor: whether the stored data of queues is sound, and whether the server's settings endanger it.

>>> from aioq.doctor import examine
>>> assert await examine(queue) == []  # doctest: +SKIP
"""

from aioq.doctor.finding import Examined, Finding
from aioq.doctor.kinds import KINDS, Kind
from aioq.doctor.queue import examine, examine_queues
from aioq.doctor.server import Setting, examine_server

__all__ = [
    "KINDS",
    "Examined",
    "Finding",
    "Kind",
    "Setting",
    "examine",
    "examine_queues",
    "examine_server",
]
