from __future__ import annotations

import pytest

from .tls import lacking


@pytest.fixture
def tls() -> None:
    """Skips the test where nobody speaks TLS."""
    if why := lacking():
        pytest.skip(why)
