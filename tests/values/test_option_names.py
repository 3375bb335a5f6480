from __future__ import annotations

import inspect
from typing import Any

import pytest

from aioq.values.errors import InvalidFunction, InvalidInput
from aioq.values.option_names import RESERVED, refuse_options, suspects
from aioq.values.options import OPTION_NAMES, read_options
from aioq.values.reference import refer
from tests.client import kinds


def fixed(x: int, timeout: int = 0, job_timeouts: int = 0) -> None: ...


def collects(x: int, **rest: Any) -> None: ...


def refuse(func: Any, *, apart: bool = False, **kwargs: Any) -> dict[str, Any]:
    signature = None if func is None else inspect.signature(func)
    refuse_options(suspects(tuple(kwargs), OPTION_NAMES), kwargs, signature, OPTION_NAMES, apart=apart)
    return kwargs


def test_no_name_is_both_an_option_and_missing() -> None:
    assert not RESERVED & OPTION_NAMES


@pytest.mark.parametrize("name", sorted(RESERVED))
@pytest.mark.parametrize("func", [fixed, collects, None])
def test_a_name_of_an_option_that_is_missing_is_refused_whatever_the_function_takes(func: Any, name: str) -> None:
    with pytest.raises(InvalidInput, match=rf"no option {name}[;.].* kwargs=\{{'{name}'"):
        refuse(func, **{name: 1})


@pytest.mark.parametrize(("name", "own"), [("timeout", "job_timeout"), ("enqueue_at_front", "at_front")])
def test_an_option_that_has_another_name_here_is_told_by_it(name: str, own: str) -> None:
    with pytest.raises(InvalidInput, match=f"its name is {own}\\."):
        refuse(collects, **{name: 1})


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("eta", "`enqueue_at` takes a moment, and `enqueue_in` a delay"),
        ("delay", "`enqueue_in` takes a delay"),
        ("countdown", "`enqueue_in` takes a delay"),
        ("retries", "its name is retry"),
        ("max_retries", "its name is retry"),
    ],
)
def test_what_other_queues_call_so(name: str, told: str) -> None:
    with pytest.raises(InvalidInput, match=rf"^aioq has no option {name}; {told}\. Its options are "):
        read_options({name: 5})  # type: ignore[misc]

    assert refuse(collects, **{name: 5}) == {name: 5}, "a function may have a parameter of this name"


@pytest.mark.parametrize("value", [None, False])
@pytest.mark.parametrize("func", [collects, None])
def test_an_option_that_asks_for_nothing_is_taken_as_not_given(func: Any, value: Any) -> None:
    assert refuse(func, repeat=value, unique=value, x=1) == {"x": 1}
    assert read_options({"unique": value, "ttl": 5}) == read_options({"ttl": 5})  # type: ignore[typeddict-unknown-key]


def test_none_for_a_parameter_of_the_function_is_not_dropped() -> None:
    with pytest.raises(InvalidInput, match="no option timeout"):
        refuse(fixed, timeout=None)


@pytest.mark.parametrize("name", ["job_timout", "job_timeoutt", "jbo_timeout", "retyr", "job_ids", "failure_tt"])
@pytest.mark.parametrize("func", [collects, None])
def test_a_misspelled_option_is_refused_where_the_function_might_take_it(func: Any, name: str) -> None:
    with pytest.raises(InvalidInput, match=rf"no option {name}; did you mean (job_|retry|failure_ttl)"):
        refuse(func, **{name: 1})


@pytest.mark.parametrize("name", ["eta", "meat", "ttls", "job_timeaut", "my_job_timeout", "retries", "x"])
def test_other_names_go_to_the_function(name: str) -> None:
    assert refuse(collects, **{name: 1}) == refuse(None, **{name: 1}) == {name: 1}


def test_a_parameter_may_be_named_like_a_misspelled_option() -> None:
    assert refuse(fixed, job_timeouts=1) == {"job_timeouts": 1}


def test_a_form_with_options_apart_leaves_parameters_to_the_function_and_nothing_else() -> None:
    assert refuse(fixed, apart=True, timeout=1) == {"timeout": 1}
    assert refuse(kinds.options_as_arguments, apart=True, ttl=1, meta=2) == {"ttl": 1, "meta": 2}

    for func in (collects, None):
        with pytest.raises(InvalidInput, match=r"ttl is an option; `using\(ttl=…\)`.* enqueue_call\("):
            refuse(func, apart=True, ttl=1)


def test_what_collects_arguments_is_no_parameter_of_that_name() -> None:
    def odd(*args: Any, **priority: Any) -> None: ...

    with pytest.raises(InvalidInput, match="no option priority"):
        refuse(odd, apart=True, priority=1)


def test_a_call_that_does_not_fit_names_the_option_that_was_meant() -> None:
    with pytest.raises(InvalidFunction, match=r"does not take this call: .*did you mean job_timeout\?"):
        refer(kinds.plain)[0].check((1,), {"job_timout": 5})


def test_an_unknown_option_names_the_one_that_was_meant() -> None:
    with pytest.raises(InvalidInput, match=r"no option resul_ttl; did you mean result_ttl\?"):
        read_options({"resul_ttl": 5})  # type: ignore[typeddict-unknown-key]
