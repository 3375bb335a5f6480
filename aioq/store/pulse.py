"""Pulse: renews a worker's leases from a thread, beside the event loop."""

from __future__ import annotations

from collections.abc import Sequence

import redis.exceptions as failures

from aioq.store.connection import Connection, translated
from aioq.store.script import Command, all_scripts
from aioq.store.store import Beat, Store, read_beat


class Pulse:
    """The calls of one heartbeat thread, on its own connection.

    Args:
        connection: names the server.
        stores: the queues that the worker serves.
        worker: its name.
        lease_ms: how long it is believed alive after a beat.

    """

    def __init__(self, connection: Connection, stores: Sequence[Store], worker: str, lease_ms: int) -> None:
        self._url = connection.url
        # A beat that takes longer than half a lease is better given up and tried again.
        self._client = connection.for_thread(lease_ms / 2000)
        self._commands = [store.beat_command(worker, lease_ms) for store in stores]

    def beat(self, others: Sequence[Command] = ()) -> list[Beat]:
        """Renew the lease on each queue, in one round trip; `others` travel along, and may be refused.

        Raises:
            ServerError: the server cannot be reached, or refuses.

        """
        with translated(self._url):
            replies = self._send([*self._commands, *others])

            if any(isinstance(reply, failures.NoScriptError) for reply in replies):
                self._send([("SCRIPT", "LOAD", each.text) for each in all_scripts().values()])
                replies = self._send([*self._commands, *others])

            # A server whose memory is full refuses to describe the worker; the leases are no less renewed.
            replies = replies[: len(self._commands)]
            errors = [reply for reply in replies if isinstance(reply, Exception)]

            if len(errors) == len(replies) or not all(map(_is_of_one_queue, errors)):
                raise errors[0]

        return [_beat(reply) for reply in replies]

    def close(self) -> None:
        self._client.close()
        self._client.connection_pool.disconnect()

    def _send(self, commands: Sequence[Command]) -> list[object]:
        pipeline = self._client.pipeline(transaction=False)

        for command in commands:
            pipeline.execute_command(*command)

        return pipeline.execute(raise_on_error=False)


def _is_of_one_queue(error: Exception) -> bool:
    """Whether a key of another type is in the way; the leases on other queues must not end for that."""
    return "WRONGTYPE" in str(error)


def _beat(reply: object) -> Beat:
    return Beat(False, -1, []) if isinstance(reply, Exception) else read_beat(reply)
