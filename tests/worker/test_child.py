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
    await process.end(grace=10)  # it ends by itself, so that a measurement of coverage counts what it has run


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


async def test_a_retry_that_is_raised_says_what_has_led_to_it(process: JobProcess) -> None:
    kind, policy, text, *_ = await ask(process, "raises_a_retry_in_process", "an error")
    assert (kind, json.loads(policy)["max"]) == (b"retry", 2)
    assert b"ValueError: an error" in text
    assert (await ask(process, "raises_a_retry_in_process", ""))[2:] == [b""]


async def test_a_call_that_was_not_awaited_is_a_failure_and_is_named_beside_another_one(
    process: JobProcess,
) -> None:
    kind, _, text, error_type, *_ = await ask(process, "drops_a_call_in_process")
    assert (kind, error_type) == (b"returned", b"aioq.errors.NotAwaited")
    assert b"save_meta" not in text  # that one needs no `await` here
    kind, _, text, error_type, *_ = await ask(process, "drops_a_call_in_process", "an error")
    assert (kind, error_type) == (b"raised", b"ValueError")
    assert b"an error" in text
    assert b"never awaited" in text


async def test_what_a_job_has_not_there_is_refused_by_name(process: JobProcess) -> None:
    for name, text in (
        ("resources", b"enters no lifespan"),
        ("queue", b"has no connection to the server"),
    ):
        kind, _, told, *_ = await ask(process, "reads_of_its_job", name)
        assert kind == b"raised"
        assert text in told
    assert await ask(process, "reads_of_its_job", "origin") == [b"result", b'j"default"']


async def test_a_thread_that_outlives_its_run_cannot_save_meta(process: JobProcess) -> None:
    assert (await ask(process, "leaves_a_thread_that_saves"))[0] == b"result"
    kind, result = await ask(process, "what_the_thread_was_told")
    assert kind == b"result"
    assert b"this run has ended; its meta was not saved" in result


async def test_serializers_that_cannot_be_loaded_do_not_end_it(process: JobProcess) -> None:
    process.send(b"what is no list of serializers")
    assert (await ask(process, "process_id"))[0] == b"result"


async def test_arguments_that_cannot_be_read_are_told_from_a_function_that_fails(process: JobProcess) -> None:
    func = f"{called.__name__}.process_id".encode()
    process.send(b"a", b"default", b"1", b"func", func, b"data", b"j[")
    assert (await asyncio.wait_for(process.receive(), 20))[0] == b"unread"


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
