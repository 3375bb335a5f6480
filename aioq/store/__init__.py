"""Floor 1: the only package that imports redis. One method of Store is one script."""

from aioq.store.connection import Connection, connect
from aioq.store.directory import Directory
from aioq.store.net.ways import Server, check_server
from aioq.store.store import Store

__all__ = ["Connection", "Directory", "Server", "Store", "check_server", "connect"]
