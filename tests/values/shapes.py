"""Types as people annotate functions of jobs with them: for each a function of it, and values."""

from __future__ import annotations

import dataclasses
import enum
import ipaddress
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Generic, Literal, NamedTuple, Optional, TypedDict, TypeVar, Union
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
import pydantic
from hypothesis import strategies as st
from pydantic.dataclasses import dataclass as checked_dataclass

T = TypeVar("T")


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 9


@dataclass
class Tag:
    name: str
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Address:
    street: str
    since: date
    note: str | None = None


@dataclass
class Order:
    id: UUID
    total: Decimal
    tags: list[Tag] = field(default_factory=list)
    to: Address | None = None


@dataclass(eq=False)
class ByIdentity:
    """Two with the same fields are not equal."""

    number: int
    inner: Tag


class Movie(TypedDict, total=False):
    title: str
    year: int


class Point(NamedTuple):
    x: int
    y: float


class Item(msgspec.Struct):
    name: str
    price: Decimal
    amount: int
    color: Color
    made: datetime


class Cat(msgspec.Struct, tag=True):
    lives: int


class Dog(msgspec.Struct, tag=True):
    tricks: list[str]


class Box(msgspec.Struct, Generic[T]):
    content: T


@dataclass
class Pair(Generic[T]):
    first: T
    second: T


class Person(pydantic.BaseModel):
    name: str
    born: date
    balance: Decimal = Decimal(0)
    data: dict[str, list[int]] = {}


class Team(pydantic.BaseModel):
    lead: Person
    members: list[Person]
    also: str = pydantic.Field(default="", alias="alsoKnownAs")

    @pydantic.computed_field  # type: ignore[prop-decorator]
    @property
    def size(self) -> int:
        return len(self.members) + 1


class Page(pydantic.BaseModel, Generic[T]):
    items: list[T]
    next: int | None = None


@checked_dataclass
class Account:
    number: int
    owner: str


@dataclass
class Created:
    at: datetime


@dataclass
class Removed:
    at: datetime
    reason: str


