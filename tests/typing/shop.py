"""Functions of every kind, as an application has them."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable
from typing import Annotated, Any

from aioq import Depends, Queue, Retry, task

queue = Queue("shop")


class Session:
    """What functions ask for."""


async def get_session() -> AsyncIterator[Session]:
    yield Session()


async def count(text: str, least: int = 1) -> int:
    return len(text) + least


def price(order: int, *, currency: str = "EUR") -> str:
    return f"{order} {currency}"


def nothing() -> None: ...


async def pages(number: int) -> AsyncIterator[bytes]:
    for _ in range(number):
        yield b""


async def lines(number: int) -> AsyncGenerator[str, None]:
    for _ in range(number):
        yield ""


def later(number: int) -> Awaitable[float]:
    raise NotImplementedError(number)


async def stock(order: int) -> bool | Retry:
    return True if order else Retry(3)


def paid(order: int) -> str | Retry | None:
    return Retry(3) if order else None


async def either(order: int) -> int | str:
    return order or "none"


async def charge(order: int, session: Session = Depends(get_session)) -> float:
    return float(bool(session) and order)


async def refund(order: int, session: Annotated[Session, Depends(get_session)]) -> float:
    return float(bool(session) and order)


def untold(value: Any) -> Any:
    return value


async def keep(values: dict[str, Any]) -> int:
    return len(values)


class Order:
    def __init__(self, number: int) -> None:
        self.number = number

    async def confirm(self, by: str) -> int:
        return self.number + len(by)

    async def parts(self) -> AsyncIterator[int]:
        yield self.number

    @classmethod
    async def newest(cls, least: int) -> bool:
        return least > 0

    @staticmethod
    def total(least: int) -> float:
        return float(least)

    async def __call__(self, factor: float) -> str:
        return str(factor)


@task
async def fetch(url: str) -> bytes:
    return url.encode()


@task(job_timeout="5m", retry=3)
def read(path: str) -> str | Retry:
    return path


@queue.task
async def greet(name: str) -> str:
    return name


@queue.task
async def store(values: dict[str, Any]) -> int:
    return len(values)


@queue.task(ttl="1h")
async def search(words: str, limit: int = 10) -> AsyncIterator[str]:
    for _ in range(limit):
        yield words


@queue.task(retry=3)
def weigh(order: int) -> float | Retry:
    return float(order)
