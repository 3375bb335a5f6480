"""What a module of jobs may import: none of it is covered by a pattern for that module."""

from __future__ import annotations


def dangerous() -> None:
    pass


class Base:
    def inherited(self) -> None:
        pass

    @classmethod
    def made(cls) -> None:
        pass


class Tool:
    def __call__(self) -> None:
        pass

    def run(self) -> None:
        pass
