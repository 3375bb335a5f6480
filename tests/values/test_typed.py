"""Calls and results by the annotations of functions: what comes back is what was given, and else it is refused."""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, Required, TypedDict, Unpack
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aioq.client.call import describe
from aioq.values.calltext import call_text
from aioq.values.depends import Depends
from aioq.values.errors import DeserializationError, InvalidFunction, InvalidInput, SerializationError
from aioq.values.options import NO_OPTIONS
from aioq.values.record import JobRecord
from aioq.values.retry import Retry
from aioq.values.serializer import TYPED, find_serializer
from aioq.values.typed import typed_function
from tests.values.shapes import FUNCTIONS, SHAPES, Account, Box, Item, Person, Tag, kinds, same

if TYPE_CHECKING:
    from nowhere import Missing  # type: ignore[import-not-found]

NAME = "tests.values.test_typed"


def stored(func: Any, *args: Any, **kwargs: Any) -> bytes:
    """A call as it is stored."""
    return describe(func, args, kwargs, NO_OPTIONS, TYPED).fields[b"data"]


def read(func: Any, data: bytes) -> tuple[tuple[Any, ...], dict[str, Any]]:
    _, args, kwargs = JobRecord("a", {b"func": name_of(func).encode(), b"data": data}).call()
    return args, kwargs


def name_of(func: Any) -> str:
    return func if isinstance(func, str) else f"{func.__module__}.{func.__qualname__}"


def returned(func: Any, value: Any) -> Any:
    """What a client gets of what a function returned."""
    record = JobRecord("a", {b"func": name_of(func).encode(), b"data": b"t[null,[],{}]", b"status": b"finished"})
    return JobRecord("a", record.fields | {b"result": record.pack_result(value)}).result()


# What comes back


@pytest.mark.parametrize("name", SHAPES)
@settings(deadline=None)  # the first value waits until its codec is made
@given(data=st.data())
def test_a_value_of_an_annotated_type_comes_back_as_it_was(name: str, data: st.DataObject) -> None:
    func, value = FUNCTIONS[name], data.draw(SHAPES[name][1])
    packed = stored(func, value)
    json.loads(packed[1:])
    ((by_position,), _), (_, by_name) = read(func, packed), read(func, stored(func, value=value))
    for back in (by_position, by_name["value"], returned(func, value)):
        assert same(value, back)
        assert kinds(back) == kinds(value)


def mixed(a: int, /, b: Tag, *rest: Decimal, c: Path = Path(), **more: set[int]) -> None: ...


def test_each_parameter_has_its_type() -> None:
    args, kwargs = read(mixed, stored(mixed, 1, Tag("x"), Decimal(1), Decimal(2), c=Path("p"), d={1}, a={2}))
    assert args == (1, Tag("x"), Decimal(1), Decimal(2))
    assert kwargs == {"c": Path("p"), "d": {1}, "a": {2}}
    assert read(mixed, stored(mixed, 1, b=Tag("x"))) == ((1,), {"b": Tag("x")})


class Options(TypedDict, total=False):
    tag: Required[Tag]
    when: date


def optional(a: int, **options: Unpack[Options]) -> None: ...


def test_named_arguments_may_have_the_types_of_a_dict() -> None:
    given = {"tag": Tag("a"), "when": date(2026, 1, 1)}
    assert read(optional, stored(optional, 1, **given)) == ((1,), given)
    for call, told in [('{"when":"2026-01-01"}', "tag: it is missing"), ('{"tag":{"name":"a"},"x":1}', "x: ")]:
        with pytest.raises(DeserializationError, match=told):
            read(optional, f"t[null,[1],{call}]".encode())


def bare(a, b=None, *c, **d): ...  # type: ignore[no-untyped-def]


def test_without_annotations_values_are_plain_json() -> None:
    assert read(bare, stored(bare, {"a": [1]}, d=2.5)) == (({"a": [1]},), {"d": 2.5})
    assert returned(bare, [1, {"a": None}]) == [1, {"a": None}]
    with pytest.raises(SerializationError, match=r"a\.x\[1\]: a tuple would come back as a list"):
        stored(bare, {"x": [1, (2,)]})
    with pytest.raises(SerializationError, match=r"the result of .*bare .* a tuple would come back as a list"):
        returned(bare, (1, 2))


def injected(order: int, session: Session = Depends(lambda: None), *, tag: Tag | None = None) -> None: ...


class Session:
    """What has no form in JSON."""


