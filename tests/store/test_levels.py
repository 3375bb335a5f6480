"""The level fsync on a server in rare states: here a script plays the server."""

from __future__ import annotations

import asyncio

import pytest

from aioq.store.levels import FSYNC_WITHIN_S, Fsync, Write
from aioq.values.durability import Durability

STILL = {
    "aof_enabled": "1",
    "aof_delayed_fsync": "7",
    "aof_pending_bio_fsync": "0",
    "aof_buffer_length": "0",
    "aof_last_write_status": "ok",
}


class Played:
    """A server with `appendfsync everysec`, and what it says of its append-only file, one time after the other."""

    def __init__(self) -> None:
        self.says: list[dict[str, str]] = []
        self.asked: list[str] = []

    async def ask(self, *commands):
        self.asked += [command[0] for command in commands]
        facts = STILL | (self.says.pop(0) if self.says else {})
        info = "\r\n".join(f"{name}:{value}" for name, value in facts.items() if value is not None).encode()
        answers = {"WAITAOF": [1, 0], "INFO": info, "CONFIG": [b"appendfsync", b"everysec"]}
        return [answers[command[0]] for command in commands]


@pytest.fixture
async def means():
    played, fsync = Played(), Fsync()
    await fsync.prepare(played.ask)
    played.asked.clear()
    return fsync, played


def written(fsync: Fsync, ago: float = FSYNC_WITHIN_S) -> Write:
    loop = asyncio.get_running_loop()
    write = Write(("EVALSHA",), 5, loop.create_future())
    write.since, write.stalls = loop.time() - ago, fsync.stalls
    return write


async def asked(fsync: Fsync, played: Played, write: Write, *says: dict[str, str]) -> bool:
    """Whether the write is on the disk, when the server says this."""
    played.says = [*says]
    done, _ = await fsync.reached(played.ask, [write], 50)
    return list(done) == [write]


async def test_a_write_whose_second_has_passed_is_on_the_disk(means) -> None:
    fsync, played = means
    old, young = written(fsync), written(fsync, FSYNC_WITHIN_S - 0.5)
    done, reached = await fsync.reached(played.ask, [old, young], 50)
    assert (list(done), reached) == ([old], Durability("fsync"))
    # The first question makes the server begin what is due; only the second one can show that it is done.
    assert played.asked == ["INFO", "INFO"]


async def test_an_fsync_under_way_is_waited_for(means) -> None:
    fsync, played = means
    write, busy = written(fsync), {"aof_pending_bio_fsync": "1"}
    assert not await asked(fsync, played, write, {}, busy)
    assert write.since + FSYNC_WITHIN_S > asyncio.get_running_loop().time()
    write.since -= 0.1
    assert not await asked(fsync, played, write, busy, busy)
    write.since -= 0.1
    assert await asked(fsync, played, write, busy, {})  # the one that began at the first question


async def test_the_end_of_an_older_fsync_is_not_taken_for_that_of_the_write(means) -> None:
    fsync, played = means
    write, busy = written(fsync), {"aof_pending_bio_fsync": "1"}
    assert not await asked(fsync, played, write, busy, {})
    write.since -= 0.1
    assert await asked(fsync, played, write, {}, {})


async def test_a_write_that_was_put_off_gets_another_second(means) -> None:
    fsync, played = means
    write, late = written(fsync), {"aof_delayed_fsync": "8"}
    assert not await asked(fsync, played, write, late, late)
    assert not await asked(fsync, played, write, late, late)
    write.since -= 0.5
    assert not await asked(fsync, played, write, late, late)
    write.since -= 0.5 + FSYNC_WITHIN_S - 1
    assert await asked(fsync, played, write, late, late)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("aof_buffer_length", "12"),
        ("aof_last_write_status", "err"),
        ("aof_enabled", "0"),
        *dict.fromkeys(STILL).items(),
    ],
)
async def test_what_is_bad_or_not_told_is_not_taken_for_good(means, name: str, value: str | None) -> None:
    fsync, played = means
    assert not await asked(fsync, played, written(fsync), {name: value}, {name: value})
