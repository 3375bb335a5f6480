"""Sentinels: servers that know which server is the primary of a service.

One sentinel may be wrong: cut off from the others, it names a primary that was replaced long ago. So all of them
are asked side by side, and the server that most of them name is the primary. redis-py opens the connections.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import redis.exceptions as failures
from redis.asyncio import Redis
from redis.asyncio.connection import AbstractConnection

from aioq.store.net.place import Place, spelled
from aioq.store.net.stream import connect
from aioq.store.net.tasks import all_settled
from aioq.values.errors import ServerRefused

#: A sentinel that says nothing for this many seconds is away.
SENTINEL_TIMEOUT_S = 1.0


class Claim(NamedTuple):
    """What a sentinel tells of the primary that it names.

    Args:
        is_up: the sentinel reaches it.
        epoch: the number of the configuration; each failover makes a higher one.

    """

    is_up: bool
    epoch: int


@dataclass(frozen=True, slots=True)
class Sentinels:
    """The sentinels that know where the primary of a service is.

    Args:
        places: where the sentinels are.
        service: what they call the primary.
        kwargs: what their connections are made with.

    """

    places: tuple[Place, ...]
    service: str
    kwargs: Mapping[str, Any] = field(repr=False)  # it has passwords
    _named: list[Place] = field(default_factory=list, compare=False)

    @property
    def named(self) -> Place | None:
        """The primary that they named last, to any connection of this address."""
        return self._named[0] if self._named else None

    async def find(self) -> Place:
        """The primary that most sentinels name; `named` is the same from now on.

        Raises:
            ServerRefused: none names one, and some refuse the user or the password.
            ConnectionError: none names one.

        """
        votes, failed = await self._votes()

        if not votes:
            raise self._nobody(failed)

        most = max(votes.values())
        candidates = [place for place in votes if votes[place] == most]
        self._named[:] = candidates if len(candidates) == 1 else [await self._most_recent(candidates)]

        return self._named[0]

    async def _votes(self) -> tuple[Counter[Place], dict[Place, Exception | None]]:
        """How many sentinels name each server, and why the others name none (None: they know no such service)."""
        named: dict[Place, Place] = {}
        failed: dict[Place, Exception | None] = {}
        asking = {asyncio.ensure_future(self._ask(place)): place for place in self.places}

        try:
            for task in asyncio.as_completed(asking):
                place, answer = await task

                if isinstance(answer, tuple):
                    named[place] = answer
                else:
                    failed[place] = answer

                if named and 2 * max(Counter(named.values()).values()) > len(self.places):
                    break  # whatever the others say: one that is silent holds nobody up
        finally:
            for each in asking:
                each.cancel()

            await all_settled(asking)

        # In the order of the sentinels, whoever has answered first.
        return Counter(named[place] for place in self.places if place in named), failed

    async def _most_recent(self, candidates: Sequence[Place]) -> Place:
        """Of servers that are named equally often: one that sentinels reach, then that of the last failover."""
        claims = await asyncio.gather(*(self._details(place) for place in self.places))
        found = [(claim, place) for place, claim in filter(None, claims) if place in candidates]

        return max(found, key=lambda each: each[0])[1] if found else candidates[0]

    async def _ask(self, place: Place) -> tuple[Place, Place | Exception | None]:
        try:
            found = await self._call(place, "GET-MASTER-ADDR-BY-NAME")

            return place, None if found is None else (str(found[0]), int(found[1]))
        except Exception as error:  # noqa: BLE001 - whatever is wrong with one sentinel, the others may tell
            return place, error

    async def _details(self, place: Place) -> tuple[Place, Claim] | None:
        """The server that a sentinel names and what it says of it; None where that may not be asked."""
        try:
            flat = iter(await self._call(place, "MASTER"))
            state = dict(zip(flat, flat, strict=True))
            is_up = not {"s_down", "o_down"} & set(state["flags"].split(","))

            return (state["ip"], int(state["port"])), Claim(is_up, int(state["config-epoch"]))
        except Exception:  # noqa: BLE001 - whatever is wrong with one sentinel, the others may tell
            return None

    async def _call(self, place: Place, word: str) -> Any:
        """A sentinel's answer to SENTINEL and a word, as it comes."""
        host, port = place

        # Made anew each time: it belongs to one event loop, and is seldom needed.
        pool = Redis(host=host, port=port, **self._options()).connection_pool
        connection: AbstractConnection = pool.make_connection()

        async with asyncio.timeout(SENTINEL_TIMEOUT_S):
            await connect(connection)

            try:
                await connection.send_command("SENTINEL", word, self.service)

                return await connection.read_response()
            finally:
                await connection.disconnect(nowait=True)

    def _options(self) -> dict[str, Any]:
        timeouts = {"socket_timeout": SENTINEL_TIMEOUT_S, "socket_connect_timeout": SENTINEL_TIMEOUT_S}

        return timeouts | {"retry": None, "decode_responses": True, "protocol": 2} | dict(self.kwargs)

    def _nobody(self, failed: Mapping[Place, Exception | None]) -> Exception:
        """Why there is no primary."""
        told = "; ".join(f"{spelled(place)}: {_said(error)}" for place, error in failed.items())
        text = f"no sentinel names a primary for {self.service!r} ({told})"
        refusing = [place for place, error in failed.items() if _is_refused(error)]

        if refusing:
            text += (
                ". Sentinels refuse the user or the password. The URL gives theirs as sentinel_username and"
                " sentinel_password; the user needs +sentinel|get-master-addr-by-name"
            )

        # While one is away, it may be the one that will tell: then the call is worth repeating.
        is_final = refusing and all(_is_refused(error) for error in failed.values() if error is not None)

        return ServerRefused(text) if is_final else ConnectionError(text)


class Asked:
    """What redis-py's managed connections ask for an address each time they connect, in the place of a pool.

    redis-py's own Sentinel asks for a list of primaries. After a failover it has the old one for a second more.
    """

    is_master, check_connection = True, False

    def __init__(self, sentinels: Sentinels) -> None:
        self._sentinels = sentinels
        self.service_name = sentinels.service

    def get_master_address(self) -> Coroutine[Any, Any, Place]:
        return self._sentinels.find()


def _is_refused(error: Exception | None) -> bool:
    """Whether a sentinel refuses the user, the password or the command."""
    kinds = failures.AuthenticationError, failures.NoPermissionError, failures.AuthorizationError

    return isinstance(error, kinds) or str(error).startswith(("NOAUTH", "WRONGPASS", "NOPERM"))


def _said(error: Exception | None) -> str:
    if error is None:
        return "it knows no such name"

    if isinstance(error, TimeoutError | failures.TimeoutError):
        return f"no answer within {SENTINEL_TIMEOUT_S:g} s"

    return str(error).rstrip(".") or repr(error)
