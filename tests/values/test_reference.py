from __future__ import annotations

import functools
import importlib.machinery
import math
import sys
import types
from unittest import mock

import pytest

from aioq.values.errors import InvalidFunction
from aioq.values.reference import refer
from aioq.values.resolving import resolve
from tests.values import places

HERE = "tests.values.places"
MODEL = places.Model(5)
CHILD = places.Child()
NEPHEW = places.Nephew()
CALLABLE = places.Callable_()
UNHASHABLE = places.Unhashable()
PARTIAL = functools.partial(places.plain, 1)
LIST = [1]


@pytest.mark.parametrize(
    ("func", "name", "instance"),
    [
        (places.plain, f"{HERE}.plain", None),
        (places.coroutine, f"{HERE}.coroutine", None),
        (places.Model.method, f"{HERE}.Model.method", None),
        (places.Model.static, f"{HERE}.Model.static", None),
        (MODEL.static, f"{HERE}.Model.static", None),
        (places.Model.of, f"{HERE}.Model.of", None),
        (MODEL.of, f"{HERE}.Model.of", None),
        (places.Child.of, f"{HERE}.Child.of", None),
        (MODEL.method, f"{HERE}.Model.method", MODEL),
        (CHILD.method, f"{HERE}.Child.method", CHILD),
        (CHILD.of_the_parent(), f"{HERE}.Model.method", CHILD),
        (NEPHEW.method, f"{HERE}.Nephew.method", NEPHEW),
        (MODEL.renamed, f"{HERE}.Model.renamed", MODEL),
        (MODEL.hidden_by_name(), f"{HERE}.Model._Model__hidden", MODEL),
        (types.MethodType(places.pay, MODEL), f"{HERE}.pay", MODEL),
        (places.lost, f"{HERE}.lost", None),
        (places.pay_checked, f"{HERE}.pay_checked", None),
        (places.pay_hidden, f"{HERE}.pay_hidden", None),
        (places.show, f"{HERE}.show", None),
        (places.as_int, f"{HERE}.as_int", None),
        (places.decorated_task, f"{HERE}.decorated_task", None),
        (places.cached_save, f"{HERE}.cached_save", None),
        (MODEL.wrapped, f"{HERE}.Model.wrapped", MODEL),
        (CALLABLE, f"{HERE}.Callable_.__call__", CALLABLE),
        (UNHASHABLE, f"{HERE}.Unhashable.__call__", UNHASHABLE),
        (UNHASHABLE.method, f"{HERE}.Unhashable.method", UNHASHABLE),
        (PARTIAL, "functools.partial.__call__", PARTIAL),
        (math.sqrt, "math.sqrt", None),
        (print, "builtins.print", None),
        (dict.fromkeys, "builtins.dict.fromkeys", None),
        ("abc".upper, "builtins.str.upper", "abc"),
        (LIST.append, "builtins.list.append", LIST),
        (str.upper, "builtins.str.upper", None),
        (places.cached, f"{HERE}.cached", None),
        ("package.module.function", "package.module.function", None),
        (f"{HERE}.plain", f"{HERE}.plain", None),
    ],
)
def test_a_callable_has_the_name_that_a_worker_imports(func, name: str, instance: object) -> None:
    reference, bound_to = refer(func)

    assert (reference.name, bound_to) == (name, instance)


@pytest.mark.parametrize(
    ("func", "args", "result"),
    [
        (MODEL.method, (2,), 7),
        ("abc".upper, (), "ABC"),
        (math.sqrt, (9,), 3),
        (functools.partial(max, 3), (7,), 7),
        ([3, 1].index, (1,), 1),
        (CHILD.method, (2,), -2),
        (CHILD.of_the_parent(), (2,), 2),
        (NEPHEW.method, (2,), 2),
        (places.save, (7,), ["session", 7]),
        (places.cached_save, (7,), ["session", 7]),
        (places.pay_checked, (7,), 7),
        (places.as_int, ("text",), "int"),
        (places.show, ("text",), "str"),
        (dict.fromkeys, ([1],), {1: None}),
    ],
)
def test_what_a_worker_imports_does_what_was_enqueued(func, args: tuple[object, ...], result: object) -> None:
    reference, instance = refer(func)
    bound = () if instance is None else (instance,)
    reference.check(args, {})

    assert resolve(reference.name)(*bound, *args) == result == func(*args)


def test_a_decorator_above_a_task_is_run_too() -> None:
    assert resolve(refer(places.decorated_task)[0].name) is places.decorated_task


def test_what_a_patch_has_put_in_the_place_of_a_function_is_not_taken_for_it() -> None:
    with mock.patch.object(places, "pay"), pytest.raises(InvalidFunction, match="MagicMock cannot be reached"):
        refer(places.pay)

    with (
        mock.patch.object(places, "pay", autospec=True),
        pytest.raises(InvalidFunction, match="pay cannot be reached"),
    ):
        refer(places.pay)

    assert refer(places.pay)[0].name == f"{HERE}.pay"


@pytest.mark.parametrize(
    ("func", "why"),
    [
        (places.anonymous, "is a lambda"),
        (lambda: None, "is a lambda"),
        (places.local(), "is local to another function"),
        (places.local_instance(), "is local to another function"),
        (places.Model, "the class Model"),
        (int, "the class int"),
        (5, "of type int"),
        (None, "of type NoneType"),
        (places, "of type module"),
        (MODEL, "of type Model"),
        (places.hiding(places.plain), "is local"),
        (places.first_shadowed(), "of type Shadowed"),
        (mock.Mock(), "the class unittest.mock.Mock cannot be reached"),
        (mock.AsyncMock(), "the class unittest.mock.AsyncMock cannot be reached"),
        (places.shadowed_copies[0], "stands another object"),
        (places.with_session(places.Model.of), "stands another object"),
        ((5).__add__, "cannot be reached"),
        ("function", "not a dotted name"),
        ("", "not a dotted name"),
        (".", "not a dotted name"),
        (".a.b", "not a dotted name"),
        ("a.b.", "not a dotted name"),
        ("a..b", "not a dotted name"),
        ("a.b c", "not a dotted name"),
        ("a.b()", "not a dotted name"),
        ("a/b.c", "not a dotted name"),
    ],
)
def test_what_no_worker_could_import_is_refused_in_words(func, why: str) -> None:
    with pytest.raises(InvalidFunction, match=why):
        refer(func)


