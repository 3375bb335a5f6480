"""The proxy by itself: what it does to the bytes between a client and a server."""

from __future__ import annotations

import asyncio

import hiredis
import pytest

from aioq import Queue
from aioq.store import Connection
from aioq.store.net.library import loading
from aioq.store.scripts import server_scripts
from aioq.values.errors import ServerUnreachable
from tests import jobs
from tests.system.proxy import Proxy, frame_end
from tests.tools import eventually

FRAMES = [
    b"+OK\r\n",
    b"-ERR no\r\n",
    b":-12\r\n",
    b"$-1\r\n",
    b"$0\r\n\r\n",
    b"$4\r\n\r\n\r\n\r\n",
    b"*-1\r\n",
    b"*0\r\n",
]


def test_a_frame_ends_where_it_ends() -> None:
    nested = b"*%d\r\n" % len(FRAMES) + b"".join(FRAMES)
    for frame in [*FRAMES, nested, b"*2\r\n" + nested + nested, hiredis.pack_command(("SET", b"k", b"\r\n$3"))]:
        assert frame_end(frame) == frame_end(frame + b"+more\r\n") == len(frame)
        for cut in range(len(frame)):
            assert frame_end(frame[:cut]) == -1


@pytest.mark.parametrize(("where", "ran"), [("request", 1), ("reply", 2), ("inside", 2)])
async def test_the_nth_call_is_cut_where_it_is_asked_for(server, where, ran) -> None:
    """Three calls of the script: the second one is cut, and it runs unless its request was lost."""
    async with Proxy(server.socket) as proxy, Queue("default", server.url) as direct:
        hasty = Connection(proxy.url, patient=False)
        queue = Queue("default", hasty)
        await hasty.calls(loading(each.sha for each in server_scripts().by_name.values()))
        proxy.cut("enqueue", where, nth=2)
        await queue.enqueue_in(60, jobs.noop)
        with pytest.raises(ServerUnreachable):
            await queue.enqueue_in(60, jobs.noop)
        await eventually(lambda: proxy.cuts == 1)
        assert await direct.scheduled_job_registry.count() == ran
        await queue.enqueue_in(60, jobs.noop)
        assert proxy.cuts == 1
        await direct.empty()
        await direct.delete()
        await hasty.aclose()


async def test_a_script_that_the_server_has_forgotten_is_cut_when_it_runs(server, raw) -> None:
    raw.script_flush()
    async with Proxy(server.socket) as proxy, Queue("default", proxy.url) as queue:
        proxy.cut("count")
        await queue.count()
        assert proxy.cuts == 1
        assert raw.script_exists(server_scripts()["count"].sha) == [True]


async def test_what_was_held_back_arrives_when_the_way_is_whole_again(server) -> None:
    async with Proxy(server.socket) as proxy, Queue("default", server.url) as direct:
        hasty = Connection(proxy.url, patient=False)
        queue = Queue("default", hasty)
        first = await queue.enqueue_in(60, jobs.noop)
        proxy.hold("down")
        caller = asyncio.create_task(queue.enqueue_in(60, jobs.noop))
        await eventually(lambda: _has_scheduled(direct, 2))
        assert not caller.done()
        proxy.heal()
        for job in (first, await caller):
            await job.delete()
        await direct.delete()
        await hasty.aclose()


async def _has_scheduled(queue: Queue, count: int) -> bool:
    return await queue.scheduled_job_registry.count() == count


async def test_a_reset_ends_all_connections_at_once(server) -> None:
    async with Proxy(server.socket) as proxy:
        hasty = Connection(proxy.url, patient=False)
        await hasty.call(("PING",))
        proxy.hold()
        caller = asyncio.create_task(hasty.call(("PING",)))
        await asyncio.sleep(0.05)
        proxy.heal()
        proxy.hold("up")
        proxy.reset()
        with pytest.raises(ServerUnreachable):
            await asyncio.wait_for(caller, 5)
        proxy.heal()
        assert await hasty.call(("PING",))
        await hasty.aclose()


async def test_a_line_with_a_rate_carries_no_more_in_either_direction(server) -> None:
    """The bytes of all connections share the rate, and arrive one after the other, not all at the end."""
    loop, size = asyncio.get_running_loop(), 300_000
    async with Proxy(server.socket, rate=1_000_000) as proxy:
        connection, other = Connection(proxy.url), Connection(proxy.url)
        begun = loop.time()
        await asyncio.gather(*(each.call(("SET", "aioq:line", b"x" * size)) for each in (connection, other)))
        assert 0.5 < loop.time() - begun < 3
        begun = loop.time()
        assert len(await connection.call(("GET", "aioq:line"))) == size
        assert 0.25 < loop.time() - begun < 3
        proxy.rate = None
        begun = loop.time()
        assert len(await connection.call(("GET", "aioq:line"))) == size
        assert loop.time() - begun < 0.25
        await connection.call(("DEL", "aioq:line"))
        await connection.aclose()
        await other.aclose()