INT = st.integers(-(2**63), 2**63 - 1)
FLOAT = st.floats(allow_nan=False, allow_infinity=False)
TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=8)
DATE = st.dates()
DECIMAL = st.decimals(allow_nan=False, allow_infinity=False)
ZONES = st.sampled_from([None, UTC, timezone(timedelta(hours=5, minutes=30)), ZoneInfo("Europe/Berlin")])
MOMENT = st.builds(
    lambda moment, zone: moment.replace(tzinfo=zone),
    st.datetimes(datetime(1950, 1, 2), datetime(2200, 1, 1)),  # noqa: DTZ001 - the zone is drawn apart
    ZONES,
)
PLAIN = st.recursive(
    st.none() | st.booleans() | INT | FLOAT | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
TAG = st.builds(Tag, TEXT, FLOAT)
ADDRESS = st.builds(Address, TEXT, DATE, st.none() | TEXT)
ORDER = st.builds(Order, st.uuids(), DECIMAL, st.lists(TAG, max_size=2), st.none() | ADDRESS)
ITEM = st.builds(Item, TEXT, DECIMAL, INT, st.sampled_from(Color), MOMENT)
PET = st.builds(Cat, INT) | st.builds(Dog, st.lists(TEXT, max_size=2))
PERSON = st.builds(Person, name=TEXT, born=DATE, balance=DECIMAL)
TEAM = st.builds(lambda lead, members, also: Team(lead=lead, members=members, alsoKnownAs=also),
                 PERSON, st.lists(PERSON, max_size=2), TEXT)  # fmt: skip

#: An annotation, and what gives values of it.
SHAPES: dict[str, tuple[Any, st.SearchStrategy[Any]]] = {
    "integer": (int, INT),
    "real": (float, FLOAT),
    "boolean": (bool, st.booleans()),
    "text": (str, TEXT),
    "nothing": (None, st.none()),
    "some_bytes": (bytes, st.binary(max_size=20)),
    "moment": (datetime, MOMENT),
    "day": (date, DATE),
    "clock": (time, st.times()),
    "duration": (timedelta, st.timedeltas(timedelta(days=-1000), timedelta(days=1000))),
    "uuid": (UUID, st.uuids()),
    "decimal": (Decimal, DECIMAL),
    "enumeration": (Color, st.sampled_from(Color)),
    "int_enum": (Level, st.sampled_from(Level)),
    "path": (Path, TEXT.map(Path)),
    "pure_path": (list[PurePosixPath], st.lists(TEXT.map(PurePosixPath), max_size=2)),
    "literal": (Literal["a", "b", 3], st.sampled_from(["a", "b", 3])),
    "integers": (list[int], st.lists(INT, max_size=3)),
    "pair": (tuple[int, str], st.tuples(INT, TEXT)),
    "row": (tuple[float, ...], st.lists(FLOAT, max_size=3).map(tuple)),
    "texts": (set[str], st.sets(TEXT, max_size=3)),
    "frozen": (frozenset[int], st.frozensets(INT, max_size=3)),
    "moments": (set[date], st.sets(DATE, max_size=3)),
    "counts": (dict[str, int], st.dictionaries(TEXT, INT, max_size=3)),
    "by_number": (dict[int, list[str]], st.dictionaries(INT, st.lists(TEXT, max_size=2), max_size=3)),
    "by_id": (dict[UUID, date], st.dictionaries(st.uuids(), DATE, max_size=2)),
    "optional": (Optional[Decimal], st.none() | DECIMAL),  # noqa: UP045
    "either": (Union[int, str, None], INT | TEXT | st.none()),  # noqa: UP007
    "data": (Tag, TAG),
    "frozen_data": (Address, ADDRESS),
    "nested_data": (list[Order], st.lists(ORDER, max_size=2)),
    "data_by_name": (dict[str, tuple[Address, ...]], st.dictionaries(TEXT, st.tuples(ADDRESS), max_size=2)),
    "by_identity": (ByIdentity, st.builds(ByIdentity, INT, TAG)),
    "typed_dict": (Movie, st.fixed_dictionaries({"title": TEXT}, optional={"year": INT})),
    "named_tuple": (Point, st.builds(Point, INT, FLOAT)),
    "struct": (Item, ITEM),
    "structs": (dict[str, list[Item]], st.dictionaries(TEXT, st.lists(ITEM, max_size=2), max_size=2)),
    "tagged": (Cat | Dog, PET),
    "tagged_or_none": (list[Cat | Dog | None], st.lists(PET | st.none(), max_size=3)),
    "generic_struct": (Box[list[date]], st.builds(Box, st.lists(DATE, max_size=2))),
    "generic_data": (Pair[Decimal], st.builds(Pair, DECIMAL, DECIMAL)),
    "constrained": (Annotated[int, msgspec.Meta(ge=1, le=5)], st.integers(1, 5)),
    "model": (Person, PERSON),
    "models": (list[Person | None], st.lists(PERSON | st.none(), max_size=2)),
    "nested_model": (Team, TEAM),
    "generic_model": (
        Page[Person],
        st.builds(lambda items: Page[Person](items=items), st.lists(PERSON, max_size=2)),
    ),
    "checked_data": (Account, st.builds(Account, INT, TEXT)),
    "constrained_by_pydantic": (Annotated[int, pydantic.Field(ge=1)], st.integers(1, 2**60)),
    "two_dataclasses": (
        Created | Removed,
        st.builds(Created, MOMENT) | st.builds(Removed, MOMENT, TEXT),
    ),
    "address": (ipaddress.IPv4Address, st.ip_addresses(v=4)),
    "text_or_moment": (date | UUID, DATE | st.uuids()),
    "anything": (Any, PLAIN),
    "list_of_anything": (list[Any], st.lists(PLAIN, max_size=3)),
}


def _function(name: str, annotation: Any) -> Callable[[Any], Any]:
    def function(value: Any) -> Any:
        return value

    function.__name__ = function.__qualname__ = f"takes_{name}"
    function.__annotations__ = {"value": annotation, "return": annotation}
    setattr(sys.modules[__name__], function.__name__, function)
    return function


FUNCTIONS = {name: _function(name, annotation) for name, (annotation, _) in SHAPES.items()}


def kinds(value: Any) -> Any:
    """The types of a value and of all that it holds."""
    if isinstance(value, dict):
        return type(value), sorted((repr(key), kinds(key), kinds(each)) for key, each in value.items())

    if isinstance(value, list | tuple):
        return type(value), [kinds(each) for each in value]

    if isinstance(value, set | frozenset):
        return type(value), sorted(repr((kinds(each), each)) for each in value)

    if dataclasses.is_dataclass(value):
        return type(value), [kinds(getattr(value, each.name)) for each in dataclasses.fields(value)]

    if isinstance(value, msgspec.Struct):
        return type(value), [kinds(getattr(value, name)) for name in value.__struct_fields__]

    if isinstance(value, pydantic.BaseModel):
        return type(value), [kinds(each) for _, each in value]

    return type(value)


def same(given: Any, back: Any) -> bool:
    """Whether two values are equal; of those that say nothing of that, whether their fields are."""
    if isinstance(given, ByIdentity):
        return vars(given) == vars(back)

    if isinstance(given, datetime) and given.tzinfo is not None:
        return given.astimezone(UTC) == back.astimezone(UTC)

    if isinstance(given, Item):
        return all(same(getattr(given, name), getattr(back, name)) for name in given.__struct_fields__)

    return bool(given == back)
