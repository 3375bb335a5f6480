import pytest
import shop

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.mark.parametrize("number", range(3))
async def test_it(aioq_kit, number):
    await shop.use(aioq_kit, number)
