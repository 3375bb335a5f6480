"""A module of jobs, as its author may write it: the names in it lead to many places."""

from __future__ import annotations

import os  # noqa: F401
from functools import lru_cache, partial, wraps
from os import system  # noqa: F401
from pathlib import Path  # noqa: F401
from subprocess import Popen  # noqa: F401

from aioq import task
from tests.values import outside
from tests.values.outside import Base, Tool, dangerous

alias = dangerous
bound = partial(dangerous)
tool = Tool()
mapping = {"a": 1}


def send() -> None:
    pass


@task(retry=2)
async def sent() -> None:
    pass


@lru_cache
def cached() -> None:
    pass


@wraps(send)
def wrapped() -> None:
    pass


wrapped_danger = task(dangerous)


class Order(Base):
    module = outside
    maker = Tool

    def confirm(self) -> None:
        pass

    @classmethod
    def create(cls) -> None:
        pass

    @staticmethod
    def static() -> None:
        pass

    class Inner:
        def method(self) -> None:
            pass
