"""Callables of every kind, for the tests of references."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from aioq import task


def plain(a: int, b: int = 2) -> None: ...


def positional_only(a: int, b: int, /) -> None: ...


def keyword_only(a: int, *, key: int) -> None: ...


def any_args(*args: int) -> None: ...


def any_kwargs(a: int, **kwargs: int) -> None: ...


async def coroutine(a: int) -> None: ...


def passing(func: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(func)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return func(*args, **kwargs)

    return wrapper


def hiding(func: Callable[..., Any]) -> Callable[..., Any]:
    def hidden(*args: Any, **kwargs: Any) -> Any:
        return func(*args, **kwargs)

    return hidden


class Model:
    def __init__(self, value: int = 0) -> None:
        self.value = value

    def method(self, a: int) -> int:
        return self.value + a

    def loose(*args: int) -> None: ...

    def __hidden(self) -> None: ...

    def hidden_by_name(self) -> Callable[..., Any]:
        return self.__hidden

    @passing
    def wrapped(self, a: int) -> None: ...

    @hiding
    def renamed(self, a: int) -> None: ...

    @classmethod
    def of(cls, a: int) -> None: ...

    @staticmethod
    def static(a: int) -> None: ...

    class Inner:
        def method(self) -> None: ...


class Child(Model):
    def method(self, a: int) -> int:
        return -a

    def of_the_parent(self) -> Callable[..., Any]:
        return super().method


class Nephew(Model): ...


def with_session(func: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(func)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return func("session", *args, **kwargs)

    return wrapper


@with_session
def save(session: str, order: int) -> list[object]:
    return [session, order]


def pay(amount: int) -> int:
    return amount


pay_checked = passing(pay)
pay_hidden = hiding(pay)


@functools.singledispatch
def show(value: object) -> str:
    return "any"


@show.register
def _(value: int) -> str:
    return "int"


as_int = _


@show.register
def _(value: str) -> str:
    return "str"


@passing
@task(ttl=5)
def decorated_task(a: int) -> int:
    return a


@functools.lru_cache
@with_session
def cached_save(session: str, order: int) -> list[object]:
    return [session, order]


class Shadowed:
    """A class and a function of which another object stands at the name."""


first_shadowed = Shadowed
shadowed_copies = [passing(pay)]


class Shadowed:  # type: ignore[no-redef]
    def __call__(self) -> None: ...


class Callable_:
    def __call__(self, a: int) -> None: ...


class Unhashable:
    __hash__ = None  # type: ignore[assignment]

    def method(self) -> None: ...

    def __call__(self) -> None: ...


class Mute:
    def __repr__(self) -> str:
        raise RuntimeError


def mute_default(a: Any = Mute()) -> None: ...


anonymous = lambda: None  # noqa: E731
not_callable = 5


def local() -> Callable[..., Any]:
    def inner() -> None: ...

    return inner


def local_instance() -> object:
    class Inner:
        def __call__(self) -> None: ...

    return Inner()


@functools.lru_cache
def cached(a: int) -> int:
    return a


def taken() -> None: ...


lost = taken
del taken
