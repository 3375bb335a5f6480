"""A database session: handlers of FastAPI and jobs ask for it in the same way."""

import os
import sqlite3
from collections.abc import Iterator

TABLE = """
CREATE TABLE IF NOT EXISTS orders (
    id INTEGER PRIMARY KEY, item TEXT NOT NULL, paid INTEGER NOT NULL DEFAULT 0
)
"""


def get_session() -> Iterator[sqlite3.Connection]:
    # Set-up, use and clean-up may come on three threads, one after the other.
    session = sqlite3.connect(os.environ.get("ORDERS", "orders.db"), check_same_thread=False)

    try:
        session.execute(TABLE)

        with session:  # commits; if the handler or the job fails, it rolls back
            yield session
    finally:
        session.close()
