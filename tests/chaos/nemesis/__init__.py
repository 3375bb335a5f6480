"""Faults: each breaks one thing, heals it after a while, and says what may come of it."""

from . import clock, cluster, network, sentinel, server, workers
from .kinds import FAULTS, HOMES, MIXES, SERIAL, Fault, home_of, load_of, of_mix
from .sentinel import OF_ITS_OWN

__all__ = [
    "FAULTS",
    "HOMES",
    "MIXES",
    "OF_ITS_OWN",
    "SERIAL",
    "Fault",
    "clock",
    "cluster",
    "home_of",
    "load_of",
    "network",
    "of_mix",
    "sentinel",
    "server",
    "workers",
]  # fmt: skip