def test_what_a_worker_provides_is_no_argument() -> None:
    assert read(injected, stored(injected, 5, tag=Tag("a"))) == ((5,), {"tag": Tag("a")})
    with pytest.raises(
        SerializationError, match=r"session: JSON has no form for tests\.values\.test_typed\.Session"
    ):
        stored(injected, 5, Session())


async def streams() -> AsyncIterator[Tag]:
    yield Tag("a")


def awaits() -> Awaitable[Tag]: ...  # type: ignore[empty-body]


def again() -> Tag | Retry: ...  # type: ignore[empty-body]


def never() -> NoReturn:
    raise SystemExit


def test_the_result_is_what_a_job_comes_to() -> None:
    assert returned(streams, [Tag("a")]) == [Tag("a")]
    assert returned(awaits, Tag("a")) == Tag("a")
    assert returned(again, Tag("a")) == Tag("a")
    assert typed_function(never, "never").schema()["result"] == {}


def moment(at: datetime) -> None: ...


def test_the_hour_that_comes_twice() -> None:
    """Datetimes of that hour are equal to none in another zone."""
    at = datetime(2026, 10, 25, 2, 30, fold=1, tzinfo=ZoneInfo("Europe/Berlin"))
    (back,), _ = read(moment, stored(moment, at))
    assert back.astimezone(UTC) == datetime(2026, 10, 25, 1, 30, tzinfo=UTC)


# Refusals where a job is made


@dataclass
class Special(Tag):
    more: int = 0


def tagged(tag: Tag, tags: list[Tag], when: Sequence[int] = ()) -> None: ...


def item(item: Item) -> None: ...


def people(people: dict[str, Person]) -> None: ...


def boxed(box: Box[list[Any]]) -> None: ...


def number(value: float | None) -> None: ...


ITEM = Item("a", Decimal(1), 5, "red", datetime.now(UTC))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("func", "args", "told"),
    [
        (tagged, ("x", []), r"tag: Expected `object`, got `str`"),
        (tagged, (Tag(5), []), r"tag\.name: Expected `str`, got `int`"),  # type: ignore[arg-type]
        (tagged, (Tag("a"), [Tag("b"), Tag("c", "d")]), r"tags\[1\]\.weight: Expected `float`, got `str`"),  # type: ignore[arg-type]
        (tagged, (Special("a"), []), r"tag: .*\.Special would come back as .*\.Tag"),
        (tagged, (Tag("a"), [Special("a")]), r"tags\[0\]: .*\.Special would come back as .*\.Tag"),
        (tagged, ({"name": "a"}, []), r"tag: dict would come back as .*\.Tag"),
        (tagged, (Tag("a"), (Tag("b"),)), r"tags: tuple would come back as list"),
        (tagged, (Tag("a"), [], (1,)), r"when: tuple would come back as list"),
        (item, (ITEM,), r"item\.color: str would come back as .*Color"),
        (people, ({"x": {"name": "a", "born": "never"}},), r"people\.x\.born: Input should be a valid date"),
        (people, ({"x": {"name": "a", "born": "2020-01-01"}},), r"people\.x: dict would come back as .*Person"),
        (people, ([],), r"people: Input should be"),
        (boxed, (Box([1, (2,)]),), r"box\.content\[1\]: tuple would come back as list"),
        (boxed, (Box([datetime.now(UTC)]),), r"box\.content\[0\]: datetime\.datetime would come back as str"),
        (number, (float("nan"),), r"value: float would come back as NoneType"),
        (number, ("5",), r"value: Expected `float \| null`, got `str`"),
        (FUNCTIONS["integer"], (True,), "value: Expected `int`, got `bool`"),
        (FUNCTIONS["path"], ("a",), r"value: str would come back as .*PosixPath"),
        (FUNCTIONS["constrained"], (9,), "value: Expected `int` <= 5"),
        (FUNCTIONS["constrained_by_pydantic"], (0,), "value: Input should be greater than or equal to 1"),
        (FUNCTIONS["text"], ("\ud800",), "value: "),
        (FUNCTIONS["checked_data"], (Account(1, "\ud800"),), "value: .*surrogates not allowed"),
        (FUNCTIONS["counts"], ({"a": "b"},), r"value\[\.\.\.\]: Expected `int`, got `str`"),
        (FUNCTIONS["data"], (object(),), "value: "),
        (FUNCTIONS["list_of_anything"], ([{1: 2}],), r"value\[0\]\[1\]: it would not come back"),
    ],
)  # fmt: skip
def test_a_wrong_argument_is_refused_with_its_path(func: Any, args: tuple[Any, ...], told: str) -> None:
    with pytest.raises(SerializationError, match=rf"^an argument of .* cannot be serialised as typed: {told}"):
        stored(func, *args)


