"""Calls: the scripts as calls on one queue."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from aioq.store.connection import Connection
from aioq.store.keys import Keys, SharedKeys
from aioq.store.net.command import Argument, Command
from aioq.store.scripts import Script, server_scripts
from aioq.values.errors import ServerError
from aioq.values.signature import Signer

#: A way for a command to the server, and its reply back.
Send = Callable[[Command], Awaitable[Any]]


class Calls:
    """Makes calls of scripts on one queue, and checks their verdicts.

    Args:
        connection: the server.
        queue: the queue's name.

    """

    def __init__(self, connection: Connection, queue: str) -> None:
        self.connection = connection
        self.queue = queue
        self.keys: Keys = Keys.of(queue, connection.shared.prefix)
        keyring = connection.keyring
        #: Signs and verifies what is stored of the queue's jobs; None without a secret.
        self.signer: Signer | None = None if keyring is None else keyring.signer(self.keys.job)
        self._scripts = connection.scripts
        self._known: dict[str, tuple[Script, Command]] = {}  # with what is the same in all calls of it

    @property
    def shared(self) -> SharedKeys:
        """The keys that do not belong to one queue."""
        return self.connection.shared

    def command(self, name: str, **values: Argument | Sequence[Argument]) -> Command:
        """A call of a script, for whoever sends it together with others."""
        try:
            script, head = self._known[name]
        except KeyError:
            script = self._scripts[name]
            head = script.head(self.keys)
            self._known[name] = (script, head)

        return head + script.arguments(**values)

    async def send(self, command: Command) -> Any:
        """One command, in a round trip of its own."""
        return await self.connection.call(command)

    async def call(self, name: str, send: Send | None = None, /, **values: Argument | Sequence[Argument]) -> Any:
        """Call a script, in a round trip of its own.

        Args:
            name: the script.
            send: another way than the connection's.
            values: its arguments, by name.

        Raises:
            ServerError: the script is refused, or answers something else than it says it does.

        """
        reply = await (send or self.connection.call)(self.command(name, **values))

        if reply[0].decode() not in self._known[name][0].says:
            raise unexpected(name, reply)

        return reply

    async def call_once(self, name: str, act: str = "", /, **values: Argument | Sequence[Argument]) -> Any:
        """Call a script that changes what a user asks for: sent twice, it answers twice the same and acts once.

        Args:
            name: the script.
            act: what `act_of` returns; "" if nobody has said who acts. Then the audit gets no row.
            values: its arguments, by name.

        """
        repeat_ms = self.connection.repeat_ms
        word = secrets.token_hex(6) if repeat_ms else ""

        return await self.call(name, call=f"{word} {act}" if act else word, repeat_ms=repeat_ms, **values)


def verdict_of(name: str, reply: Any) -> str:
    """The verdict in a script's reply, for calls that were sent together with others.

    Raises:
        ServerError: the script answers something else than it says it does.

    """
    verdict: str = reply[0].decode()

    if verdict not in server_scripts()[name].says:
        raise unexpected(name, reply)

    return verdict


def unexpected(name: str, reply: Any) -> ServerError:
    """The error of a script that answers what it does not say."""
    says = sorted(server_scripts()[name].says)

    return ServerError(f"{name}.lua answered {reply[0]!r}; expected {says}")
