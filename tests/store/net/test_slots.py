"""The map of a Cluster's slots, by itself."""

from __future__ import annotations

import pytest
from redis.crc import key_slot

from aioq.store.net.slots import MAP_AGE_S, SlotMap
from aioq.store.net.stream import ReplyError
from aioq.values.errors import ServerRefused, ServerUnreachable, ServerUnsuitable

HERE, THERE = ("a", 1), ("b", 2)
HALVES = [[0, 8191, [b"a", 1, b"id"], [b"c", 3, b"id"]], [8192, 16383, [b"b", 2, b"id"]]]


def slots() -> SlotMap:
    found = SlotMap("redis+cluster://a", [HERE])
    found.read(HALVES, HERE)

    return found


def test_commands_are_grouped_by_the_server_of_their_keys() -> None:
    found = slots()
    low, high = (
        next(n for n in range(1000) if is_low == (key_slot(b"%d" % n) < 8192)) for is_low in (True, False)
    )
    commands = [("GET", f"{high}"), ("GET", f"{low}"), ("EVALSHA", "sha", 1, b"%d" % high), ("PING",)]

    assert found.group(commands, range(3)) == {THERE: [0, 2], HERE: [1]}
    assert found.group(commands, [2]) == {THERE: [2]}
    assert found.primaries == {HERE, THERE}
    assert not found.is_stale


def test_what_a_refusal_tells_is_taken_over_and_the_rest_is_doubted() -> None:
    found = slots()
    found.learn(key_slot(b"x"), ("d", 4))
    assert found.owner("x") == ("d", 4)
    assert found.is_stale
    assert ("d", 4) in found.known()


def test_an_empty_host_is_that_of_the_server_that_was_asked() -> None:
    found = SlotMap("redis+cluster://a", [HERE])
    found.read([[0, 16383, [b"", 7, b"id"]]], ("z", 1))
    assert found.owner(b"x") == ("z", 7)
    found.read([[0, 16383, [None, 8, b"id"]]], ("z", 1))
    assert found.owner(b"x") == ("z", 8)


def test_a_slot_that_nobody_has_is_no_key_s_end() -> None:
    found = SlotMap("redis+cluster://a", [HERE])

    with pytest.raises(ServerUnreachable, match="no server of the Cluster has the slot of 'x'"):
        found.owner("x")

    with pytest.raises(ServerUnreachable, match="known to have slots"):
        found.owner(None)

    assert found.is_stale


def test_a_server_without_slots_is_not_believed() -> None:
    """It has left the Cluster: what is known stays, and the others are asked before it from now on."""
    found = slots()

    with pytest.raises(ServerUnreachable, match="a:1 has no slots and knows nobody who has") as caught:
        found.read([], HERE)

    found.note(HERE, caught.value)
    assert found.primaries == {HERE, THERE}
    assert found.is_stale
    assert found.known() == [THERE, HERE]


def test_commands_without_a_key_go_to_one_server_and_to_none_that_is_silent() -> None:
    found = slots()
    commands = [("PING",), ("INFO", "server")]
    assert {next(iter(found.group(commands, range(2)))) for _ in range(50)} == {HERE, THERE}
    assert all(len(found.group(commands, range(2))) == 1 for _ in range(50))

    found.note(HERE, ServerUnreachable("away"))
    assert all(found.group(commands, range(2)) == {THERE: [0, 1]} for _ in range(50))
    assert found.living() == [THERE, HERE]
    found.note(HERE, None)
    assert all(found.living() == [HERE, THERE] for _ in range(50))  # one that has answered is preferred
    found.note(THERE, None)
    assert {found.living()[0] for _ in range(50)} == {HERE, THERE}


def test_a_map_grows_old() -> None:
    found = slots()
    assert not found.is_old
    found._read_at -= MAP_AGE_S + 1
    assert found.is_old


def test_a_server_that_stands_alone_is_no_cluster() -> None:
    with pytest.raises(ServerUnsuitable, match=r"stands alone: .*Use redis://"):
        slots().read(ReplyError("ERR This instance has cluster support disabled"), HERE)

    with pytest.raises(ServerRefused, match=r"ACL SETUSER me \+cluster\|slots"):
        slots().read(ReplyError("NOPERM User me has no permissions to run the 'cluster|slots' command"), HERE)