class Nested(msgspec.Struct):
    inner: list[Nested] = []


def nested(value: Nested) -> None: ...


def test_a_value_nested_too_deep_is_refused() -> None:
    value = Nested()
    for _ in range(100_000):
        value = Nested([value])
    try:
        with pytest.raises(SerializationError, match="nested too deep"):
            stored(nested, value)
    finally:
        while value.inner:  # else its end is nested too deep as well
            value = value.inner.pop()


class Cart(msgspec.Struct):
    def add(self, amount: int) -> None: ...

    def __call__(self, amount: int) -> None: ...


def test_a_method_of_an_instance_is_refused() -> None:
    for func in (Cart().add, Cart()):
        with pytest.raises(
            InvalidFunction, match='is bound to an instance, and serializer="typed" takes functions'
        ):
            stored(func, 1)


def unresolved(doc: Missing | None = None) -> None: ...


def unknown(a: int = 0, lock: Session | None = None) -> None: ...


def unknown_result() -> dict[str, Session]: ...  # type: ignore[empty-body]


def half_known(value: Missing = Depends(lambda: None)) -> int: ...  # type: ignore[empty-body]


@pytest.mark.parametrize(
    ("func", "told"),
    [
        (unresolved, r"parameter doc: its annotation 'Missing \| None' cannot be resolved: name 'Missing' is not"),
        (unknown, r"parameter lock: tests\.values\.test_typed\.Session has no form in JSON"),
        (unknown_result, r"the result: tests\.values\.test_typed\.Session has no form in JSON"),
    ],
)
def test_a_function_whose_types_cannot_be_used_is_refused(func: Any, told: str) -> None:
    with pytest.raises(InvalidFunction, match=rf"^{NAME}\.{func.__name__}: {told}"):
        stored(func)
    with pytest.raises(DeserializationError, match=rf"{func.__name__}: {told}"):
        read(func, b"t[null,[],{}]")


def test_the_type_of_what_a_worker_provides_need_not_be_known() -> None:
    assert returned(half_known, 5) == 5


# Functions that are named, or that are not here


def test_the_arguments_of_a_function_that_is_only_named_are_plain_json() -> None:
    packed = stored(f"{NAME}.tagged", {"name": "a"}, [{"name": "b", "weight": 2}])
    assert read(tagged, packed) == ((Tag("a"), [Tag("b", 2.0)]), {})
    with pytest.raises(SerializationError, match=r"args\[0\]: JSON has no form for tests\.values\.shapes\.Tag"):
        stored(f"{NAME}.tagged", Tag("a"), [])


def test_what_belongs_to_a_module_that_is_not_here_is_plain_json() -> None:
    packed = stored("no_such_module.function", {"a": [1]}, b=2)
    assert read("no_such_module.function", packed) == (({"a": [1]},), {"b": 2})
    fields = {b"func": b"no_such_module.f", b"status": b"finished", b"result": b't{"name":"a"}'}
    assert JobRecord("a", fields).result() == {"name": "a"}


def test_a_function_that_its_module_has_not_is_an_error() -> None:
    with pytest.raises(DeserializationError, match="has no function 'gone'"):
        read(f"{NAME}.gone", b"t[null,[],{}]")


def test_a_module_that_cannot_be_imported_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(
        DeserializationError, match=r"importing the module of tests\.worker\.exiting_module\.f failed"
    ):
        read("tests.worker.exiting_module.f", b"t[null,[],{}]")


def test_plain_values_can_be_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tests.values.test_typed", None)  # type: ignore[arg-type]
    fields = {b"func": f"{NAME}.gone".encode(), b"data": b't[null,[{"a":1}],{}]', b"status": b"finished"}
    record = JobRecord("a", fields | {b"result": b"t[1]"})
    assert (record.call(plain=True), record.result(plain=True)) == ((None, ({"a": 1},), {}), [1])
    assert call_text(record) == f"{NAME}.gone({{'a': 1}})"


# Refusals where a job is read


