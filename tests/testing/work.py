"""The functions of the jobs that the tests of the kit run."""

from __future__ import annotations

import asyncio
import contextvars
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Annotated, Any

import fastapi

from aioq import Depends, Queue, Retry, current_job, get_current_job, get_resources, task

queue = Queue("shop", "redis://127.0.0.1:1")
seen: list[Any] = []
colour: contextvars.ContextVar[str] = contextvars.ContextVar("colour", default="none")


@dataclass
class Order:
    number: int


async def add(left: int, right: int = 0) -> int:
    return left + right


async def collect(*args: int, **kwargs: int) -> int:
    return sum(args) + sum(kwargs.values())


def add_plainly(left: int, right: int = 0) -> int:
    seen.append(threading.get_ident())
    return left + right


async def boom(text: str = "boom") -> None:
    raise ValueError(text)  # the line of the error


def boom_plainly(text: str = "boom") -> None:
    raise LookupError(text)  # the line of the plain error


async def flaky(times: int) -> int:
    if (attempt := current_job().attempt) <= times:
        raise ConnectionError(f"attempt {attempt}")

    return attempt


async def ask_again(times: int) -> Retry | int:
    attempt = current_job().attempt
    return Retry(times, interval="1h") if attempt <= times else attempt


async def leave() -> None:
    sys.exit(3)


async def sleep(seconds: float) -> str:
    await asyncio.sleep(seconds)
    return "slept"


async def same(value: Any) -> Any:
    return value


async def numbers(count: int) -> AsyncIterator[int]:
    for number in range(count):
        yield number


async def told() -> dict[str, Any]:
    job = get_current_job()
    assert job is not None
    job.meta["seen"] = job.meta.get("seen", 0) + 1
    await job.save_meta()
    return {"meta": job.meta, "func": job.func_name, "attempt": job.attempt, "queue": job.origin, "args": job.args}


async def save_and_fail() -> Any:
    job = current_job()
    job.meta["runs"] = job.meta.get("runs", 0) + 1
    await job.save_meta()

    if job.attempt < 3:
        raise ValueError(f"run {job.meta['runs']}")

    return job.meta["runs"]


async def use_resources() -> str:
    return get_resources(str)


async def show_colour() -> str:
    return colour.get()


async def follow_up(number: int) -> str:
    job = await current_job().queue.enqueue(add, number)
    return job.id


async def for_ever() -> None:
    await current_job().queue.enqueue(for_ever)


async def into(name: str) -> None:
    await Queue(name, current_job().queue.connection).enqueue(add, 1)


async def unserialisable() -> Any:
    return threading.Lock()


@task(retry=2)
async def with_options(number: int) -> int:
    return await flaky(number)


@queue.task
async def of_the_shop(number: int) -> int:
    return number


class Greeter:
    async def greet(self, name: str) -> str:
        return f"hello {name}"


# Dependencies


async def get_session() -> AsyncIterator[str]:
    yield "real"


def get_plain() -> Iterator[str]:
    yield "real"


async def get_nested(session: str = Depends(get_session)) -> str:
    return f"nested {session}"


async def use_session(session: str = Depends(get_session)) -> str:
    return session


async def use_nested(nested: str = Depends(get_nested)) -> str:
    return nested


async def use_fastapi(session: Annotated[str, fastapi.Depends(get_session)] = "") -> str:
    return session


async def of_request(request: fastapi.Request) -> str:
    return request.url.path


async def use_request(path: str = Depends(of_request)) -> str:
    return path


async def fake_session() -> AsyncIterator[str]:
    yield "fake"


async def fake_of_fake(plain: str = Depends(get_plain)) -> str:
    return f"fake of {plain}"


def not_importable() -> Any:
    async def inner() -> None: ...

    return inner


async def hear_of_end(job: object, error: object) -> None: ...
