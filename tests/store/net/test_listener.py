from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Callable

import pytest
import redis

from aioq.store import Connection
from aioq.store.net.listener import Listener
from aioq.values.errors import ServerRefused, ServerUnreachable
from tests.conftest import Server
from tests.tools import eventually


class Ear:
    """What one channel has heard, and how often it may have missed something."""

    def __init__(self) -> None:
        self.heard: list[bytes] = []
        self.missed = 0

    def miss(self) -> None:
        self.missed += 1


@pytest.fixture
async def listener(connection: Connection) -> AsyncIterator[Listener]:
    yield connection.listener


async def listen(listener: Listener, channel: str) -> Ear:
    ear = Ear()
    await asyncio.wait_for(listener.listen(channel, ear.heard.append, ear.miss), 5)

    return ear


def kill(client: redis.Redis) -> None:
    client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")


async def test_what_is_published_after_the_subscription_is_heard(listener: Listener, client: redis.Redis) -> None:
    ear = await listen(listener, "one")

    for number in range(3):
        assert client.publish("one", bytes([number, 10, 255])) == 1

    await eventually(lambda: len(ear.heard) == 3)
    assert ear.heard == [b"\x00\n\xff", b"\x01\n\xff", b"\x02\n\xff"]
    assert ear.missed == 0


async def test_channels_share_one_connection_and_hear_only_their_own(
    listener: Listener, client: redis.Redis
) -> None:
    one, two = await listen(listener, "one"), await listen(listener, "two")
    client.publish("two", "2")
    client.publish("one", "1")
    await eventually(lambda: one.heard and two.heard)

    assert (one.heard, two.heard) == ([b"1"], [b"2"])
    assert len(client.client_list("pubsub")) == 1


async def test_many_may_begin_to_listen_at_once(listener: Listener, client: redis.Redis) -> None:
    ears = await asyncio.gather(*(listen(listener, f"channel {number}") for number in range(20)))

    for number in range(20):
        assert client.publish(f"channel {number}", "x") == 1

    await eventually(lambda: all(ear.heard == [b"x"] for ear in ears))


async def test_to_listen_again_on_a_channel_keeps_the_first_handler(
    listener: Listener, client: redis.Redis
) -> None:
    first, second = await listen(listener, "one"), await listen(listener, "one")
    client.publish("one", "x")
    await eventually(lambda: first.heard)

    assert second.heard == []


async def test_a_caller_that_gives_up_does_not_spoil_the_channel(listener: Listener, client: redis.Redis) -> None:
    ear = Ear()
    task = asyncio.create_task(listener.listen("one", ear.heard.append, ear.miss))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    await listen(listener, "one")
    client.publish("one", "x")

    await eventually(lambda: ear.heard == [b"x"])


async def test_after_a_lost_connection_it_hears_again_and_says_that_it_may_have_missed_something(
    listener: Listener, client: redis.Redis
) -> None:
    one, two = await listen(listener, "one"), await listen(listener, "two")

    for number in range(1, 4):
        kill(client)
        await eventually(lambda number=number: one.missed >= number and two.missed >= number)
        client.publish("one", str(number))
        await eventually(lambda number=number: len(one.heard) == number)

    assert one.heard == [b"1", b"2", b"3"]


async def test_it_says_so_only_when_it_hears_again(listener: Listener, client: redis.Redis) -> None:
    subscribed: list[int] = []
    await listener.listen("one", lambda _: None, lambda: subscribed.append(client.pubsub_numsub("one")[0][1]))
    kill(client)
    await eventually(lambda: subscribed)

    assert subscribed == [1] * len(subscribed)


async def test_a_message_that_cannot_be_handled_counts_as_missed(listener: Listener, client: redis.Redis) -> None:
    ear = Ear()

    def handle(message: bytes) -> None:
        if message == b"strange":
            raise ValueError(message)

        ear.heard.append(message)

    await listener.listen("one", handle, ear.miss)
    client.publish("one", "strange")
    client.publish("one", "plain")
    await eventually(lambda: ear.heard == [b"plain"])

    assert ear.missed == 1


