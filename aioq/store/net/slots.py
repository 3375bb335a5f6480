"""Slots: which server of a Cluster has which keys, as far as is known."""

from __future__ import annotations

import random
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from redis.crc import REDIS_CLUSTER_HASH_SLOTS, key_slot

from aioq.store.net.command import Argument, Command, keys_of
from aioq.store.net.place import Place, spelled
from aioq.store.net.refusals import refusal, unreachable
from aioq.values.errors import ServerUnreachable

#: The question that `SlotMap.read` reads the answer to.
SLOTS: Command = ("CLUSTER", "SLOTS")

#: A subscription asks for the slots again when they were read so many seconds ago: its server may have left.
MAP_AGE_S = 30.0


class SlotMap:
    """Which server has which slot, as far as is known. Threads may share it.

    Args:
        url: names the Cluster in errors.
        seeds: servers to ask first.

    """

    def __init__(self, url: str, seeds: Sequence[Place]) -> None:
        self.is_stale = True
        self.primaries: frozenset[Place] = frozenset()  # the servers that have slots
        self._url = url
        self._seeds = tuple(seeds)
        self._owners: list[Place | None] = [None] * REDIS_CLUSTER_HASH_SLOTS
        self._answers: dict[Place, bool] = {}  # whether a server answered when it was last asked
        self._read_at = 0.0

    @property
    def is_old(self) -> bool:
        """Whether servers may have joined and left since the map was read, without any command noticing."""
        return time.monotonic() - self._read_at > MAP_AGE_S

    def known(self) -> list[Place]:
        """All servers that may tell. Those that answered when they were last asked come first, silent ones last.

        Otherwise their order is random, so that not all processes ask the same one.
        """
        found = list({*self.primaries, *self._seeds})
        random.shuffle(found)
        ranks = {True: 0, None: 1, False: 2}

        return sorted(found, key=lambda place: ranks[self._answers.get(place)])

    def living(self) -> list[Place]:
        """The servers that have slots, in the order of `known`.

        Raises:
            ServerUnreachable: there are none.

        """
        found = [place for place in self.known() if place in self.primaries]

        if not found:
            self.is_stale = True
            raise unreachable(self._url, ConnectionError("no server of the Cluster is known to have slots"))

        return found

    def owner(self, key: Argument | None) -> Place:
        """Who has a key; for None, anyone who answers.

        Raises:
            ServerUnreachable: nobody has its slot.

        """
        if key is None:
            return self.living()[0]

        found = self._owners[key_slot(key if isinstance(key, bytes) else str(key).encode())]

        if found is None:
            self.is_stale = True
            raise unreachable(self._url, ConnectionError(f"no server of the Cluster has the slot of {key!r}"))

        return found

    def group(self, commands: Sequence[Command], which: Iterable[int]) -> dict[Place, list[int]]:
        """The positions of commands, by the server that has their keys. Those without a key go to one server."""
        groups: dict[Place, list[int]] = defaultdict(list)
        anyone: Place | None = None

        for at in which:
            key = next(iter(keys_of(commands[at])), None)

            if key is None:
                anyone = anyone or self.owner(None)
                groups[anyone].append(at)
            else:
                groups[self.owner(key)].append(at)

        return groups

    def note(self, place: Place, error: BaseException | None) -> None:
        """Whether a server has answered. One that has not may have been replaced."""
        if isinstance(error, ServerUnreachable):
            self._answers[place] = False
            self.is_stale = True
        elif error is None:
            self._answers[place] = True

    def learn(self, slot: int, place: Place) -> None:
        """One slot is known to be elsewhere. Others may be, too."""
        self._owners[slot] = place
        self.primaries |= {place}
        self.is_stale = True

    def read(self, reply: Any, asked: Place) -> None:
        """Take over what a server says of all slots.

        Raises:
            ServerError: it is no member of a Cluster, or refuses to tell. What is known stays.

        """
        if isinstance(reply, Exception):
            raise refusal(self._url, reply, SLOTS)

        if not reply:
            # It has left the Cluster, or was never in one. The others know better.
            raise unreachable(
                self._url, ConnectionError(f"{spelled(asked)} has no slots and knows nobody who has")
            )

        owners: list[Place | None] = [None] * REDIS_CLUSTER_HASH_SLOTS

        for first, last, (host, port, *_), *_ in reply:
            owners[first : last + 1] = [(host.decode() if host else asked[0], int(port))] * (last + 1 - first)

        self._owners, self.primaries = owners, frozenset(place for place in owners if place is not None)
        known = self.known()
        self._answers = {place: did for place, did in self._answers.items() if place in known}
        self.is_stale, self._read_at = False, time.monotonic()
