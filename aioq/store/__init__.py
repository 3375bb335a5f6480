"""Floor 1: the only package that imports redis. One method of Store is one script."""

from aioq.store.address import Server, check_server
from aioq.store.connection import Connection, connect
from aioq.store.fleet import Fleet
from aioq.store.store import Store

__all__ = ["Connection", "Fleet", "Server", "Store", "check_server", "connect"]
