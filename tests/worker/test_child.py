"""The process of jobs from inside: what it answers to what it is sent, and what it loads. No server is needed."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator
from typing import Any

import pytest

from aioq.worker.process import JobProcess, how_it_ended, spawn
from tests.tools import eventually
from tests.worker import called

#: What a process is for: a job's function, and nothing of the worker around it.
NOT_LOADED = {
    "anyio",
    "redis",
    "aioq.worker.slots",
    "aioq.worker.call",
    "aioq.worker.processes",
    "aioq.worker.courier",
}


@pytest.fixture
async def process() -> AsyncIterator[JobProcess]:
    process, channel = spawn()
    loop = asyncio.get_running_loop()
    process.transport, _ = await loop.create_unix_connection(lambda: process, sock=channel)
    assert await process.receive() == [b"ready"]
    yield process
    await process.end()


def send(process: JobProcess, function: str, *args: Any) -> None:
    data = b"j" + json.dumps([None, args, {}]).encode()
    func = f"{called.__name__}.{function}".encode()
    process.send(b"a", b"default", b"1", b"func", func, b"data", data)


async def ask(process: JobProcess, function: str, *args: Any) -> list[bytes]:
    send(process, function, *args)
    return await asyncio.wait_for(process.receive(), 20)


async def test_it_answers_one_job_after_the_other(process: JobProcess) -> None:
    first = await ask(process, "process_id")
    assert first[0] == b"result"
    assert int(first[1][1:]) != os.getpid()
    assert await ask(process, "process_id") == first


async def test_it_loads_nothing_of_the_worker_that_it_does_not_need(process: JobProcess) -> None:
    kind, result = await ask(process, "modules")
    loaded = set(json.loads(result[1:]))
    assert (kind, "aioq.worker.child" in loaded) == (b"result", True)
    assert not loaded & NOT_LOADED


async def test_what_a_function_raises_travels_as_texts(process: JobProcess) -> None:
    kind, _, text, error_type, message, belongs = await ask(process, "fail_in_process")
    assert (kind, error_type, message) == (b"raised", b"ValueError", b"on purpose")
    assert text.startswith(b"Traceback")
    assert b"aioq/worker" not in text
    assert [own[0] for own in json.loads(belongs)] == ["builtins.ValueError"]


async def test_a_result_that_cannot_be_serialised_comes_from_a_function_that_has_returned(
    process: JobProcess,
) -> None:
    kind, _, text, *_ = await ask(process, "unserialisable_in_process")
    assert kind == b"returned"
    assert b"cannot be serialised" in text


async def test_a_retry_travels_as_its_values(process: JobProcess) -> None:
    kind, policy = await ask(process, "asks_again_in_process")
    assert kind == b"retry"
    assert json.loads(policy)["max"] == 3


async def test_the_worker_is_asked_to_save_meta_and_the_function_waits_for_that(process: JobProcess) -> None:
    assert (await ask(process, "saves_its_meta", "at", "noon"))[:2] == [b"meta", b"at"]
    process.send(b"ok", b"")
    assert (await process.receive())[0] == b"result"


async def test_a_refusal_to_save_meta_is_raised_in_the_function(process: JobProcess) -> None:
    await ask(process, "saves_its_meta", "at", "noon")
    process.send(b"ServerUnreachable", b"nobody is there")
    kind, _, text, *_ = await process.receive()
    assert kind == b"raised"
    assert b"ServerUnreachable: nobody is there" in text


async def test_it_ends_with_the_channel(process: JobProcess) -> None:
    assert process.is_alive
    process.transport.close()
    await eventually(lambda: process._process.poll() is not None)
    assert how_it_ended(await process.end()) == "has ended with the exit code 0"


async def test_a_frame_that_is_none_is_a_fault_of_the_process(process: JobProcess) -> None:
    process.data_received(b"\0" * 7 + b"\1x")
    assert process.fault.startswith("was killed: in what it has sent to its worker, it is no frame")
    with pytest.raises(EOFError):
        await process.receive()
    assert not process.is_alive


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (3, "has ended with the exit code 3"),
        (-11, "was killed by SIGSEGV, signal 11,"),
        (-9, "was killed by SIGKILL, signal 9, (if nobody has sent it, the machine was out of memory)"),
        (-99, "was killed by a signal, signal 99,"),
    ],
)
def test_how_a_process_ended_is_told_with_its_signal(code: int, text: str) -> None:
    assert how_it_ended(code) == text