async def test_what_a_call_has_returned_is_refused_with_the_right_call() -> None:
    async def ok(number: int) -> int:
        return number

    coroutine = ok(1)

    with pytest.raises(InvalidFunction) as caught:
        refer(coroutine)

    coroutine.close()
    assert str(caught.value) == (
        "a value of type coroutine cannot be enqueued; expected a function, a bound method, a callable instance or"
        " a dotted name. Pass the function and its arguments: enqueue(ok, …)"
    )

    with pytest.raises(InvalidFunction, match=r"Pass the function and its arguments: enqueue\(function, …\)$"):
        refer(5)


def test_a_lambda_of_a_script_is_told_all_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    main = types.ModuleType("__main__")
    main.__spec__ = None
    exec("f = lambda: None", main.__dict__)
    monkeypatch.setitem(sys.modules, "__main__", main)

    with pytest.raises(InvalidFunction) as caught:
        refer(main.f)

    assert str(caught.value) == (
        "<lambda> is a lambda; a worker cannot import it. Define a function with a name at the top level of a"
        " module of its own, other than the script that is being run (__main__)"
    )


def test_an_object_that_cannot_be_shown_is_refused_in_words_too() -> None:
    with pytest.raises(InvalidFunction, match="of type Mute"):
        refer(places.Mute())


@pytest.mark.parametrize(
    ("func", "args", "kwargs"),
    [
        (places.plain, (1,), {}),
        (places.plain, (1, 2), {}),
        (places.plain, (), {"a": 1, "b": 2}),
        (places.positional_only, (1, 2), {}),
        (places.keyword_only, (1,), {"key": 2}),
        (places.any_args, (), {}),
        (places.any_args, tuple(range(50)), {}),
        (places.any_kwargs, (1,), {"x": 2}),
        (MODEL.method, (1,), {}),
        (MODEL.method, (), {"a": 1}),
        (MODEL.loose, (1, 2, 3), {}),
        (MODEL.wrapped, (1,), {}),
        (MODEL.of, (1,), {}),
        (MODEL.static, (1,), {}),
        (CALLABLE, (1,), {}),
        (PARTIAL, (2,), {}),
        (PARTIAL, (), {"b": 3}),
        (places.save, (1,), {}),
        (places.save, (), {"order": 1}),
        (places.cached, (1,), {}),
        (print, (1, 2), {"sep": ""}),
        ("package.module.function", (1, 2), {"x": 3}),
    ],
)
def test_a_call_that_the_function_takes_passes(func, args: tuple[object, ...], kwargs: dict[str, object]) -> None:
    refer(func)[0].check(args, kwargs)


@pytest.mark.parametrize(
    ("func", "args", "kwargs"),
    [
        (places.plain, (), {}),
        (places.plain, (1, 2, 3), {}),
        (places.plain, (1,), {"job_timout": 5}),
        (places.plain, (1,), {"a": 5}),
        (places.positional_only, (1,), {"b": 2}),
        (places.positional_only, (1,), {}),
        (places.keyword_only, (1,), {}),
        (places.keyword_only, (1, 2), {}),
        (places.any_args, (1,), {"x": 1}),
        (places.any_kwargs, (), {"x": 1}),
        (MODEL.method, (), {}),
        (MODEL.method, (1, 2), {}),
        (PARTIAL, (1, 2, 3), {}),
        (PARTIAL, (), {"what": "ever"}),
        (CHILD.of_the_parent(), (1, 2), {}),
        (types.MethodType(places.pay, MODEL), (1,), {}),
        (MODEL.of, (), {}),
        (MODEL.static, (), {}),
        (CALLABLE, (), {}),
        (places.coroutine, (), {}),
        (places.cached, (1, 2), {}),
        (math.sqrt, (), {}),
    ],
)
def test_a_call_that_the_function_would_not_take_is_refused(func, args, kwargs) -> None:
    with pytest.raises(InvalidFunction, match="does not take this call"):
        refer(func)[0].check(args, kwargs)


def test_a_default_that_cannot_be_shown_does_not_hide_what_was_wrong() -> None:
    with pytest.raises(InvalidFunction, match="does not take this call"):
        refer(places.mute_default)[0].check((1, 2), {})


def test_a_function_of_a_script_that_is_being_run_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    main = types.ModuleType("__main__")
    main.__spec__ = None
    exec("def f(): ...", main.__dict__)
    monkeypatch.setitem(sys.modules, "__main__", main)

    with pytest.raises(InvalidFunction, match="a worker cannot import it"):
        refer(main.f)


def test_a_function_of_a_module_run_by_its_name_has_that_name(monkeypatch: pytest.MonkeyPatch) -> None:
    main = types.ModuleType("__main__")
    main.__spec__ = importlib.machinery.ModuleSpec("shop.tasks", None)
    exec("def f(): ...", main.__dict__)
    monkeypatch.setitem(sys.modules, "__main__", main)
    monkeypatch.delitem(sys.modules, "shop.tasks", raising=False)

    assert refer(main.f)[0].name == "shop.tasks.f"
