import asyncio

import shop

from aioq.testing import run_inline


def test_queued(aioq_kit):
    asyncio.run(aioq_kit.queue().enqueue(shop.fail, "of the queue"))
    asyncio.run(aioq_kit.run_until_idle())


def test_inline():
    asyncio.run(run_inline(shop.fail, "inline"))