@pytest.mark.parametrize(
    ("func", "call", "told"),
    [
        (tagged, '[{"name":5},[]],{}', r"tag\.name: Expected `str`, got `int`"),
        (tagged, '[{"name":"a"},[{}]],{}', r"tags\[0\]: Object missing required field `name`"),
        (tagged, '[{"name":"a"}],{}', "tags: it is missing"),
        (tagged, '[{"name":"a"},[],[1],4],{}', "takes 3 arguments by position, and there are 4"),
        (tagged, '[{"name":"a"},[]],{"nmae":1}', "nmae: .*has no parameter of this name"),
        (tagged, '[{"name":"a"},[]],{"tag":{"name":"b"}}', "tag: it is given twice"),
        (people, '[{"x":{"name":"a"}}],{}', r"people\.x\.born: Field required"),
        (people, '[{"x":{"born":3},"y":5}],{}', r"people\.x\.name: Field required; x\.born: .*; y: .*"),
        (tagged, '{"a":1},{}', "not null, a list and an object|they are not"),
        (tagged, "[", "they are not"),
        (nested, "[" + '{"inner":[' * 100_000, "."),
    ],
)
def test_a_wrong_call_is_refused_with_the_path(func: Any, call: str, told: str) -> None:
    with pytest.raises(DeserializationError, match=rf"^the job's arguments cannot be read as typed: .*{told}"):
        read(func, f"t[null,{call}]".encode())


def test_a_wrong_result_is_refused_with_the_path() -> None:
    fields = {b"func": f"{NAME}.again".encode(), b"status": b"finished", b"result": b't{"name":[]}'}
    with pytest.raises(
        DeserializationError, match=r"^the job's result cannot be read as typed: name: Expected `str`"
    ):
        JobRecord("a", fields).result()
    with pytest.raises(SerializationError, match=r"^the result of .*again cannot be .*: name: Expected `str`"):
        returned(again, Tag(5))  # type: ignore[arg-type]


@settings(deadline=None)
@given(st.sampled_from(sorted(FUNCTIONS)), st.binary(max_size=40))
def test_any_bytes_are_a_value_or_that_error(name: str, data: bytes) -> None:
    for each in (data, b"[null,[" + data + b"],{}]"):
        with suppress(DeserializationError):
            read(FUNCTIONS[name], b"t" + each)

        with suppress(DeserializationError):
            JobRecord(
                "a", {b"func": name_of(FUNCTIONS[name]).encode(), b"status": b"finished", b"result": b"t" + each}
            ).result()


# What it needs


def test_without_msgspec_it_is_refused_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    typed_function.cache_clear()
    monkeypatch.setitem(sys.modules, "msgspec", None)
    told = 'serializer="typed" needs the package msgspec: pip install "msgspec>=0.19"'
    with pytest.raises(InvalidInput, match=told):
        find_serializer("typed")
    with pytest.raises(DeserializationError, match=told):
        read(tagged, b"t[null,[],{}]")


def both(value: Session | int) -> None: ...


def test_without_pydantic_a_type_that_only_it_may_know_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    typed_function.cache_clear()
    monkeypatch.setitem(sys.modules, "pydantic", None)
    with pytest.raises(InvalidFunction, match=r'parameter value: .*Session.* pip install "pydantic>=2\.11"'):
        stored(both, 1)
    assert read(tagged, stored(tagged, Tag("a"), [])) == ((Tag("a"), []), {})


def test_a_pydantic_that_is_too_old_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    typed_function.cache_clear()
    monkeypatch.setattr("pydantic.VERSION", "2.9.2")
    with pytest.raises(InvalidFunction, match=r'pip install "pydantic>=2\.11"'):
        stored(both, 1)


# Schemas


def calls_back(call: Callable[[], None]) -> None: ...


def test_a_type_of_which_nothing_can_be_told_has_an_empty_schema() -> None:
    assert typed_function(calls_back, "calls_back").schema()["arguments"] == {"call": {}}
    with pytest.raises(SerializationError, match="call: Unable to serialize"):
        stored(calls_back, print)


def test_the_schema_of_a_function_names_its_parameters() -> None:
    schema = typed_function(mixed, "mixed").schema()
    assert schema["required"] == ["a", "b"]
    assert schema["arguments"]["a"] == {"type": "integer"}
    assert schema["arguments"]["b"]["$defs"]["Tag"]["required"] == ["name"]
    assert schema["arguments"]["c"] == {"type": "string", "format": "path"}
    assert (schema["more"]["format"], schema["more_named"]["type"]) == ("decimal", "array")
    assert schema["result"] == {"type": "null"}
    assert typed_function(people, "people").schema()["arguments"]["people"]["type"] == "object"


@pytest.mark.parametrize("name", SHAPES)
def test_each_type_has_a_schema_that_is_json(name: str) -> None:
    json.dumps(typed_function(FUNCTIONS[name], name).schema())
