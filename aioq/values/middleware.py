"""What may be given as middleware, to a queue or to a worker."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from aioq.values.errors import InvalidInput

T = TypeVar("T", bound=Callable[..., Any])


def check_middleware(given: Iterable[T], parameter: str) -> tuple[T, ...]:
    """Middleware as a user has given it.

    Args:
        given: coroutine functions, or instances with such a `__call__`; the outermost first.
        parameter: what they are called with beside call_next, for the text of the error.

    Raises:
        InvalidInput: one of them is no such function, or takes other arguments.

    """
    form = f"`async def name({parameter}, call_next)`"

    if not isinstance(given, Iterable):
        raise InvalidInput(f"middleware={given!r}: expected a list of functions of the form {form}")

    listed = tuple(given)

    for place, each in enumerate(listed):
        called = getattr(type(each), "__call__", None)  # noqa: B004 - of an instance

        if not (inspect.iscoroutinefunction(each) or inspect.iscoroutinefunction(called)):
            raise InvalidInput(f"middleware[{place}]={each!r}: expected a function of the form {form}")

        try:
            inspect.signature(each).bind(None, None)
        except TypeError:
            raise InvalidInput(
                f"middleware[{place}]={each!r}: it does not take two arguments; expected {form}"
            ) from None

    return listed
