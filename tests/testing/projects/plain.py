import asyncio

import pytest
import shop


@pytest.mark.parametrize("number", range(3))
def test_it(aioq_kit, number):
    asyncio.run(shop.use(aioq_kit, number))
