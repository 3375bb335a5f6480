"""Round trips: each page makes at most five to the server, however many queues and jobs there are."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import httpx
import pytest

from aioq import Queue
from aioq.cli.screen.reading import read
from aioq.cli.screen.state import Place
from aioq.cli.screen.view import Page
from aioq.doctor import Setting, examine_server
from aioq.store import Connection
from aioq.store.net.command import Command
from aioq.store.net.node import Node
from aioq.store.net.sharing import Sharing
from aioq.web.board import Board
from tests import jobs
from tests.web.tools import PATHS, client, fill, settings_are_known

#: The most round trips of a page.
MOST = 5

QUERIES = (
    "mine",
    "id:mine",
    "state:failed",
    "tag:vip",
    "after:1h",
    "before:1h state:failed",
    "fn:*add",
    "error:zero",
)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Sequence[Command]]:
    """The commands of each round trip."""
    noted: list[Sequence[Command]] = []
    sent = Node.round_trip

    async def round_trip(self: Node, commands: Sequence[Command], *more: Any) -> list[Any]:
        noted.append(commands)
        return await sent(self, commands, *more)

    monkeypatch.setattr(Node, "round_trip", round_trip)

    return noted


async def test_each_page_makes_at_most_five(
    queue: Queue, browse: Callable[..., Any], asked: list[Sequence[Command]]
) -> None:
    ids = await fill(queue)
    (group,) = await queue.failures()

    for name in ("mail", "other", "third"):
        async with Queue(name, connection=queue.connection) as more:
            await more.using(tags=["vip"]).enqueue_many([Queue.prepare_data(jobs.noop) for _ in range(70)])

    visitor: httpx.AsyncClient = await browse()
    paths = [
        *PATHS,
        "/?last=day",
        "/jobs?state=failed",
        "/jobs?state=queued&at=mail",
        "/matching?verb=delete&q=fn:*",
    ]
    paths += [f"/jobs/{job_id}" for job_id in ids.values()]
    paths += [f"/jobs?q={each}" for each in (*QUERIES, f"fingerprint:{group.fingerprint}")]
    await visitor.get("/")
    await settings_are_known()

    for path in paths:
        for _ in range(2):  # the first time, scripts may be loaded
            asked.clear()
            answer = await visitor.get(path)

        assert answer.status_code in (200, 303), path
        assert len(asked) <= MOST, (path, asked)

    board = Board(queue.connection)
    board.begin()
    await settings_are_known()

    for page in Page:
        asked.clear()
        await read(board, Place(page, "default", ids["failed"]))
        assert len(asked) <= MOST, page


async def test_no_page_waits_for_the_settings_of_the_server(
    queue: Queue, asked: list[Sequence[Command]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first page of a dashboard asks for the server's clock together with what it shows."""
    told = asyncio.Event()

    async def examine_later(connection: Connection) -> list[Setting]:
        await told.wait()
        return await examine_server(connection)

    await queue.enqueue(jobs.noop)

    async with client(queue) as visitor:
        for path in PATHS:
            await visitor.get(path)  # scripts are loaded

        await settings_are_known()

    monkeypatch.setattr("aioq.web.board.examine_server", examine_later)

    for path in PATHS:
        async with client(queue) as visitor:
            asked.clear()
            assert (await visitor.get(path)).status_code == 200
            assert len(asked) <= MOST, path
            assert not any({each[0] for each in commands} == {"TIME"} for commands in asked), path

    async with client(queue) as visitor:
        assert "is being asked for its settings" in (await visitor.get("/")).text
        told.set()
        await settings_are_known()
        assert "is being asked for its settings" not in (await visitor.get("/")).text


async def test_calls_that_begin_together_share_a_round_trip_and_an_error_is_of_all(
    queue: Queue, asked: list[Sequence[Command]]
) -> None:
    sharing = queue.connection.sharing()
    await sharing.call(("PING",))
    asked.clear()

    async def ask(n: int) -> list[Any]:
        return list(await asyncio.gather(*(sharing.call(("ECHO", f"{n} {at}")) for at in range(3))))

    found = await asyncio.gather(*map(ask, range(3)), sharing.each([("PING",), ("NONSENSE",)]))
    assert found[:3] == [[f"{n} {at}".encode() for at in range(3)] for n in range(3)]
    assert (found[3][0], "unknown command" in str(found[3][1])) == (b"PONG", True)
    assert len(asked) == 1

    # Whoever is canceled does not take the others with him.
    one, other = (asyncio.create_task(sharing.call(("ECHO", each))) for each in ("one", "other"))
    await asyncio.sleep(0)
    one.cancel()
    assert await other == b"other"
    assert one.cancelled()


async def test_an_error_of_a_shared_round_trip_is_of_all_and_the_next_one_is_another() -> None:
    class Way:
        address, url, replies = None, "", iter([OSError("away"), None])

        async def round_trip(self, commands: Sequence[Command], left: float) -> list[Any]:
            if (failure := next(self.replies)) is not None:
                raise failure
            return list(commands)

    way = Sharing(Way())  # type: ignore[arg-type]
    failed = await asyncio.gather(*(way.round_trip([(n,)]) for n in range(3)), return_exceptions=True)
    assert [str(each) for each in failed] == ["away"] * 3
    assert await way.round_trip([(1,), (2,)]) == [(1,), (2,)]
