import os

import pytest


@pytest.mark.parametrize("number", range(4))
def test_it(aioq_server, number):
    assert aioq_server == os.environ.get("EXPECTED", aioq_server)
    assert aioq_server.startswith(("unix://", "redis://"))