async def test_an_error_that_nobody_foresaw_does_not_end_the_task_that_subscribes_again(
    listener: Listener, client: redis.Redis, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """All who wait rest on the task that subscribes again: it logs the error, and tries again."""
    ear = await listen(listener, "one")
    right, failures = listener._open_subscription, iter([ValueError("odd"), KeyError("odd"), TypeError("odd")])

    async def wrong(hear: object) -> object:
        for error in failures:
            raise error

        return await right(hear)

    monkeypatch.setattr(listener, "_open_subscription", wrong)
    kill(client)
    await eventually(lambda: ear.missed == 1)
    client.publish("one", "x")
    await eventually(lambda: ear.heard == [b"x"])
    assert [type(record.exc_info[1]).__name__ for record in caplog.records if record.exc_info] == [
        "ValueError",
        "KeyError",
        "TypeError",
    ]


async def test_an_error_that_nobody_foresaw_is_raised_to_whoever_begins_to_listen(
    listener: Listener, client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def wrong(hear: object) -> object:
        raise ValueError("odd")

    with monkeypatch.context() as patch:
        patch.setattr(listener, "_open_subscription", wrong)

        for _ in range(2):
            with pytest.raises(ValueError, match="odd"):
                await listen(listener, "one")

    ear = await listen(listener, "one")
    client.publish("one", "x")
    await eventually(lambda: ear.heard == [b"x"])


async def test_what_a_handler_and_its_second_thought_raise_ends_no_connection(
    listener: Listener, client: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    def wrong(*_: object) -> None:
        raise ZeroDivisionError

    await listener.listen("bad", wrong, wrong)
    ear = await listen(listener, "good")
    (before,) = client.client_list("pubsub")

    for _ in range(3):
        client.publish("bad", "x")

    client.publish("good", "x")
    await eventually(lambda: ear.heard == [b"x"])
    (after,) = client.client_list("pubsub")
    assert before["id"] == after["id"]
    assert "could not be passed on" in caplog.text


async def test_who_is_about_to_listen_is_told_of_a_close(own_server: Callable[..., Server]) -> None:
    server = own_server()
    connection = Connection(server.tcp_url)
    assert server.process is not None
    server.process.send_signal(signal.SIGSTOP)
    task = asyncio.create_task(listen(connection.listener, "one"))
    await asyncio.sleep(0.1)
    await connection.aclose()

    with pytest.raises(ServerUnreachable, match="closed meanwhile"):
        await asyncio.wait_for(task, 2)

    server.process.send_signal(signal.SIGCONT)
    ear = await listen(connection.listener, "one")

    with server.client() as client:
        client.publish("one", "x")
        await eventually(lambda: ear.heard == [b"x"])

    await connection.aclose()


async def test_a_server_that_is_away_is_a_typed_error_and_later_it_works(
    own_server: Callable[..., Server],
) -> None:
    server = own_server()
    connection = Connection(server.url)
    server.stop()

    for _ in range(2):
        with pytest.raises(ServerUnreachable):
            await listen(connection.listener, "one")

    server.start()
    ear = await listen(connection.listener, "one")

    with server.client() as client:
        client.publish("one", "x")
        await eventually(lambda: ear.heard == [b"x"])

    await connection.aclose()


async def test_a_server_that_comes_back_is_listened_to_again(own_server: Callable[..., Server]) -> None:
    server = own_server()
    connection = Connection(server.url)
    ear = await listen(connection.listener, "one")
    server.stop(kill=True)
    server.start()
    await eventually(lambda: ear.missed)

    with server.client() as client:
        assert client.publish("one", "x") == 1

    await eventually(lambda: ear.heard == [b"x"])
    await connection.aclose()


async def test_a_user_without_the_right_to_a_channel_is_told(server: Server, client: redis.Redis) -> None:
    client.acl_setuser(
        "deaf", enabled=True, passwords=["+secret"], commands=["+@all"], keys=["*"], reset_channels=True
    )
    connection = Connection(f"unix://deaf:secret@{server.socket}")

    for _ in range(2):
        with pytest.raises(ServerRefused):
            await listen(connection.listener, "one")

    await connection.aclose()
    client.acl_deluser("deaf")


async def test_closing_ends_the_subscription(server: Server, client: redis.Redis) -> None:
    connection = Connection(server.url)
    await listen(connection.listener, "one")
    assert client.pubsub_numsub("one") == [(b"one", 1)]
    await connection.aclose()
    await connection.aclose()

    await eventually(lambda: client.pubsub_numsub("one") == [(b"one", 0)])
    assert client.client_list("pubsub") == []
