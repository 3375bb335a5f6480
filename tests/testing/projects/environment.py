import asyncio

import shop


def test_it(aioq_environment, aioq_kit):
    assert set(aioq_environment) == {"AIOQ_REDIS_URL", "AIOQ_PREFIX"}
    asyncio.run(shop.open_and_enqueue())
    asyncio.run(aioq_kit.assert_enqueued(shop.add, 1))
