from __future__ import annotations

import asyncio
import os
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest
import redis
import redis.asyncio

from aioq.store import Connection, Store
from aioq.store.net.url import DEFAULT_URL, default_url
from aioq.values.errors import (
    InvalidInput,
    ServerError,
    ServerFull,
    ServerRefused,
    ServerUnreachable,
    ServerUnsuitable,
)
from aioq.values.outcome import Interrupted, Retried
from aioq.values.states import JobStatus
from tests.conftest import Server, free_port
from tests.store.tools import LATE, audit, beat, bring, end, put, start, status, take
from tests.tools import eventually


@pytest.mark.parametrize(
    "url",
    [
        "localhost",
        "localhost:6379",
        "http://localhost",
        "redis:/localhost",
        "redis",
        "://x",
        "",
        " ",
        "redis://localhost:port/0",
        "redis://localhost:99999/0",
        "redis://localhost/0?no_such_option=1",
        "redis://localhost/0?socket_timeout=abc",
        "redis://localhost/abc",
        "redis://[::1/0",
    ],
)
def test_a_url_that_cannot_be_used_is_refused_before_anything_is_connected(url: str) -> None:
    if url.strip() == "":
        url = "x" + url

    with pytest.raises(InvalidInput):
        Connection(url)


@pytest.mark.parametrize("source", [5, b"redis://localhost", object(), redis.Redis(), ["redis://localhost"]])
def test_a_source_of_another_type_is_refused_in_words(source: object) -> None:
    with pytest.raises(TypeError, match="expected a URL"):
        Connection(source)


@pytest.mark.parametrize("prefix", ["", "a{b}", "a b", "a\n", "{", 5])
def test_a_prefix_that_would_spoil_keys_is_refused(prefix: str) -> None:
    with pytest.raises((InvalidInput, TypeError), match="prefix"):
        Connection("redis://localhost", prefix=prefix)


def test_the_environment_names_the_server_in_the_order_of_its_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    assert default_url() == DEFAULT_URL
    monkeypatch.setenv("REDIS_URL", "redis://two")
    assert default_url() == "redis://two"
    monkeypatch.setenv("RQ_REDIS_URL", "redis://of-rq")  # as in RQ, it goes before that of others
    assert default_url() == "redis://of-rq"
    monkeypatch.setenv("AIOQ_REDIS_URL", "")
    assert default_url() == "redis://of-rq"
    monkeypatch.setenv("AIOQ_REDIS_URL", "redis://one")
    assert Connection().url == "redis://one"


async def test_both_a_socket_and_a_port_lead_to_the_server(server: Server) -> None:
    for url in (server.url, server.tcp_url):
        connection = Connection(url)
        assert await connection.call(("PING",)) == b"PONG"
        await connection.aclose()


async def test_a_server_that_is_not_there_is_a_typed_error_with_its_address(
    own_server: Callable[..., Server],
) -> None:
    server = own_server()
    server.stop()

    for url in (server.url, server.tcp_url.replace("redis://", "redis://:secret@")):
        connection = Connection(url, patient=False)

        with pytest.raises(ServerUnreachable, match=r"server\.sock|127\.0\.0\.1") as caught:
            await connection.call(("PING",))

        with pytest.raises(ServerUnreachable):
            await connection.calls([("PING",), ("PING",)])

        with pytest.raises(ServerUnreachable):
            await Store(connection, "default").reads.count()

        assert "secret" not in str(caught.value)
        await connection.aclose()


@pytest.mark.parametrize("userinfo", [":wrong", "nobody:secret", "weak:wrong"])
async def test_a_wrong_password_is_refused_and_not_shown(
    userinfo: str, server: Server, client: redis.Redis
) -> None:
    client.acl_setuser("weak", enabled=True, passwords=["+right"])
    connection = Connection(f"redis://{userinfo}@127.0.0.1:{server.port}/0")

    try:
        for attempt in (connection.call(("PING",)), connection.calls([("PING",), ("PING",)])):
            with pytest.raises(ServerRefused) as caught:
                await attempt

            assert userinfo.split(":")[1] not in str(caught.value)
    finally:
        client.acl_deluser("weak")
        await connection.aclose()


