from __future__ import annotations

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aioq.values.allowlist import Allowlist, read_allow
from aioq.values.errors import DeserializationError, FunctionNotAllowed, InvalidInput
from tests.values import inside

HERE = "tests.values.inside"


@pytest.mark.parametrize(
    "name",
    [
        "send",
        "sent",
        "cached",
        "Order.confirm",
        "Order.create",
        "Order.static",
        "Order.inherited",
        "Order.made",
        "Order.Inner.method",
    ],
)
def test_what_a_module_defines_is_covered_with_it(name: str) -> None:
    target = inside

    for part in name.split("."):
        target = getattr(target, part)

    assert Allowlist([f"{HERE}.*"]).resolve(f"{HERE}.{name}") == getattr(target, "__aioq_function__", target)


@pytest.mark.parametrize(
    "name",
    [
        "os.system",
        "system",
        "Path.unlink",
        "Popen",
        "outside.dangerous",
        "dangerous",
        "alias",
        "bound",
        "tool",
        "tool.run",
        "Tool.run",
        "Base.inherited",
        "wrapped_danger",
        "mapping.update",
        "Order.module.dangerous",
        "Order.maker.run",
        "Order.maker",
        "Order.__class__",
        "Order.__subclasses__",
        "Order.mro",
        "Order.__setattr__",
        "Order.confirm.__call__",
        "send.__call__",
        "send.__globals__.clear",
        "send.__class__",
        "send.__get__",
        "__loader__.exec_module",
        "__spec__.loader.exec_module",
        "task",
        "partial",
    ],
)
def test_what_it_only_leads_to_is_not(name: str) -> None:
    with pytest.raises(
        FunctionNotAllowed, match=r"is .*, and that is not covered by --allow tests\.values\.inside\.\*"
    ):
        Allowlist([f"{HERE}.*"]).resolve(f"{HERE}.{name}")


@pytest.mark.parametrize(
    ("pattern", "name"),
    [
        ("shop.tasks.*", "os.system"),
        ("shop.tasks.*", "shop.tasks"),
        ("shop.tasks.*", "shop.tasksx.f"),
        ("shop.tasks.*", "my.shop.tasks.f"),
        ("shop.tasks.*", "Shop.tasks.f"),
        ("shop.tasks.*", "shop:tasks.f"),
        ("shop.tasks.*", "os.system\nshop.tasks.f"),
        ("shop.tasks.f", "shop.tasks.f2"),
        ("shop.tasks.?", "shop.tasks.fg"),
    ],
)
def test_a_name_that_is_not_covered_is_refused_with_the_patterns(pattern: str, name: str) -> None:
    with pytest.raises(FunctionNotAllowed) as caught:
        Allowlist([pattern]).resolve(name)

    assert f"{name} is not covered by --allow {pattern}" in str(caught.value)


def test_nothing_is_imported_for_a_name_that_is_not_covered() -> None:
    sys.modules.pop("tests.worker.broken_module", None)

    with pytest.raises(FunctionNotAllowed):
        Allowlist(["shop.*"]).resolve("tests.worker.broken_module.f")

    assert "tests.worker.broken_module" not in sys.modules

    with pytest.raises(Exception, match=r"broken|import"):
        Allowlist(["tests.*"]).resolve("tests.worker.broken_module.f")


def test_any_of_several_patterns_covers() -> None:
    both = Allowlist(["x.y", f"{HERE}.s?nd", "tests.values.outs[ij]de.*"])
    assert both.resolve(f"{HERE}.send") is inside.send
    assert both.resolve("tests.values.outside.dangerous") is inside.dangerous
    assert both.resolve(f"{HERE}.send") is both.resolve(f"{HERE}.send")


def test_a_covered_name_of_nothing_is_said_to_be_missing() -> None:
    for name in (f"{HERE}.nothing", f"{HERE}.mapping", "tests.values.no_module.f", "tests"):
        with pytest.raises(DeserializationError):
            Allowlist(["tests*"]).resolve(name)


@given(st.text())
def test_any_text_is_refused_or_missing(name: str) -> None:
    with pytest.raises(FunctionNotAllowed):
        Allowlist(["shop.*"]).resolve(name)

    with pytest.raises(DeserializationError):
        Allowlist(["*"]).resolve(f"{name}.")


def test_patterns_are_read_from_texts_and_lists() -> None:
    for allow, environment in (
        (["a.*", "b.c"], "x"),
        ("a.*, b.c", None),
        (["a.*,b.c"], None),
        (None, " a.*,b.c "),
    ):
        found = read_allow(allow, environment)
        assert found is not None
        assert found.patterns == ("a.*", "b.c")

    assert read_allow(None) is None


@pytest.mark.parametrize("environment", ["", " "])
def test_patterns_that_are_set_and_empty_are_refused(environment: str) -> None:
    with pytest.raises(InvalidInput, match="AIOQ_ALLOW is set and empty: unset it, or give it a value"):
        read_allow(None, environment)

    assert read_allow("a.*", environment) is not None


@pytest.mark.parametrize("allow", ["", [], [""], "a.b,", "a b", ["a/b"], "a;b", "a:b"])
def test_what_is_no_pattern_is_refused(allow) -> None:
    with pytest.raises(InvalidInput, match="is not a pattern of functions"):
        read_allow(allow)


def test_a_pattern_is_a_text() -> None:
    with pytest.raises(TypeError, match="allow: expected a str, not int"):
        read_allow([1])
