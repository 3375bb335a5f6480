"""Which server sentinels name when they disagree. Here a script plays each; real ones are in tests/system."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack

import pytest

from aioq.store.net.place import Place
from aioq.store.net.sentinels import SENTINEL_TIMEOUT_S, Sentinels
from aioq.values.errors import ServerRefused

OLD, NEW, THIRD = ("10.0.0.1", 6379), ("10.0.0.2", 6379), ("10.0.0.3", 6379)

NOAUTH = b"-NOAUTH Authentication required.\r\n"
WRONGPASS = b"-WRONGPASS invalid username-password pair or user is disabled.\r\n"
NOPERM = b"-NOPERM User finder has no permissions to run the 'sentinel|master' command\r\n"


class Played:
    """A sentinel.

    Args:
        names: the primary that it names; None: it knows no such service.
        flags: what it says of that one.
        epoch: of its configuration.
        refuses: what it answers to everything.
        refuses_details: what it answers to SENTINEL MASTER.

    """

    def __init__(
        self,
        names: Place | None,
        *,
        flags: str = "master",
        epoch: int = 0,
        refuses: bytes = b"",
        refuses_details: bytes = b"",
    ) -> None:
        self.names, self.flags, self.epoch = names, flags, epoch
        self.refuses, self.refuses_details = refuses, refuses_details
        self.asked: list[str] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            words = []

            for _ in range(int(line[1:])):
                await reader.readline()
                words.append((await reader.readline()).decode().strip())

            writer.write(self._answer(words))

        writer.close()

    def _answer(self, words: list[str]) -> bytes:
        if words[0].upper() != "SENTINEL":
            return b"+OK\r\n"

        self.asked.append(words[1])

        if self.refuses:
            return self.refuses

        if self.names is None:
            return b"*-1\r\n"

        host, port = self.names

        if words[1] == "MASTER":
            facts = "ip", host, "port", str(port), "flags", self.flags, "config-epoch", str(self.epoch)

            return self.refuses_details or bulk(*facts)

        return bulk(host, str(port))


class Silent(Played):
    def _answer(self, words: list[str]) -> bytes:
        return b""


def bulk(*words: str) -> bytes:
    return f"*{len(words)}\r\n".encode() + b"".join(f"${len(w)}\r\n{w}\r\n".encode() for w in words)


Play = Callable[..., object]


@pytest.fixture
async def play() -> AsyncIterator[Play]:
    """Starts sentinels; gives the way to ask them, in this order."""
    async with AsyncExitStack() as stack:

        async def begin(*sentinels: Played | None, **kwargs: object) -> Sentinels:
            places = []

            for each in sentinels:
                if each is None:  # nobody is there
                    places.append(("127.0.0.1", 1))
                    continue

                server = await stack.enter_async_context(await asyncio.start_server(each.serve, "127.0.0.1", 0))
                places.append(server.sockets[0].getsockname()[:2])

            return Sentinels(tuple(places), "main", kwargs)

        yield begin


@pytest.mark.parametrize(
    ("sentinels", "expected"),
    [
        ([Played(NEW)], NEW),
        # One that is alone and names the old primary, wherever it stands.
        ([Played(OLD), Played(NEW), Played(NEW)], NEW),
        ([Played(NEW), Played(OLD), Played(NEW)], NEW),
        ([Played(NEW), Played(NEW), Played(OLD, epoch=9)], NEW),
        # Most of those that answer.
        ([None, Played(NEW), Played(NEW)], NEW),
        ([None, None, Played(NEW)], NEW),
        ([Played(None), Played(NEW)], NEW),
        ([Played(OLD, refuses=WRONGPASS), Played(NEW)], NEW),
        ([Played(OLD, refuses=b"-ERR unknown command\r\n"), Played(NEW)], NEW),
        ([Played(OLD, refuses=b"*1\r\n$1\r\nx\r\n"), Played(NEW)], NEW),
        ([Played(OLD, refuses=b"nonsense\r\n"), Played(NEW)], NEW),
        # As many name the one as the other: the one that is reached, then that of the last failover.
        ([Played(OLD, flags="s_down,master"), Played(NEW)], NEW),
        ([Played(OLD, flags="master,o_down", epoch=7), Played(NEW)], NEW),
        ([Played(OLD, epoch=3), Played(NEW, epoch=4)], NEW),
        ([Played(OLD, flags="s_down,master", epoch=3), Played(NEW, flags="s_down,master", epoch=4)], NEW),
        ([Played(OLD), Played(NEW, epoch=1), Played(THIRD, flags="s_down")], NEW),
        # Who may not ask for more takes the first one.
        ([Played(NEW, refuses_details=NOPERM), Played(OLD, refuses_details=NOPERM)], NEW),
        ([Played(NEW, epoch=0), Played(OLD, epoch=5, refuses_details=NOPERM)], NEW),
    ],
)
async def test_the_primary_that_most_sentinels_name(
    play: Play, sentinels: list[Played | None], expected: Place
) -> None:
    found = await play(*sentinels)  # type: ignore[misc]
    assert await found.find() == expected
    assert found.named == expected
    # A thread with an event loop of its own is told the same.
    assert await asyncio.to_thread(asyncio.run, found.find()) == expected


async def test_sentinels_that_agree_are_asked_one_thing(play: Play) -> None:
    sentinels = [Played(NEW), Played(NEW), Played(NEW)]
    assert await (await play(*sentinels)).find() == NEW  # type: ignore[misc]
    assert {word for each in sentinels for word in each.asked} == {"GET-MASTER-ADDR-BY-NAME"}


@pytest.mark.parametrize("at", [0, 1, 2])
async def test_a_silent_sentinel_holds_up_nobody(play: Play, at: int) -> None:
    """As soon as more than half of all have named one, it does not matter what others say."""
    sentinels: list[Played] = [Played(NEW), Played(NEW)]
    sentinels.insert(at, Silent(OLD))
    found = await play(*sentinels)  # type: ignore[misc]
    begun = time.monotonic()
    assert await found.find() == NEW
    assert time.monotonic() - begun < SENTINEL_TIMEOUT_S


async def test_silent_ones_are_waited_for_side_by_side(play: Play) -> None:
    found = await play(Silent(OLD), Silent(OLD), Silent(OLD), Played(NEW))  # type: ignore[misc]
    begun = time.monotonic()
    assert await found.find() == NEW
    assert time.monotonic() - begun < 2.5 * SENTINEL_TIMEOUT_S


@pytest.mark.parametrize(
    ("sentinels", "kind", "words"),
    [
        ([Played(OLD, refuses=NOAUTH)], ServerRefused, "sentinel_username and sentinel_password"),
        ([Played(OLD, refuses=WRONGPASS), Played(OLD, refuses=WRONGPASS)], ServerRefused, "sentinel_password"),
        ([Played(OLD, refuses=NOPERM)], ServerRefused, r"\+sentinel\|get-master-addr-by-name"),
        ([Played(OLD, refuses=WRONGPASS), Played(None)], ServerRefused, "it knows no such name"),
        # One that is away may come back and tell: such a call is worth repeating.
        ([Played(OLD, refuses=WRONGPASS), None], ConnectionError, "sentinel_password"),
        ([None, None], ConnectionError, "127.0.0.1:1: .*Connect"),
        ([Silent(OLD)], ConnectionError, "no answer within 1 s"),
        ([Played(None), Played(None)], ConnectionError, "'main'.*it knows no such name; .*it knows no such name"),
    ],
)
async def test_why_there_is_no_primary(
    play: Play, sentinels: list[Played | None], kind: type[Exception], words: str
) -> None:
    with pytest.raises(kind, match=words) as caught:
        await (await play(*sentinels)).find()  # type: ignore[misc]

    assert type(caught.value) is kind
    assert "no sentinel names a primary for 'main'" in str(caught.value)