async def test_a_server_that_wants_a_password_refuses_whoever_has_none(own_server: Callable[..., Server]) -> None:
    server = own_server()

    with server.client() as client:
        client.config_set("requirepass", "secret")

    connection = Connection(server.tcp_url)

    with pytest.raises(ServerRefused):
        await Store(connection, "default").reads.count()

    await connection.aclose()


async def test_a_user_without_the_right_to_a_command_or_a_key_is_refused(
    server: Server, client: redis.Redis
) -> None:
    client.acl_setuser(
        "weak", enabled=True, passwords=["+secret"], commands=["+@read", "+evalsha"], keys=["aioq:*"]
    )
    connection = Connection(f"unix://weak:secret@{server.socket}")

    try:
        for command in (("FLUSHALL",), ("GET", "other")):
            with pytest.raises(ServerRefused):
                await connection.call(command)

        with pytest.raises(ServerRefused):
            await connection.calls([("EXISTS", "aioq:x"), ("SET", "aioq:x", "1")])

        with pytest.raises(ServerRefused):
            await put(Store(connection, "default"), "a")
    finally:
        client.acl_deluser("weak")
        await connection.aclose()


async def test_a_key_of_another_type_in_the_way_is_told(store: Store, client: redis.Redis) -> None:
    client.set(store.keys.main, "in the way", px=60_000)

    with pytest.raises(ServerUnsuitable, match="another type"):
        await put(store, "a")

    with pytest.raises(ServerUnsuitable):
        await store.connection.call(("LPUSH", store.keys.main, "x"))

    client.delete(store.keys.main)


async def test_an_error_of_any_other_kind_is_a_typed_error_too(connection: Connection) -> None:
    for command in (("NO-SUCH-COMMAND",), ("SET", "a"), ("EVAL", "return {err = 'own'}", 0), ("SELECT", "99999")):
        with pytest.raises(ServerError):
            await connection.call(command)

        with pytest.raises(ServerError):
            await connection.calls([("PING",), command])


async def test_a_value_that_cannot_be_sent_is_no_redis_error(connection: Connection) -> None:
    with pytest.raises(ServerError):
        await connection.call(("SET", "a", None))


@pytest.mark.parametrize(
    "text",
    [
        "OOM command not allowed when used memory > 'maxmemory'.",
        "ERR Error running script (call to f_x): @user_script:1: -OOM command not allowed",
    ],
)
async def test_a_full_server_says_so_in_the_words_of_every_version(text: str, connection: Connection) -> None:
    with pytest.raises(ServerFull):
        await connection.call(("EVAL", "return redis.error_reply(ARGV[1])", 0, text))


