"""The users of docs/security.md: each can do its work, with every command that it is given, and no more."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis

from aioq import (
    Connection,
    Dependency,
    Job,
    JobFailed,
    JobStatus,
    Queue,
    ResultOf,
    Retry,
    ServerError,
    Worker,
    current_job,
    get_current_job,
)
from aioq.cli.screen.reading import read
from aioq.cli.screen.state import Place
from aioq.cli.screen.view import Page
from aioq.doctor import examine
from aioq.errors import JobCanceled, JobExpired, ServerRefused
from aioq.store import Directory, Store
from aioq.store.scripts import server_scripts
from aioq.types import Durability
from aioq.web import dashboard
from aioq.web.board import Board
from aioq.worker import figures
from tests import jobs
from tests.cli.tools import Cli
from tests.conftest import Server
from tests.doctor.test_damage import DAMAGES
from tests.store.tools import claim
from tests.system.proxy import Proxy
from tests.tools import RunningWorker, eventually

PAGE = Path(__file__).parent.parent.parent / "docs/security.md"
LINES = [
    (name, rules.split())
    for name, rules in re.findall(
        r"^ACL SETUSER (\w+) (.*?)\n(?=\n|ACL|```)",
        PAGE.read_text().replace(" \\\n", " "),
        re.DOTALL | re.MULTILINE,
    )
]

#: The rules of each user; and those that an observer needs as well, to call the doctor.
USERS = {name: rules for name, rules in LINES if "on" in rules}
(MORE,) = [rules for name, rules in LINES if "on" not in rules]

SCRIPTS = {
    "producer": {
        *("enqueue", "wait", "load", "cancel", "depend", "decide"),
        *("open_group", "add_members", "close_group", "load_group", "wait_group"),
    },
    "worker": {
        *("join", "claim", "finish", "fail", "retry", "give_back", "reclaim", "beat", "leave", "sweep", "wake"),
        *("save_meta", "load", "repeat", "depend", "decide", "outbox", "tell_group", "close_group", "tally"),
    },
    "observer": {"count", "ids", "load", "load_group", "statistics", "explain", "glance"},
    "operator": {
        *(
            "enqueue",
            "depend",
            "decide",
            "wait",
            "load",
            "glance",
            "count",
            "ids",
            "explain",
            "cancel",
            "stop",
            "delete",
            "requeue",
            "leave",
            "wake",
            "examine",
            "open_group",
            "add_members",
            "close_group",
            "load_group",
            "wait_group",
            "statistics",
            "forget_statistics",
        ),
    },
}

#: In the scripts of a role, but only in included functions that these scripts do not call, or never like this.
UNREACHED: dict[str, set[str]] = {
    "producer": {"hincrby", "ltrim", "rename", "sismember", "type", "zpopmin", "zremrangebyscore", "zunionstore"},
    "worker": {"rename", "zunionstore"},
    "operator": {"zpopmin", "zremrangebyrank"},
}

#: Sent on a subscription that has been silent for long; no test waits for that.
SILENT = {"ping"}


def commands(name: str) -> set[str]:
    """The commands in the text of a script."""
    text = re.sub(r"--.*", "", server_scripts()[name].text)
    found = set()

    for head, sub in re.findall(r"redis\.p?call\(\s*([^(),]*?)(?:,\s*'([A-Z]+)')?[,)]", text):
        for command in re.findall(r"'([A-Z]+)'", head):
            found.add(f"{command}|{sub}".lower() if command in ("XGROUP", "XINFO") else command.lower())

    return found


def allowed(role: str) -> set[str]:
    return {rule[1:] for rule in USERS[role] if rule.startswith("+")}


@pytest.fixture
def server(own_server: Callable[..., Server]) -> Server:
    """A server with the users of the page."""
    made = own_server()

    with made.client() as admin:
        for name, rules in USERS.items():
            admin.execute_command("ACL", "SETUSER", name, *rules)

        admin.config_resetstat()

    return made


def url(server: Server, role: str) -> str:
    return f"redis://{role}:PASSWORD@127.0.0.1:{server.port}/0"


@pytest.fixture
async def queue(server: Server) -> AsyncIterator[Queue]:
    """The queue for one who may do everything."""
    async with Queue("mail", server.url) as queue:
        yield queue


def used(server: Server) -> set[str]:
    """What was called since the start, or since the last look, by anybody."""
    with server.client() as admin:
        found = {name.removeprefix("cmdstat_") for name in admin.info("commandstats")}
        admin.config_resetstat()

    return found


def forget_scripts(server: Server) -> None:
    """So that the next one who calls a script must load it; and nothing counts that was called before."""
    with server.client() as admin:
        admin.script_flush()

    used(server)


def denied(server: Server) -> list[str]:
    with server.client() as admin:
        # redis-py tells its name to servers that know how to keep it, and does not mind a refusal.
        return [each["object"] for each in admin.acl_log() if not each["object"].startswith("client")]


async def note(key: str) -> None:
    job = get_current_job()
    job.meta["noted"] = key
    job.meta.pop("old", None)
    await job.save_meta()


def test_the_page_has_these_users() -> None:
    assert USERS.keys() == SCRIPTS.keys()


@pytest.mark.parametrize("role", SCRIPTS)
def test_a_user_may_call_all_that_the_scripts_of_the_role_call(role: str) -> None:
    in_scripts = set().union(*map(commands, SCRIPTS[role]))
    assert in_scripts - allowed(role) == UNREACHED.get(role, set())
    assert allowed(role) & {"eval", "keys", "config", "flushall", "flushdb", "acl", "@all", "select"} == set()


async def test_a_producer_enqueues_waits_and_cancels(server: Server, queue: Queue) -> None:
    await failed_twice(queue)

    with server.client() as admin:
        admin.delete("aioq:{mail}:wake")

    suspend(server)
    forget_scripts(server)

    async with Queue("mail", url(server, "producer")) as own:
        await own.enqueue(jobs.add, 1, 2, at_front=True)
        done = await own.enqueue(jobs.add, 1, 2, meta={"a": 1})
        late = await own.enqueue(jobs.add, 1, 2, ttl=0.001)
        later = await own.enqueue_in(60, jobs.add, 1, 2)
        taken = await own.enqueue(jobs.add, 1, 2, ttl=60)
        again = await own.enqueue(jobs.div_by_zero, 1, job_id="kept")
        waiting = asyncio.create_task(done.result(10))
        first = await own.enqueue(jobs.add, 1, 2)
        depends_on = Dependency(first, on_failure="run")
        released = await own.enqueue(jobs.add, 1, 2, depends_on=depends_on)

        async with Queue("other", own.connection) as other:
            elsewhere = await other.enqueue(jobs.add, 1, 2, depends_on=depends_on)
            assert {*await first.dependents()} == {released, elsewhere}

        await own.enqueue(jobs.add, 1, 2, depends_on=Dependency(first, on_failure="cancel"))
        await own.enqueue(jobs.add, 1, 2, depends_on=Dependency([first, done], on_failure="run"))
        await first.cancel()
        assert await released.get_status() == "queued"
        taker = await own.enqueue(jobs.add, ResultOf(first), 2, depends_on=depends_on)
        await taker.cancel()

        group = await own.enqueue_group([Queue.prepare_data(jobs.add, (1, 2))], on_failure=jobs.noop)
        ending_group = asyncio.create_task(group.wait(5))
        await group.cancel()
        assert (await ending_group).canceled == 1

        for job in (later, taken, again):
            ending = asyncio.create_task(job.result(5))
            await eventually(lambda job=job: is_waited_for(job))
            await job.cancel()

            with pytest.raises(JobCanceled):
                await ending

        with pytest.raises(JobExpired):
            await late.result(5)

        assert (await own.fetch_job(done.id)).is_queued
        mine = used(server)
        assert denied(server) == []
        resume(server)
        await Worker("mail", server.url).run(burst=True)
        assert await waiting == 3
        used(server)
        assert (await done.results())[0].return_value == 3
        mine |= used(server)
        running = await own.enqueue(jobs.sleep, 60)

        async with RunningWorker(["mail"], connection=server.url):
            await eventually(lambda: is_started(running))
            await running.cancel()

    assert allowed("producer") - SILENT - mine == set()
    assert denied(server) == []


async def is_waited_for(job: Job[Any]) -> bool:
    await job.refresh()
    return b"after" in job.record.fields


async def is_started(job: Job[Any]) -> bool:
    return await job.get_status() == "started"


async def failed_twice(queue: Queue) -> None:
    """Two ended jobs, one of which is kept for ever."""
    for name, ttl in (("kept", -1), ("other", 60)):
        await queue.enqueue(jobs.div_by_zero, 1, job_id=name, failure_ttl=ttl)

    await Worker("mail", queue.connection).run(burst=True)


def suspend(server: Server) -> None:
    """All workers are suspended, for a while: new queues, and workers, take that over."""
    with server.client() as admin:
        admin.set("aioq:suspended", "1", px=60_000)


def resume(server: Server) -> None:
    with server.client() as admin:
        admin.delete("aioq:suspended", *admin.scan_iter("aioq:{*}:suspended"))


async def test_a_worker_runs_jobs_and_looks_after_others(server: Server, queue: Queue, monkeypatch) -> None:
    monkeypatch.setattr(figures, "TELL_S", 0.5)
    first = await canceled_with_many(queue)
    await failed_twice_by_hand(queue, server)
    await run_without_a_group(queue, server)
    await queue.enqueue(note, "k", meta={"old": 1})
    await queue.enqueue(jobs.add, 1, 2, result_ttl=0, at_front=True)
    await queue.enqueue(jobs.add, 1, 2, result_ttl=-1)
    await queue.enqueue(jobs.add, 1, 2, ttl=60)
    await queue.enqueue(jobs.add, 1, 2, ttl=0.001)
    await queue.enqueue(jobs.div_by_zero, 1, retry=Retry(2, interval=[0, 0.05]), ttl=60, failure_ttl=60)
    await queue.enqueue(jobs.div_by_zero, 1, failure_ttl=0)
    await queue.enqueue_in(0.05, jobs.add, 1, 2, at_front=True)
    await queue.enqueue_group([Queue.prepare_data(jobs.div_by_zero, (1,))], on_failure=jobs.noop)
    await queue.enqueue(jobs.add, 1, 2, depends_on=await queue.enqueue(jobs.add, 1, 2))
    told = await queue.enqueue(jobs.add, 1, 2)
    await queue.enqueue_many([Queue.prepare_data(jobs.add, (number, 1)) for number in range(500)])
    await lost_worker(queue, server)
    await first.requeue(dependents=True)

    with server.client() as admin:
        admin.hset(f"aioq:{{mail}}:job:{told.id}", "after", "@aioq:waiter:x")
        admin.delete(*admin.keys("aioq:{mail}:minutes:*"))  # so that this worker looks at the backlog

    suspend(server)
    forget_scripts(server)

    async with RunningWorker(["mail", "news"], connection=url(server, "worker")) as running:
        slots, courier = running.worker._service.slots, running.worker._service.courier
        await eventually(lambda: takes_over(server, "news"))
        resume(server)
        await eventually(lambda: slots.ended >= 766 and not slots.held, timeout=20)
        await eventually(lambda: not courier._outcomes.small and not courier._under_way)
        await eventually(lambda: has_told(server))
        mine = used(server)
        held = await queue.enqueue(jobs.sleep, 60)
        stopped = await queue.enqueue(jobs.sleep, 60)
        await eventually(lambda: slots.running == 2)
        await stopped.stop()
        await eventually(lambda: slots.running == 1)

    assert await held.get_status() == "queued"
    news = await Queue("news", queue.connection).enqueue_in(60, jobs.add, 1, 2)
    await queue.enqueue(jobs.add, 1, 2, depends_on=news)
    store = Store(Connection(url(server, "worker")), "mail")
    assert await store.outbox.tell_again() == 1
    mine |= {"srandmember"} & used(server)

    with server.client() as admin:
        admin.delete(*admin.keys("aioq:{mail}:minutes:*"))

    assert await store.statistics.tally("w", 1, "finished=1")  # a job waits, so it looks for how long
    mine |= {"xinfo|groups", "xinfo|stream"} & used(server)
    await store.changes.wake()
    await store.connection.aclose()
    assert denied(server) == []
    assert (await queue.fetch_job("lost")).is_finished
    assert allowed("worker") - SILENT - mine == set()


async def canceled_with_many(queue: Queue) -> Job[int]:
    """A job that was canceled, and has ended more dependents than one script brings back."""
    first = await queue.enqueue(jobs.add, 1, 2)
    edge = Dependency(first, on_failure="cancel")
    call = Queue.prepare_data(jobs.add, (ResultOf(first), 1), depends_on=edge)
    await queue.enqueue_many([call] * 250)
    await first.cancel()
    await Worker(queue).run(burst=True)

    return first


async def add_a_child_and_fail() -> None:
    await current_job().add_child(jobs.add, 1, 2)
    raise ValueError("once is not enough")


async def failed_twice_by_hand(queue: Queue, server: Server) -> None:
    """Ids in the registries whose jobs have gone: one of a job that was to be kept for ever."""
    await failed_twice(queue)

    with server.client() as admin:
        admin.delete("aioq:{mail}:job:kept")
        admin.zadd("aioq:{mail}:finished:usual", {"forgotten": 5})
        admin.zadd("aioq:{mail}:finished", {"over": 5})
        admin.zadd("aioq:{mail}:finished:until", {"over": 6})
        admin.sadd("aioq:workers", "killed")


def has_told(server: Server) -> bool:
    with server.client() as admin:
        pages = [admin.hgetall(key) for key in admin.keys("aioq:{mail}:minutes:*")]

    return any("waiting=" in str(words) for page in pages for words in page.values())


def takes_over(server: Server, queue: str) -> bool:
    with server.client() as admin:
        return bool(admin.exists(f"aioq:{{{queue}}}:suspended"))


async def run_without_a_group(queue: Queue, server: Server) -> None:
    """A job that a living worker runs, while somebody destroys the group of its lane."""
    await queue.enqueue(jobs.add, 1, 2, job_id="elsewhere")
    await queue.store.duty.join("other", 60_000)
    await queue.connection.call(queue.store.duty.claim_command("other", 1))

    with server.client() as admin:
        admin.xgroup_destroy("aioq:{mail}:lane:main", "workers")


async def lost_worker(queue: Queue, server: Server) -> None:
    """A job that a worker holds whose lease is over soon."""
    await queue.enqueue(jobs.add, 1, 2, job_id="lost", at_front=True)
    await queue.store.duty.join("dead", 300)
    await queue.connection.call(queue.store.duty.claim_command("dead", 1))


async def test_an_observer_sees_and_changes_nothing(server: Server, queue: Queue, environment) -> None:
    await queue.enqueue_group([], name="g")
    ids = [(await queue.enqueue(jobs.add, 1, 2)).id, (await queue.enqueue(jobs.add, 1, 2, ttl=0.001)).id]
    await failed_twice(queue)
    await queue.enqueue(jobs.add, 1, 2, at_front=True)
    await queue.store.duty.join("dead", 60_000)
    await queue.connection.call(queue.store.duty.claim_command("dead", 1))
    ids.append((await queue.enqueue(jobs.add, 1, 2)).id)
    ids.append((await queue.enqueue(jobs.add, 1, 2, depends_on=[ids[-1], ids[0]])).id)

    with server.client() as admin:
        admin.sadd("aioq:workers", "w")
        admin.hset("aioq:worker:w", mapping={"pid": 1, "queues": "mail"})

    forget_scripts(server)
    cli = Cli(url(server, "observer"), environment)
    words = [("info",), ("info", "--json"), ("ls", "--queue", "mail"), ("ls", "--queue", "mail", "--desc")]

    words += [("group", "ls", "mail"), ("group", "show", "g"), ("stats", "mail"), ("info", "--departed")]
    words += [("audit", "mail")]
    words += [("ls", "--queue", "mail", "--status", str(state)) for state in JobStatus]
    words += [("job", "show", each, "--queue", "mail") for each in ids]
    words += [("explain", each, "--queue", "mail") for each in (ids[0], ids[-1])]
    words += [("top",), ("top", "--json")]

    for each in words:
        result = await asyncio.to_thread(cli.call, *each)
        assert result.exit_code == 0, (each, result.output)

    assert denied(server) == []
    await look_at_the_dashboard(server, "observer", ids[-1])
    await watch_the_monitor(server, "observer", ids[-1])
    assert allowed("observer") - SILENT - used(server) == set()
    assert set(denied(server)) <= {"ping", "config|get"}  # then the server's settings are not shown
    before = dump(server)

    async with Queue("mail", url(server, "observer")) as own:
        job = await own.fetch_job(ids[-1])

        for change in (
            lambda: own.enqueue(jobs.noop),
            job.cancel,
            job.delete,
            lambda: own.requeue(["kept"]),
            own.pause,
            own.resume,
            own.store.changes.wake,
            lambda: own.store.duty.join("w", 60_000),
            own.store.duty.sweep,
            lambda: own.connection.call(own.store.duty.claim_command("dead", 1)),
            lambda: Directory(own.connection).suspend(),
            lambda: Worker("mail", url(server, "observer")).run(burst=True),
            lambda: job.result(0.1),
        ):
            with pytest.raises((ServerError, TimeoutError)):
                await change()

    assert dump(server) == before


async def look_at_the_dashboard(server: Server, user: str, job_id: str) -> None:
    """Each page of the dashboard, as this user."""
    app = dashboard(url(server, user))

    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://localhost") as visitor:
        lists = ("/", "/queues", "/queues/mail", "/jobs", "/jobs?state=failed", "/workers", "/audit")

        for path in (*lists, f"/jobs/{job_id}"):
            assert (await visitor.get(path)).status_code == 200, path

    await app.aclose()


async def watch_the_monitor(server: Server, user: str, job_id: str) -> None:
    """Each page of the monitor, as this user."""
    async with Queue("mail", url(server, user)) as own:
        for page in Page:
            assert (await read(Board(own.connection), Place(page, "mail", job_id))).sections, page


async def examine_all_damage(server: Server, user: str, *, repair: bool) -> set[str]:
    """What the doctor called; with each kind of damage, since what its script calls depends on what it finds."""
    called = set()

    async with Queue("default", server.url) as queue, Queue("default", url(server, user)) as own:
        with redis.Redis.from_url(server.url) as client:
            forget_scripts(server)  # once: to load them all again takes far longer than to look for a damage

            for damage in DAMAGES:
                client.flushall()
                await queue.store.producing.register()
                await damage.plant(queue.store, client)
                used(server)
                found = await examine(own, repair=repair)
                called |= used(server)
                assert found
                assert all(each.repaired == repair for each in found), found

            client.flushall()

    return called


@pytest.mark.timeout(180)
@pytest.mark.chaos
async def test_an_observer_with_more_rules_calls_the_doctor(server: Server, environment: dict[str, str]) -> None:
    with server.client() as admin:
        admin.execute_command("ACL", "SETUSER", "observer", *MORE)

    mine = await examine_all_damage(server, "observer", repair=False)
    cli = Cli(url(server, "observer"), environment)
    result = await asyncio.to_thread(cli.call, "doctor")
    assert "Not readable here: " in result.output
    assert "The data is sound." in result.output
    assert set(denied(server)) == {"config|get"}
    assert {rule[1:] for rule in MORE} - mine - used(server) == set()

    with server.client() as admin:
        admin.execute_command("ACL", "SETUSER", "observer", "+config|get")

    assert "Not readable here: " not in (await asyncio.to_thread(cli.call, "doctor")).output


# It starts a process for each command.
@pytest.mark.timeout(240)
async def test_an_operator_calls_every_command_and_repairs(
    server: Server, queue: Queue, environment: dict[str, str]
) -> None:
    mine = await examine_all_damage(server, "operator", repair=True)
    parent = await queue.enqueue(add_a_child_and_fail)
    first = await canceled_with_many(queue)
    await failed_twice(queue)
    held = await queue.enqueue(jobs.sleep, 60, at_front=True)
    await queue.store.duty.join("w", 60_000)
    await queue.connection.call(queue.store.duty.claim_command("w", 1))
    await queue.enqueue(jobs.add, 1, 2, at_front=True, ttl=0.001)
    forget_scripts(server)

    async with Queue("mail", url(server, "operator")) as own:
        await (await own.fetch_job(parent.id)).requeue()
        again = await own.fetch_job(first.id)
        assert len(await again.requeue(dependents=True)) == 200
        await again.cancel()
        await again.requeue(dependents=True)

    others = [await queue.enqueue_in(60, jobs.noop), await queue.enqueue_in(60, jobs.noop)]
    await queue.enqueue(jobs.noop, depends_on=others, job_id="waits")
    await call_all(Cli(url(server, "operator"), environment), held.id)
    await look_at_the_dashboard(server, "operator", held.id)

    async with Queue("mail", url(server, "operator")) as own:
        await own.enqueue_group([], on_complete=jobs.noop)
        await own.delete()

    mine |= used(server)
    assert set(denied(server)) == {"config|get"}
    assert allowed("operator") - SILENT - mine == set()


async def call_all(cli: Cli, held: str) -> None:
    """The commands of an operator; `held` is running."""
    mail = ("--queue", "mail")

    for words in (
        ("enqueue", "tests.jobs.add", "1", "2", *mail, "--job-id", "one", "--ttl", "60s"),
        ("ls", *mail, "--desc"),
        ("enqueue", "tests.jobs.add", "1", "2", *mail, "--job-id", "two", "--schedule-in", "60s"),
        *(("job", verb, "one", *mail) for verb in ("show", "cancel")),
        ("requeue", "one", *mail, "--from", "canceled"),
        ("requeue", "--all", *mail),
        ("job", "stop", held, *mail),
        ("job", "delete", "two", *mail),
        *(("ls", *mail, "--status", str(state)) for state in JobStatus),
        ("info",),
        ("stats", "mail"),
        ("explain", "waits", *mail),
        ("enqueue", "tests.jobs.add", "1", "2", *mail, "--wait", "--wait-timeout", "0.05"),
        ("suspend",),
        ("suspend", "--queue", "mail", "--duration", "5"),
        ("resume", "--queue", "mail"),
        ("retry-budget", "mail", "--limit", "5"),
        ("retry-budget", "mail", "--off"),
        ("resume",),
        ("empty", "mail"),
        ("doctor", "--json"),
    ):
        result = await asyncio.to_thread(cli.call, *words)
        assert result.exit_code == ("--wait" in words), (words, result.output)


@pytest.mark.parametrize("role", ["producer", "worker"])
async def test_a_user_of_one_queue(server: Server, role: str) -> None:
    own = ["~aioq:{mail}:*", "~aioq:queues", "~aioq:suspended"]
    own += ["~aioq:workers", "~aioq:worker:*"] if role == "worker" else []

    with server.client() as admin:
        admin.execute_command("ACL", "SETUSER", role, "resetkeys", *own)

    async with Queue("mail", url(server, role)) as mail, Queue("news", url(server, role)) as news:
        if role == "producer":
            await mail.enqueue(jobs.add, 1, 2)
        else:
            await Worker("mail", url(server, role)).run(burst=True)

        assert denied(server) == []

        with pytest.raises(ServerRefused, match=rf"ACL SETUSER {role} ~aioq:{{news}}:\*"):
            await news.enqueue(jobs.add, 1, 2)


async def told(server: Server, *rules: str) -> str:
    """The rule that a user with these is told to add, to enqueue a job and wait for it; "" if none is missing."""
    with server.client() as admin:
        admin.execute_command("ACL", "SETUSER", "weak", "reset", "on", ">PASSWORD", *rules)

    async with Queue("mail", url(server, "weak")) as queue:
        try:
            await (await queue.enqueue(jobs.add, 1, 2, ttl=0.05)).result(20)
        except JobExpired:
            return ""
        except ServerRefused as error:
            assert "PASSWORD" not in str(error)
            (rule,) = re.findall(r"ACL SETUSER weak (\S+) allows it", str(error))

            return str(rule)

    raise AssertionError("nobody was there to run the job")


async def test_who_adds_what_the_errors_tell_has_what_is_needed(server: Server) -> None:
    rules: list[str] = []

    while rule := await told(server, *rules):
        assert rule not in rules
        rules.append(rule)

    assert {rule[1:] for rule in rules if rule.startswith("+")} <= allowed("producer")
    assert [rule for rule in rules if not rule.startswith("+")] == [
        "~aioq:queues",
        "~aioq:suspended",
        "~aioq:{mail}:*",
        "&aioq:waiter:*",
    ]


async def test_a_worker_names_the_rule_that_is_missing(server: Server, queue: Queue) -> None:
    store = Store(Connection(url(server, "worker")), "mail")
    await store.duty.join("w", 60_000)
    await queue.enqueue(jobs.add, 1, 2)

    with server.client() as admin:
        admin.execute_command("ACL", "SETUSER", "worker", "-xreadgroup")

    with pytest.raises(ServerRefused, match=r"xreadgroup|ACL LOG"):  # Redis up to 7.0 does not say which command
        await claim(store, "w")

    await store.connection.aclose()


async def test_the_command_line_names_the_rule_that_is_missing(
    server: Server, environment: dict[str, str]
) -> None:
    cli = Cli(url(server, "producer"), environment)
    words = ("enqueue", "tests.jobs.add", "1", "2", "--queue", "mail")
    result = await asyncio.to_thread(cli.call, *words)
    assert result.exit_code == 1
    assert "ACL SETUSER producer +info allows it;" in result.stderr.replace("\n", " ")

    with server.client() as admin:
        admin.execute_command("ACL", "SETUSER", "producer", "+info")

    assert (await asyncio.to_thread(cli.call, *words)).exit_code == 0


def dump(server: Server) -> dict[str, object]:
    with redis.Redis.from_url(server.url) as admin:
        return {key: admin.dump(key) for key in admin.scan_iter("aioq:{mail}*")}


@pytest.mark.parametrize("role", SCRIPTS)
def test_nobody_may_do_what_is_not_of_aioq(server: Server, role: str) -> None:
    with server.client() as admin:
        admin.set("app:secret", "x")

    with redis.Redis.from_url(url(server, role)) as client:
        for words in (
            *(("CONFIG", "GET", "*"), ("FLUSHALL",), ("FLUSHDB",), ("KEYS", "*"), ("ACL", "LIST")),
            *([] if role == "operator" else [("SCAN", "0")]),
            *(
                ("EVAL", "return 1", "0"),
                ("SHUTDOWN",),
                ("MONITOR",),
                ("SCRIPT", "FLUSH"),
            ),
            *(("GET", "app:secret"), ("HGETALL", "app:secret"), ("EXISTS", "app:secret"), ("DEL", "app:secret")),
            *(("PUBLISH", "app:events", "x"), ("SUBSCRIBE", "app:events"), ("DUMP", "aioq:queues")),
            *(
                ("RENAME", "aioq:queues", "app:x"),
                ("MIGRATE", "h", "1", "k", "0", "1"),
                ("REPLICAOF", "NO", "ONE"),
            ),
        ):
            with pytest.raises(redis.exceptions.NoPermissionError):
                client.execute_command(*words)


async def test_a_producer_is_no_worker(server: Server) -> None:
    with pytest.raises(ServerError):
        await Worker("mail", url(server, "producer")).run(burst=True)


async def test_a_failure_reaches_a_producer_that_waits(server: Server) -> None:
    async with (
        Queue("mail", url(server, "producer")) as own,
        RunningWorker(["mail"], connection=url(server, "worker")),
    ):
        job = await own.enqueue(jobs.div_by_zero, 1)

        with pytest.raises(JobFailed, match="ZeroDivisionError"):
            await job.result(10)


async def test_a_producer_with_two_more_rules_may_ask_for_durability(own_server: Callable[..., Server]) -> None:
    """Also when the reply of its enqueue is lost, and the call is repeated."""
    (more,) = re.findall(r"`([+\w ]+)` for `\"fsync\"`", PAGE.read_text())
    made = own_server("--appendonly", "yes")

    with made.client() as admin:
        admin.execute_command("ACL", "SETUSER", "producer", *USERS["producer"], *more.split())

    async with Proxy(made.socket) as proxy:
        async with Queue("default", proxy.url.replace("redis://", "redis://producer:PASSWORD@")) as queue:
            proxy.cut_reply_of("enqueue")
            job = await queue.enqueue(jobs.add, 1, 2, durability="fsync")
            assert (job.durability, proxy.cuts) == (Durability("fsync"), 1)
            assert (await queue.fetch_job(job.id)).is_queued


@pytest.mark.chaos
@pytest.mark.parametrize(
    ("level", "rule"),
    [("fsync", "+waitaof"), ("fsync", "+info"), ("replicated", "+wait"), ("fsync", "+waitaof +info")],
)
async def test_durability_without_a_right_names_the_rule_and_writes_nothing(
    own_server: Callable[..., Server], level: str, rule: str
) -> None:
    made = own_server("--appendonly", "yes", "--appendfsync", "everysec")
    replica = own_server("--replicaof", f"127.0.0.1 {made.port}")
    rules = [*USERS["producer"], "+waitaof", "+wait", "+info", *rule.replace("+", "-").split()]

    with made.client() as admin:
        admin.execute_command("ACL", "SETUSER", "producer", *rules)
        # A replica that has just connected may take a second until it acknowledges its first write.
        await eventually(lambda: admin.set("x", 1) and admin.wait(1, 100))
        admin.delete("x")

    async with Queue("mail", url(made, "producer")) as queue:
        with pytest.raises(ServerRefused, match=rf"ACL SETUSER producer {re.escape(rule.split()[0])} allows it"):
            await queue.enqueue(jobs.add, 1, 2, durability=level)

        with made.client() as admin:
            assert not admin.exists("aioq:{mail}:lane:main")
            admin.execute_command("ACL", "SETUSER", "producer", *rule.split())

        assert (await queue.enqueue(jobs.add, 1, 2, durability=level)).durability.level == level

    replica.stop()
