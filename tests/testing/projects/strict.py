import pytest
import shop


@pytest.mark.asyncio
@pytest.mark.parametrize("number", range(3))
async def test_it(aioq_kit, number):
    await shop.use(aioq_kit, number)
