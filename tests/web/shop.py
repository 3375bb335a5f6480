"""The jobs of a shop, for what a browser shows."""

from __future__ import annotations

import asyncio


async def send(to: str, copies: int = 1) -> dict[str, object]:
    await asyncio.sleep(0.02)
    return {"sent": to, "copies": copies}


async def charge(order: int, amount: float) -> None:
    await asyncio.sleep(0.1)
    raise ConnectionError(f"503 Service Unavailable for url 'http://pay/charge' (order {order}, {amount})")


async def report(name: str) -> None:
    await asyncio.sleep(600)
