"""Floor 1: the only package that imports redis. One method of Store is one script."""

from aioq.store.address import Server
from aioq.store.connection import Connection, connect
from aioq.store.fleet import Fleet
from aioq.store.store import Store

__all__ = ["Connection", "Fleet", "Server", "Store", "connect"]
