"""The parts of a committer that need a server in a rare state: here a script plays the server."""

from __future__ import annotations

import asyncio

import pytest

from aioq.store.committer import LAG, Fsync, Write
from aioq.values.durability import Durability

STILL = {
    "aof_delayed_fsync": "7",
    "aof_pending_bio_fsync": "0",
    "aof_buffer_length": "0",
    "aof_last_write_status": "ok",
}


class Played:
    """A server with `appendfsync everysec`, which has answered WAITAOF before its fsync."""

    def __init__(self) -> None:
        self.facts = STILL
        self.asked: list[str] = []

    async def ask(self, *commands):
        self.asked += [command[0] for command in commands]
        info = "\r\n".join(f"{name}:{value}" for name, value in self.facts.items()).encode()
        answers = {"WAITAOF": [1, 0], "INFO": info, "CONFIG": [b"appendfsync", b"everysec"]}
        return [answers[command[0]] for command in commands]


@pytest.fixture
async def means():
    played, fsync = Played(), Fsync()
    await fsync.prepare(played.ask)
    played.asked.clear()
    return fsync, played


def written(fsync: Fsync, ago: float) -> Write:
    loop = asyncio.get_running_loop()
    write = Write(("EVALSHA",), 5, loop.create_future())
    write.since, write.stalls = loop.time() - ago, fsync.stalls
    return write


async def test_a_write_whose_second_has_passed_is_on_the_disk(means) -> None:
    fsync, played = means
    old, young = written(fsync, LAG), written(fsync, LAG - 0.5)
    done, reached = await fsync.reached(played.ask, [old, young], 50)
    assert (list(done), reached) == ([old], Durability("fsync"))
    # The first round trip makes the server begin what is due; only the second one can see that it is done.
    assert played.asked == ["WAITAOF", "INFO"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("aof_pending_bio_fsync", "1"),
        ("aof_buffer_length", "12"),
        ("aof_delayed_fsync", "8"),
        ("aof_last_write_status", "err"),
    ],
)
async def test_a_disk_that_is_slow_or_broken_gets_another_second(means, name: str, value: str) -> None:
    fsync, played = means
    write = written(fsync, LAG)
    played.facts = STILL | {name: value}
    assert list((await fsync.reached(played.ask, [write], 50))[0]) == []

    played.facts = STILL | ({name: value} if name == "aof_delayed_fsync" else {})
    assert list((await fsync.reached(played.ask, [write], 50))[0]) == []
    write.since -= LAG
    assert list((await fsync.reached(played.ask, [write], 50))[0]) == [write]


@pytest.mark.parametrize("name", STILL)
async def test_what_the_server_does_not_tell_is_not_taken_for_good(means, name: str) -> None:
    fsync, played = means
    played.facts = {each: value for each, value in STILL.items() if each != name}
    assert list((await fsync.reached(played.ask, [written(fsync, LAG)], 50))[0]) == []
