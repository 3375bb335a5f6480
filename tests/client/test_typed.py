"""Typed jobs and own serializers on a real server, with workers and readers in other processes."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import threading
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import redis

from aioq import Job, JobFailed, Queue, Retry, Worker
from aioq.errors import SerializationError
from aioq.values.errors import DeserializationError, InvalidFunction, InvalidInput, WorkerError
from tests.client import typed_jobs
from tests.client.typed_jobs import Bill, Customer, Item, Order, Packed
from tests.conftest import Server
from tests.tools import eventually

ORDER = Order([Item("tea", Decimal("2.50")), Item("cup", Decimal(9))], datetime(2026, 3, 1, 8, tzinfo=UTC))
CUSTOMER = Customer(id=UUID(int=5), mail="you@example.org")
MODULE = "tests.client.typed_jobs"


@pytest.fixture(autouse=True)
def _forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aioq.values.serializer._own", {})
    typed_jobs.runs.clear()


@pytest.fixture
async def typed(server: Server) -> AsyncIterator[Queue]:
    async with Queue("default", server.url, serializer="typed") as queue:
        yield queue


@pytest.fixture
def run(environment: dict[str, str], server: Server) -> Any:
    """Runs Python in a process of its own; what it has printed."""

    async def python(*words: str) -> str:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, *words),
            env=environment | {"AIOQ_REDIS_URL": server.url},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        output, errors = await process.communicate()
        assert process.returncode == 0, errors.decode()
        return output.decode() + errors.decode()

    return python


# Both ends


async def test_instances_come_to_a_worker_in_another_process_and_back(typed: Queue, raw: redis.Redis, run) -> None:
    job = await typed.enqueue(typed_jobs.charge, ORDER, CUSTOMER, labels={"b", "a"})
    stored = raw.hget(f"aioq:{{default}}:job:{job.id}", "data")
    assert stored[0] == "t"
    assert json.loads(stored[1:])[1][0]["items"][0] == {"name": "tea", "price": "2.50"}
    await run("-m", "aioq", "worker", "--burst")
    bill = await job.result(10)
    assert bill == Bill(Decimal("11.50"), UUID(int=5), Path("/bills/a,b"), bill.pid)
    assert bill.pid != os.getpid()


READER = """
import asyncio, sys
from aioq import Queue

async def main():
    async with Queue() as queue:
        job = await queue.fetch_job("x")
        assert not [name for name in sys.modules if name.startswith("tests")]
        bill = await job.result(10)
        latest = await job.latest_result()
        print(type(bill), bill.total, latest.return_value == bill, job.args[0].items[0])

