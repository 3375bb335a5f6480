"""Every kind of thing that can be enqueued. A worker imports them by name."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from aioq import get_current_job, task


async def coroutine(x: int, y: int = 0) -> int:
    return x + y


def plain(x: int, y: int = 0) -> int:
    return x + y


async def generator(count: int) -> AsyncIterator[int]:
    for number in range(count):
        yield number


async def failing_generator() -> AsyncIterator[int]:
    yield 1
    raise ValueError("after the first item")


def positional_only(x: int, /, *rest: int, flag: bool = False, **options: int) -> list[Any]:
    return [x, rest, flag, options]


def keyword_only(*, x: int) -> int:
    return x


async def options_as_arguments(ttl: int, meta: int, args: int, kwargs: int, func: int) -> list[int]:
    return [ttl, meta, args, kwargs, func]


@dataclass
class Account:
    """Its instances are pickled, and not hashable."""

    balance: int

    async def deposit(self, amount: int) -> int:
        return self.balance + amount

    def withdraw(self, amount: int) -> int:
        return self.balance - amount

    async def items(self, count: int) -> AsyncIterator[int]:
        for number in range(count):
            yield self.balance + number

    @classmethod
    def named(cls, name: str) -> str:
        return f"{cls.__name__}:{name}"

    @staticmethod
    async def fixed(x: int) -> int:
        return x

    def __call__(self, amount: int) -> int:
        return self.balance * amount

    class Inner:
        @staticmethod
        def deep(x: int) -> int:
            return x


class Savings(Account):
    pass


class AsyncCallable:
    async def __call__(self, x: int) -> int:
        return x


class NotSerialisable:
    def __reduce__(self) -> Any:
        raise RuntimeError("not to be pickled")

    def method(self) -> None: ...


account = Account(100)
async_callable = AsyncCallable()
partial = functools.partial(coroutine, 1)


@task
async def bare_task(x: int) -> int:
    return x


@task(
    job_timeout="5m", result_ttl=60, ttl=7, failure_ttl=0, description="from the task", meta={"a": 1}, retry=3,
    at_front=True,
)  # fmt: skip
def full_task(x: int) -> dict[str, Any]:
    job = get_current_job()
    return {"x": x, "timeout": job.timeout, "retries_left": job.retries_left}


def outer() -> Any:
    def local() -> None: ...

    return local


nameless = lambda: None  # noqa: E731


async def returns_a_tuple() -> tuple[int, tuple[int]]:
    return 1, (2,)
