from pathlib import Path

import pytest
import shop


@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.parametrize("number", range(60))
async def test_it(aioq_kit, number):
    await shop.use(aioq_kit, number)
    assert len(list(Path("/proc/self/fd").iterdir())) < 60
