from __future__ import annotations

import importlib
from pathlib import Path

import pytest

from aioq import task
from aioq.values.errors import DeserializationError
from aioq.values.resolving import is_imported, locate, module_of, resolve
from tests.values import places

HERE = "tests.values.places"


@pytest.mark.parametrize(
    "name",
    [
        "no_such_module.f",
        "no.such.module.f",
        f"{HERE}.no_such_function",
        f"{HERE}.not_callable",
        f"{HERE}.Model.no_such_method",
        f"{HERE}.plain.deeper.still",
        "tests.no_such_module.f",
        "tests.values",
        "bare",
        "",
        ".",
        ".a.b",
        "a..b",
        "a.",
        "\x00.f",
    ],
)
def test_a_name_behind_which_is_nothing_is_a_typed_error(name: str) -> None:
    with pytest.raises(DeserializationError):
        resolve(name)


def test_a_module_that_lacks_one_of_its_own_imports_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "needs_another.py").write_text("import no_such_module_at_all\ndef f(): ...\n")
    monkeypatch.syspath_prepend(tmp_path)

    with pytest.raises(DeserializationError, match="no_such_module_at_all"):
        resolve("needs_another.f")


def test_an_error_in_a_module_is_shown_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "breaks_itself.py").write_text("1 / 0\n")
    monkeypatch.syspath_prepend(tmp_path)

    with pytest.raises(ZeroDivisionError):
        resolve("breaks_itself.f")


def test_a_name_that_could_not_be_found_is_looked_for_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)

    with pytest.raises(DeserializationError):
        resolve("comes_later.f")

    (tmp_path / "comes_later.py").write_text("def f(): ...\n")
    importlib.invalidate_caches()

    assert resolve("comes_later.f").__name__ == "f"


def test_a_function_is_found_through_the_task_that_stands_in_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "stand_in", task(places.plain), raising=False)

    assert resolve(f"{HERE}.stand_in") is places.plain
    resolve.cache_clear()


def test_a_method_is_located_with_the_class_that_it_was_found_in() -> None:
    assert locate(f"{HERE}.plain") == (places, places.plain)
    assert locate(f"{HERE}.Model.method")[0] is places.Model


def test_the_module_of_a_name_is_one_that_is_imported_already() -> None:
    assert module_of(f"{HERE}.Model.method") == (HERE, places, ["Model", "method"])
    assert module_of("no_such_module.f") == ("", None, ["no_such_module", "f"])
    assert is_imported(f"{HERE}.plain")
    assert not is_imported(f"{HERE}.no_such_function")
    assert not is_imported("no_such_module.f")
