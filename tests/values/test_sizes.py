from __future__ import annotations

from typing import Any

import pytest

from aioq.errors import InvalidInput, InvalidType
from aioq.values.sizes import read_size, shown_size


@pytest.mark.parametrize(
    ("value", "size"),
    [
        (1, 1),
        ("1", 1),
        ("500MB", 500_000_000),
        ("1.5GB", 1_500_000_000),
        ("512 MiB", 536_870_912),
        ("2GiB", 2_147_483_648),
        ("64kB", 64_000),
        ("64KB", 64_000),
        ("64KiB", 65_536),
        ("1TB", 10**12),
        ("70B", 70),
    ],
)
def test_sizes(value: Any, size: int) -> None:
    assert read_size(value, "max_memory") == size


@pytest.mark.parametrize(
    "value", [0, -1, "", "0", "0MB", "MB", "5 apples", "-5MB", "500M", "1e9", "٣MB", 2**60, "9" * 60]
)
def test_what_is_no_size(value: Any) -> None:
    with pytest.raises(InvalidInput, match=r'^max_memory=.*: expected a size greater than 0, such as "500MB"'):
        read_size(value, "max_memory")


@pytest.mark.parametrize("value", [True, 1.5, None, b"5MB"])
def test_values_of_other_types(value: Any) -> None:
    with pytest.raises(InvalidType, match="max_memory"):
        read_size(value, "max_memory")


def test_sizes_are_shown_in_mb() -> None:
    assert shown_size(1_512_400_000) == "1,512 MB"