@pytest.mark.parametrize(
    ("info", "good"),
    [
        (b"redis_version:6.2.0\r\n", True),
        (b"redis_version:6.0.16\r\n", False),
        (b"redis_version:5.0.14\r\n", False),
        (b"redis_version:8.2.1\r\n", True),
        (b"redis_version:7.2.4\r\nvalkey_version:7.2.5\r\n", True),
        (b"redis_version:7.2.4\r\nvalkey_version:9.1.2\r\nserver_name:valkey\r\n", True),
        (b"redis_version:7.2.4\r\nvalkey_version:7.1.0\r\n", False),
        (b"redis_version:7.4-rc1\r\n", True),
    ],
)
async def test_a_server_that_is_too_old_is_refused_with_the_oldest_that_works(
    info: object, good: bool, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def call(command: object) -> object:
        return info

    monkeypatch.setattr(connection, "call", call)

    if good:
        await connection.check_server()
    else:
        with pytest.raises(ServerUnsuitable, match=r"too old; aioq needs (redis 6\.2|valkey 7\.2) or later"):
            await connection.check_server()


async def test_the_server_of_these_tests_is_new_enough(connection: Connection) -> None:
    await connection.check_server()


@pytest.mark.parametrize("options", [{}, {"decode_responses": True}, {"protocol": 3}, {"protocol": 2}])
async def test_a_client_of_the_caller_works_whatever_it_is_set_to(
    options: dict[str, object], server: Server, client: redis.Redis
) -> None:
    theirs = redis.asyncio.Redis.from_url(server.url, **options)
    connection = Connection(theirs)
    store = Store(connection, "default")
    await connection.check_server()
    await put(store, "a", data=bytes(range(256)))
    (record,) = await store.reads.load(["a"])
    assert record is not None
    assert record.fields[b"data"] == bytes(range(256))
    assert (await store.reads.ids(JobStatus.QUEUED))[0] == ["a"]
    assert await store.reads.attempts("a") == []

    wait = asyncio.create_task(store.producing.mailbox.wait("a"))
    await asyncio.sleep(0)
    await store.changes.cancel("a")
    assert (await asyncio.wait_for(wait, 5)).status == "canceled"

    sibling = connection.sibling()
    assert await Store(sibling, "default").reads.ids(JobStatus.CANCELED)
    await sibling.aclose()

    await connection.aclose()
    assert await theirs.ping()
    assert client.llen(store.keys.wake) == 1
    await theirs.aclose()


async def test_what_was_opened_here_is_closed_here(server: Server, client: redis.Redis) -> None:
    before = len(client.client_list())
    connection = Connection(server.url)
    await connection.call(("PING",))
    assert len(client.client_list()) == before + 1
    await connection.aclose()
    await connection.aclose()

    await eventually(lambda: len(client.client_list()) <= before)


async def test_all_calls_share_one_connection_and_each_gets_its_own_answer(
    server: Server, client: redis.Redis
) -> None:
    before = len(client.client_list())
    connection = Connection(server.url)
    answers = await asyncio.gather(*(connection.call(("ECHO", str(number))) for number in range(500)))

    assert answers == [b"%d" % number for number in range(500)]
    assert len(client.client_list()) == before + 1
    await connection.aclose()


async def test_a_patient_call_is_repeated_when_the_server_has_closed_the_connection(
    store: Store, client: redis.Redis
) -> None:
    await put(store, "a")

    for _ in range(3):
        client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        assert await status(store) == "queued"
        client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        assert len(await store.connection.calls([("PING",), ("PING",)])) == 2


async def test_an_impatient_call_is_not_repeated(connection: Connection, client: redis.Redis) -> None:
    sibling = connection.sibling()
    await sibling.call(("PING",))
    client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")

    with pytest.raises(ServerUnreachable):
        await sibling.call(("PING",))

    await sibling.call(("PING",))
    await sibling.aclose()


@contextmanager
def no_descriptor_left() -> Iterator[None]:
    """As long as this lasts, this process can open nothing."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    taken = [os.open("/dev/null", os.O_RDONLY)]
    resource.setrlimit(resource.RLIMIT_NOFILE, (taken[0] + 10, hard))

    try:
        with suppress(OSError):
            while True:
                taken.append(os.open("/dev/null", os.O_RDONLY))

        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

        for each in taken:
            os.close(each)


async def test_a_process_that_can_open_nothing_more_has_no_connection_and_later_one(
    connection: Connection,
) -> None:
    """Who goes on after a connection that failed, as a worker does, goes on after this."""
    impatient = connection.sibling()

    with no_descriptor_left():
        for attempt in (impatient.call(("PING",)), connection.listener.listen("x", print, print)):
            with pytest.raises(ServerUnreachable, match="Too many open files"):
                await attempt

    assert await impatient.call(("PING",)) == b"PONG"
    await impatient.aclose()


async def test_a_patient_call_does_not_notice_that_the_server_was_restarted(
    own_server: Callable[..., Server],
) -> None:
    server = own_server()
    connection = Connection(server.url)
    store = Store(connection, "default")
    await put(store, "a")
    server.stop(kill=True)
    server.start()

    assert (await store.reads.count()).queued == 0
    await put(store, "a")
    assert (await store.reads.count()).queued == 1
    await connection.aclose()


async def test_a_server_that_does_not_answer_is_given_up(
    own_server: Callable[..., Server],
) -> None:
    server = own_server()
    connection = Connection(server.url, patient=False, call_timeout=0.1)
    await connection.call(("PING",))

    with server.client() as other:
        other.execute_command("CLIENT", "PAUSE", "300", "ALL")

        with pytest.raises(ServerUnreachable):
            await connection.call(("PING",))

    await connection.aclose()


async def test_a_caller_that_gives_up_does_not_leave_its_answer_to_the_next(connection: Connection) -> None:
    for _ in range(20):
        task = asyncio.create_task(connection.call(("ECHO", "old")))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])

        assert await connection.call(("ECHO", "new")) == b"new"


async def test_the_first_error_of_a_pipeline_is_raised_and_the_rest_has_run(
    connection: Connection, client: redis.Redis
) -> None:
    with pytest.raises(ServerError, match="NO-SUCH"):
        await connection.calls([("SET", "aioq:x", "1"), ("NO-SUCH",), ("SET", "aioq:y", "1")])

    assert client.delete("aioq:x", "aioq:y") == 2


async def test_a_companion_in_the_loop_of_a_thread_speaks_to_the_same_server(
    server: Server, client: redis.Redis
) -> None:
    client.set("aioq:x", bytes(range(256)))

    for source in (
        server.url,
        server.tcp_url,
        redis.asyncio.Redis.from_url(server.url, decode_responses=True, protocol=3),
    ):
        connection = Connection(source)
        call = connection.companion(1).call(("GET", "aioq:x"))
        assert await asyncio.to_thread(asyncio.run, call) == bytes(range(256))
        await connection.aclose()

    client.delete("aioq:x")


async def test_another_prefix_is_another_world(server: Server, client: redis.Redis) -> None:
    connection = Connection(server.url, prefix="shop")
    await put(Store(connection, "default"), "a")
    keys = set(client.scan_iter())
    client.flushall()
    await connection.aclose()

    ends = ("queues", "{default}:format", "{default}:job:a", "{default}:lane:main", "{default}:wake")
    assert keys == {f"shop:{end}".encode() for end in ends}


async def test_a_server_in_cluster_mode_takes_every_script_of_a_queue(own_server: Callable[..., Server]) -> None:
    server = own_server("--cluster-enabled", "yes", "--cluster-port", str(free_port()))

    with redis.Redis.from_url(server.url) as client:
        client.execute_command("CLUSTER", "ADDSLOTSRANGE", "0", "16383")

        await eventually(lambda: b"cluster_state:ok" in client.execute_command("CLUSTER", "INFO"))

        connection = Connection(server.url)
        store = Store(connection, "a:b/c")

        for state in (
            "expired",
            "started",
            "finished",
            "failed",
            "canceled",
            "stopped",
            "scheduled",
            LATE,
            "queued",
        ):
            await bring(store, client, state, state)

        slots = {
            client.execute_command("CLUSTER", "KEYSLOT", key)
            for key in client.scan_iter()
            if key.startswith(b"aioq:{")
        }
        assert len(slots) == 1

        await store.producing.wait("one", ["queued", "started"])
        await store.changes.save_meta("queued", None, [b"meta.a", b"1"], [])
        await store.reads.load(["a", "queued"])
        await store.reads.count()
        await store.reads.ids(JobStatus.EXPIRED)
        await beat(store)
        await end(store, (await start(store, "again"), Retried("boom", 0)))
        await end(store, (await start(store, "more"), Interrupted(begun=True)))
        await take(store)
        assert await store.changes.requeue(["failed", LATE], at_front=True, reset=True) == ["ok", "ok"]
        await store.duty.reclaim("w1", [])
        await store.changes.delete(["queued", "finished"])
        await store.duty.sweep()
        await store.duty.leave("w1")
        assert audit(client, store) == []
        await connection.aclose()


@pytest.mark.parametrize("what", ["call", "listen", "lend", "durable"])
async def test_who_is_cancelled_while_something_is_opened_leaves_nothing_open(
    what: str, server: Server, client: redis.Redis
) -> None:
    before = len(client.client_list())

    for steps in range(40):
        connection = Connection(server.tcp_url)
        store = Store(connection, "default")
        attempt = {
            "call": lambda connection=connection: connection.call(("PING",)),
            "listen": lambda connection=connection: connection.listener.listen("x", print, print),
            "lend": lambda connection=connection: connection.lend_wire(1, "x"),
            "durable": lambda store=store: store.producing.enqueue_durably([], "replicated", 1),
        }[what]
        task = asyncio.ensure_future(attempt())

        for _ in range(steps):
            await asyncio.sleep(0)

        task.cancel()
        await asyncio.wait([task])
        await connection.aclose()

    await eventually(lambda: len(client.client_list()) <= before)
    client.delete("aioq:queues")
