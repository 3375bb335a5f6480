"""What users import has a type in full: `pyright --verifytypes` knows each name, with all that it leads to."""

from __future__ import annotations

import importlib
import json
from pathlib import Path

import pytest

from tests.interface import MODULES
from tests.typing.checkers import pyright


@pytest.mark.timeout(150)
@pytest.mark.chaos  # it takes long
def test_every_public_name_has_a_type_that_is_known_in_full(tmp_path: Path) -> None:
    told = pyright("--verifytypes", "aioq", "--ignoreexternal", "--outputjson", folder=tmp_path)
    symbols = {each["name"]: each for each in json.loads(told)["typeCompleteness"]["symbols"]}
    modules = [*MODULES, "aioq.embedded"]
    names = [f"{module}.{name}" for module in modules for name in importlib.import_module(module).__all__]
    assert [name for name in names if not symbols[name]["isTypeKnown"] or symbols[name]["isTypeAmbiguous"]] == []
