"""Floor 1: the only package that imports redis. One method of Store is one script."""

from aioq.store.connection import Connection, connect
from aioq.store.directory import Directory
from aioq.store.listing import CALLBACKS, Callbacks
from aioq.store.net.ways import Server, check_server
from aioq.store.store import Store

__all__ = ["CALLBACKS", "Callbacks", "Connection", "Directory", "Server", "Store", "check_server", "connect"]
