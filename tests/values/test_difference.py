from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from aioq.values.difference import refuse_difference
from aioq.values.plainjson import Misfit


@dataclass
class Plain:
    a: Any


@dataclass
class Other(Plain):
    pass


@dataclass(eq=False)
class ByIdentity:
    a: Any


class Slotted:
    __slots__ = ("a",)

    def __init__(self, a: Any) -> None:
        self.a = a


class NoTruth:
    def __eq__(self, other: object) -> Any:
        raise ValueError("ambiguous")

    __hash__ = None  # type: ignore[assignment]


AT = datetime(2026, 10, 25, 2, 30, fold=1, tzinfo=ZoneInfo("Europe/Berlin"))
LOOP: list[Any] = []
LOOP.append(LOOP)


@pytest.mark.parametrize(
    ("given", "back"),
    [
        (1, 1.0),
        ({"a": [1]}, {"a": [1.0]}),
        (Plain([1]), Plain([1])),
        (ByIdentity([ByIdentity(1)]), ByIdentity([ByIdentity(1)])),
        (Slotted(Slotted(1)), Slotted(Slotted(1))),
        (AT, AT.astimezone(UTC)),
        ([AT], [AT.astimezone(UTC)]),
    ],
)
def test_what_is_equal_is_the_same(given: Any, back: Any) -> None:
    refuse_difference(given, back)


@pytest.mark.parametrize(
    ("given", "back", "told"),
    [
        ((1,), [1], "tuple would come back as list"),
        ({"a": [(1,)]}, {"a": [[1]]}, "a[0]: tuple would come back as list"),
        ({1: 2}, {"1": 2}, "[1]: it would not come back"),
        ([1, 2], [1], "2 items would come back as 1"),
        (Other(1), Plain(1), f"{__name__}.Other would come back as {__name__}.Plain"),
        (Plain([1, "a"]), Plain([1, b"a"]), "a[1]: str would come back as bytes"),
        (ByIdentity(1), ByIdentity("1"), "a: int would come back as str"),
        (Slotted(1), Slotted("1"), "a: int would come back as str"),
        (Plain(1), Plain(2), "a: it would come back as another int"),
        (AT, datetime(2026, 1, 1), "it would come back as another datetime.datetime"),  # noqa: DTZ001
        (NoTruth(), NoTruth(), f"it would come back as another {__name__}.NoTruth"),
    ],
)  # fmt: skip
def test_what_differs_is_refused_with_its_path(given: Any, back: Any, told: str) -> None:
    with pytest.raises(Misfit) as refused:
        refuse_difference(given, back)

    assert str(refused.value) == told


def test_a_value_that_contains_itself_is_refused() -> None:
    other: list[Any] = []
    other.append(other)
    with pytest.raises(Misfit):
        refuse_difference(LOOP, other)
