"""Functions of typed jobs, and a serializer of a user's own."""

from __future__ import annotations

import os
import zlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pydantic

from aioq import get_current_job, task
from aioq.values.serializer import PICKLE


class Item(msgspec.Struct):
    name: str
    price: Decimal


class Customer(pydantic.BaseModel):
    id: UUID
    mail: str


@dataclass
class Order:
    items: list[Item]
    at: datetime


@dataclass
class Bill:
    total: Decimal
    customer: UUID
    path: Path
    pid: int


async def charge(
    order: Order, customer: Customer, folder: Path = Path("/bills"), *, labels: set[str] = set()
) -> Bill:
    assert isinstance(order.items[0], Item)
    assert isinstance(customer, Customer)
    total = sum((item.price for item in order.items), Decimal(0))
    return Bill(total, customer.id, folder / ",".join(sorted(labels)), os.getpid())


def charge_apart(order: Order, customer: Customer) -> Bill:
    return Bill(order.items[0].price, customer.id, Path(order.at.isoformat()), os.getpid())


async def keep(item: Item) -> Item:
    return item


async def wrong_result(value: int) -> list[Item]:
    runs.append(value)
    return [Item("a", Decimal(1)), Item("b", [value])]  # type: ignore[arg-type]


def wrong_result_apart(value: int) -> Item:
    return value  # type: ignore[return-value]


async def items(count: int) -> AsyncIterator[Item]:
    for number in range(count):
        yield Item(str(number), Decimal(number))


async def keeps_meta(order: Order) -> dict[str, Any]:
    job = get_current_job()
    assert job is not None
    assert job.args[0] == order
    job.meta["seen"] = {"a": [1]}
    await job.save_meta()
    return {"meta": job.meta}


@task
async def loose(order: Order, count: int = 1) -> Customer: ...  # type: ignore[empty-body]


runs: list[int] = []


class Packed:
    """Pickles and compresses."""

    name = "packed"

    def __init__(self, level: int = 1) -> None:
        self.level = level

    def dumps(self, value: Any, /) -> bytes:
        return zlib.compress(PICKLE.encode(value), self.level)

    def loads(self, data: bytes, /) -> Any:
        return PICKLE.decode(zlib.decompress(data))
