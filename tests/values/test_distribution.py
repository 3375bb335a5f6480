"""The name and the version that pip knows."""

from __future__ import annotations

import importlib.metadata

import aioq
from aioq.values.distribution import NAME, NAME_AND_VERSION, VERSION


def test_the_version_is_that_of_the_metadata() -> None:
    assert importlib.metadata.version(NAME) == VERSION == aioq.__version__
    assert f"{NAME} {VERSION}" == NAME_AND_VERSION
    assert importlib.metadata.metadata(NAME)["Name"] == NAME == "aioq-streams"
