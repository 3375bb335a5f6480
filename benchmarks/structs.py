"""A job with a struct of five fields as its argument and its result."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

import msgspec


class Order(msgspec.Struct):
    id: UUID
    customer: str
    total: Decimal
    at: datetime
    items: list[str]


VALUE = Order(
    UUID(int=7), "you@example.org", Decimal("12.50"), datetime(2026, 3, 1, 8, tzinfo=UTC), ["tea", "cup"]
)

#: The same as texts, for a serializer that knows no structs.
TEXTS = {
    "id": str(VALUE.id),
    "customer": VALUE.customer,
    "total": str(VALUE.total),
    "at": VALUE.at.isoformat(),
    "items": VALUE.items,
}


async def echo(order: Order) -> Order:
    return order
