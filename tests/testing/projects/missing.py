import asyncio

import shop


async def look(kit):
    await kit.queue().enqueue(shop.add, 1, right=2)
    await kit.assert_enqueued(shop.fail)


def test_it(aioq_kit):
    asyncio.run(look(aioq_kit))
