"""What parameters ask for with Depends, in aioq's form and in FastAPI's."""

from __future__ import annotations

import inspect
import sys
import textwrap
from types import ModuleType
from typing import Annotated, Any

import fastapi
import pytest

from aioq import Depends
from aioq.errors import InvalidFunction, InvalidInput
from aioq.values.depends import Dependency, dependencies_of, of_request


class Session: ...


def get_session() -> Session:
    return Session()


def by_default(order: int, session: Session = Depends(get_session)) -> None: ...
def annotated(order: int, session: Annotated[Session, Depends(get_session)]) -> None: ...
def of_class(order: int, session: Session = Depends()) -> None: ...
def of_annotated_class(order: int, session: Annotated[Session, Depends()]) -> None: ...
def of_fastapi(order: int, session: Session = fastapi.Depends(get_session)) -> None: ...
def of_fastapi_annotated(order: int, session: Annotated[Session, fastapi.Depends(get_session)]) -> None: ...
def with_other_marks(order: int, session: Annotated[Session, "a text", Depends(get_session), 5]) -> None: ...
def asks_for_nothing(order: int, session: Annotated[Session, "a text"], *rest: int, **more: Unknown) -> None: ...  # noqa: F821
def scoped(session: Session = Depends(get_session, scope="worker", use_cache=False)) -> None: ...
def the_default_wins(session: Annotated[Session, Depends(Session)] = Depends(get_session)) -> None: ...
def of_no_class(session=Depends()) -> None: ...
def of_unknown(session: Annotated[Unknown, Depends(get_session)]) -> None: ...  # noqa: F821
def secured(session: Session = fastapi.Security(get_session)) -> None: ...
def of_request_class(request: fastapi.Request) -> None: ...
def of_header(token: Annotated[str, fastapi.Header()]) -> None: ...
def of_query(page: int = fastapi.Query(1)) -> None: ...


def asked(func: Any) -> dict[str, Any]:
    return {parameter.name: mark.dependency for parameter, mark in dependencies_of(func)}


@pytest.mark.parametrize("func", [by_default, annotated, of_fastapi, of_fastapi_annotated, with_other_marks])
def test_every_form_names_its_provider(func: Any) -> None:
    assert asked(func) == {"session": get_session}


@pytest.mark.parametrize("func", [of_class, of_annotated_class])
def test_without_a_provider_the_class_is_called(func: Any) -> None:
    assert asked(func) == {"session": Session}


def test_a_default_goes_before_an_annotation() -> None:
    assert asked(the_default_wins) == {"session": get_session}


def test_scope_and_cache_are_kept() -> None:
    ((_, mark),) = dependencies_of(scoped)
    assert mark == Dependency(get_session, use_cache=False, scope="worker")


@pytest.mark.parametrize("func", [asks_for_nothing, len, dict.get, Session, print])
def test_what_asks_for_nothing_has_no_dependencies(func: Any) -> None:
    assert asked(func) == {}


@pytest.mark.parametrize(
    ("func", "error"),
    [
        (of_no_class, r"parameter session: Depends\(\) without a function wants an annotated class"),
        (of_unknown, "parameter session: its annotation .* cannot be resolved: name 'Unknown' is not defined"),
        (secured, "Security of FastAPI is for requests"),
    ],
)
def test_what_cannot_be_read_is_refused(func: Any, error: str) -> None:
    with pytest.raises(InvalidFunction, match=error):
        asked(func)


@pytest.mark.parametrize(
    ("func", "name"),
    [
        (of_request_class, "fastapi.Request"),
        (of_header, "fastapi.Header"),
        (of_query, "fastapi.Query"),
        (by_default, ""),
        (of_fastapi, ""),
        (of_fastapi_annotated, ""),
        (asks_for_nothing, ""),
    ],
)
def test_what_belongs_to_a_request_is_known(func: Any, name: str) -> None:
    found = [of_request(func, each) for each in inspect.signature(func).parameters.values()]
    assert "".join(found).replace("starlette.Request", "fastapi.Request") == name


def test_names_mean_what_they_mean_where_the_function_stands() -> None:
    module = ModuleType("aioq_test_elsewhere")
    sys.modules[module.__name__] = module
    source = """
        from __future__ import annotations
        from typing import Annotated
        from aioq import Depends

        class Session: ...
        def get_session() -> Session: ...
        def charge(session: Annotated[Session, Depends(get_session)]) -> None: ...
    """

    try:
        exec(textwrap.dedent(source), vars(module))
        assert asked(module.charge) == {"session": module.get_session}
    finally:
        del sys.modules[module.__name__]


@pytest.mark.parametrize("given", [{"dependency": 5}, {"scope": "request"}])
def test_what_is_no_dependency_is_refused(given: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput):
        Depends(**given)