asyncio.run(main())
"""


async def test_a_process_that_has_not_imported_the_function_gets_instances(typed: Queue, burst, run) -> None:
    await typed.enqueue(typed_jobs.charge, ORDER, CUSTOMER, job_id="x")
    await burst()
    found = await run("-c", READER)
    assert found == f"<class '{MODULE}.Bill'> 11.50 True Item(name='tea', price=Decimal('2.50'))\n"


async def test_where_there_is_no_such_module_the_values_are_plain(typed: Queue, raw: redis.Redis, burst) -> None:
    job = await typed.enqueue(typed_jobs.charge, ORDER, CUSTOMER)
    await burst()
    raw.hset(f"aioq:{{default}}:job:{job.id}", "func", "nowhere.charge")
    (fetched,) = await typed.fetch_many([job.id])
    assert (await fetched.result(5))["total"] == "11.50"
    assert fetched.args[1] == {"id": str(UUID(int=5)), "mail": "you@example.org"}


async def test_signed_jobs_are_typed_as_well(server: Server, burst) -> None:
    async with Queue("default", server.url, serializer="typed", secret="a secret of the test") as queue:
        job = await queue.enqueue(typed_jobs.charge, ORDER, CUSTOMER)
        await burst(secret="a secret of the test")
        assert (await job.result(5)).total == Decimal("11.50")
        (fetched,) = await queue.fetch_many([job.id])
        assert fetched.args == (ORDER, CUSTOMER)


async def test_a_process_of_a_job_is_typed_as_well(typed: Queue, burst) -> None:
    job = await typed.enqueue(typed_jobs.charge_apart, ORDER, CUSTOMER, executor="process")
    wrong = await typed.enqueue(typed_jobs.wrong_result_apart, 5, executor="process", retry=2)
    unfit = await typed.enqueue(
        f"{MODULE}.charge_apart", {"items": 5}, CUSTOMER.model_dump(mode="json"), executor="process", retry=2
    )
    await burst(job_processes=1)
    bill = await job.result(10)
    assert bill == Bill(Decimal("2.50"), UUID(int=5), Path("2026-03-01T08:00:00+00:00"), bill.pid)
    assert bill.pid != os.getpid()
    for each, told in [(wrong, "Expected `object`, got"), (unfit, "order.items: Expected `array`, got `int`")]:
        with pytest.raises(JobFailed, match=told):
            await each.result(5)
        await each.refresh()
        assert each.attempt == 1


async def test_what_a_generator_yields_and_meta(typed: Queue, burst) -> None:
    yielded = await typed.enqueue(typed_jobs.items, 2, meta={"a": {"b": 1}})
    meta = await typed.enqueue(typed_jobs.keeps_meta, ORDER)
    await burst()
    assert await yielded.result(5) == [Item("0", Decimal(0)), Item("1", Decimal(1))]
    assert (await typed.fetch_job(yielded)).meta == {"a": {"b": 1}}
    assert await meta.result(5) == {"meta": {"seen": {"a": [1]}}}


async def test_every_form_of_enqueue_is_typed(typed: Queue, burst, monkeypatch: pytest.MonkeyPatch) -> None:
    bound = typed.task(ttl=43)(typed_jobs.charge)
    monkeypatch.setattr(typed_jobs, "charge", bound)
    created = Job.create(bound, (ORDER, CUSTOMER), serializer="typed")
    made = [
        await bound.enqueue(ORDER, CUSTOMER),
        await bound.enqueue_in("10ms", ORDER, CUSTOMER),
        await typed.using(ttl=5).enqueue(bound, ORDER, CUSTOMER),
        *await typed.enqueue_many([Queue.prepare_data(bound, (ORDER,), {"customer": CUSTOMER})]),
        await typed.enqueue_job(created),
    ]
    await Worker(typed).run(max_jobs=len(made))
    assert [(await each.result(5)).total for each in made] == [Decimal("11.50")] * len(made)

    for refused in (bound.enqueue(ORDER, 5), typed.enqueue_many([bound.call(ORDER, 5)])):  # type: ignore[arg-type]
        with pytest.raises(SerializationError, match="customer: "):
            await refused


# Wrong values


async def test_a_wrong_argument_is_refused_and_nothing_is_written(typed: Queue, raw: redis.Redis) -> None:
    with pytest.raises(
        SerializationError, match=r"charge cannot be serialised as typed: order\.items\[0\]\.price: "
    ):
        await typed.enqueue(typed_jobs.charge, Order([Item("a", "cheap")], ORDER.at), CUSTOMER)  # type: ignore[arg-type]
    with pytest.raises(InvalidFunction, match="missing a required argument: 'customer'"):
        await typed.enqueue(typed_jobs.charge, ORDER)
    assert raw.keys() == []


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (({"items": [{"name": "a"}], "at": "2026-03-01"}, {}), r"order\.items\[0\]: Object missing .* `price`"),
        (({"items": [], "at": "soon"}, {}), r"order\.at: Invalid RFC3339 encoded datetime"),
        (({"items": [], "at": "2026-03-01T08:00:00Z"}, {"mail": 5}), r"customer\.id: Field required; mail: Input"),
        ((), "customer: it is missing"),
    ],
)
async def test_a_wrong_call_fails_at_once_and_names_the_path(typed: Queue, burst, args: Any, told: str) -> None:
    job = await typed.enqueue(f"{MODULE}.charge", *args, retry=Retry(3))
    await burst()
    with pytest.raises(JobFailed, match=told) as failed:
        await job.result(5)
    assert failed.value.error_type == "aioq.errors.DeserializationError"
    await job.refresh()
    assert job.attempt == 1


async def test_a_wrong_result_fails_the_job_once_and_names_the_path(typed: Queue, burst) -> None:
    job = await typed.enqueue(typed_jobs.wrong_result, 5, retry=Retry(3, interval=0))
    await burst()
    with pytest.raises(JobFailed, match=r"the result of .*wrong_result cannot .*: \[1\]\.price: ") as failed:
        await job.result(5)
    assert failed.value.error_type == "aioq.errors.SerializationError"
    assert typed_jobs.runs == [5]


async def test_a_worker_without_msgspec_fails_the_job_and_goes_on(
    typed: Queue, queue: Queue, burst, monkeypatch: pytest.MonkeyPatch
) -> None:
    from aioq.values.typed import typed_function

    job = await typed.enqueue(typed_jobs.charge, ORDER, CUSTOMER)
    other = await queue.enqueue(typed_jobs.items, 1)
    typed_function.cache_clear()
    monkeypatch.setitem(sys.modules, "msgspec", None)
    await burst()
    monkeypatch.undo()
    with pytest.raises(JobFailed, match='serializer="typed" needs the package msgspec'):
        await job.result(5)
    assert len(await other.result(5)) == 1


async def test_jobs_of_all_serializers_stand_in_one_queue(
    typed: Queue, queue: Queue, server: Server, burst
) -> None:
    async with Queue("default", server.url, serializer="json") as plain:
        made = [await each.enqueue(typed_jobs.items, 1) for each in (typed, queue, plain)]
    await burst()
    assert [job.record.serializer.name for job in made] == ["typed", "pickle", "json"]
    assert [await job.result(5) for job in made[:2]] == [[Item("0", Decimal(0))]] * 2
    with pytest.raises(JobFailed, match="not JSON serializable"):
        await made[2].result(5)


# Schemas


async def test_a_worker_tells_the_types_of_the_typed_tasks_in_its_modules(
    typed: Queue, start_worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    bound = typed.task(typed_jobs.charge)
    monkeypatch.setattr(typed_jobs, "charge", bound)
    await start_worker(imports=[MODULE])
    found = await eventually(typed.schemas)
    assert list(found) == [f"{MODULE}.charge"]
    schema = found[f"{MODULE}.charge"]
    assert schema["required"] == ["order", "customer"]
    assert schema["arguments"]["customer"]["properties"]["id"]["format"] == "uuid"
    assert schema["result"]["$defs"]["Bill"]["properties"]["total"]["format"] == "decimal"
    assert await Queue("other", typed.connection).schemas() == {}


async def test_a_worker_may_count_each_task_as_typed(typed: Queue, start_worker) -> None:
    await start_worker(imports=MODULE, serializers="typed")
    found = await eventually(typed.schemas)
    assert found[f"{MODULE}.loose"]["required"] == ["order"]


async def test_other_workers_tell_no_types(queue: Queue, start_worker, raw: redis.Redis) -> None:
    await start_worker(imports=[MODULE])
    (name,) = await eventually(lambda: raw.smembers("aioq:workers"))
    await eventually(lambda: raw.hget(f"aioq:worker:{name}", "state"))
    assert raw.hget(f"aioq:worker:{name}", "schemas") is None
    assert await queue.schemas() == {}


async def test_a_task_whose_types_cannot_be_used_ends_the_start(
    typed: Queue, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(lock: asyncio.Lock) -> None: ...

    broken.__module__, broken.__qualname__ = MODULE, "broken"
    monkeypatch.setattr(typed_jobs, "broken", typed.task(broken), raising=False)
    with pytest.raises(WorkerError, match=r"broken: parameter lock: asyncio\.locks\.Lock has no form in JSON"):
        await Worker("default", server.url, imports=MODULE).run(burst=True)


# Own serializers


async def test_an_own_serializer_is_read_by_a_worker_that_has_it(server: Server, raw: redis.Redis, run) -> None:
    async with Queue("default", server.url, serializer=Packed()) as queue:
        job = await queue.enqueue(typed_jobs.charge, ORDER, CUSTOMER, meta={"a": (1,)})
        none = await queue.enqueue("tests.jobs.noop")
        with redis.Redis.from_url(server.url) as client:
            assert client.hget(f"aioq:{{default}}:job:{job.id}", "data").startswith(b"opacked:")
        await run("-m", "aioq", "worker", "--burst", "--serializer", f"{MODULE}:Packed")
        assert (await job.result(10)).total == Decimal("11.50")
        assert (await none.result(10), job.args, job.meta) == (None, (ORDER, CUSTOMER), {"a": (1,)})


@pytest.mark.chaos
async def test_a_worker_without_it_names_it_and_fails_the_job_at_once(server: Server, run) -> None:
    async with Queue("default", server.url, serializer=f"{MODULE}:Packed") as queue:
        job = await queue.enqueue("tests.jobs.noop", retry=3)
        await run("-m", "aioq", "worker", "--burst")
        with pytest.raises(
            JobFailed, match="written by the serializer 'packed', which is not known here"
        ) as failed:
            await job.result(10)
        assert failed.value.error_type == "aioq.errors.DeserializationError"
        await job.refresh()
        assert job.attempt == 1


async def test_a_process_of_a_job_has_it_as_the_worker_has_it(server: Server, burst) -> None:
    async with Queue("default", server.url, serializer=Packed(level=9)) as queue:
        job = await queue.enqueue(typed_jobs.charge_apart, ORDER, CUSTOMER, executor="process")
        await burst(serializers=[Packed(level=9)], job_processes=1)
        assert (await job.result(10)).customer == UUID(int=5)


async def test_one_that_cannot_be_pickled_is_the_failure_of_jobs_in_processes(server: Server, burst) -> None:
    mine = Packed()
    mine.lock = threading.Lock()  # type: ignore[attr-defined]
    async with Queue("default", server.url, serializer=mine) as queue:
        job = await queue.enqueue(typed_jobs.charge_apart, ORDER, CUSTOMER, executor="process")
        other = await queue.enqueue(typed_jobs.charge_apart, ORDER, CUSTOMER)
        await burst(job_processes=1)
        with pytest.raises(
            JobFailed, match="a serializer of your own cannot be serialised as pickle: TypeError: "
        ):
            await job.result(10)
        assert (await other.result(10)).customer == UUID(int=5)


async def test_what_is_no_serializer_is_refused_by_all_who_take_one(server: Server) -> None:
    for take in (
        lambda: Queue("default", server.url, serializer="nowhere:Codec"),
        lambda: Worker("default", server.url, serializers=["nowhere:Codec"]),
        lambda: Job.create("m.f", serializer="nowhere:Codec"),
    ):
        with pytest.raises(InvalidInput, match="serializer='nowhere:Codec' cannot be loaded"):
            take()


async def test_an_unknown_serializer_of_a_result_is_named(server: Server, raw: redis.Redis, queue: Queue) -> None:
    job = await queue.enqueue("tests.jobs.noop")
    raw.hset(f"aioq:{{default}}:job:{job.id}", mapping={"status": "finished", "result": "osecret:x"})
    fetched = await queue.fetch_job(job)
    with pytest.raises(DeserializationError, match="written by the serializer 'secret'"):
        fetched.record.result()
    await queue.connection.call(("DEL", f"aioq:{{default}}:job:{job.id}"))
