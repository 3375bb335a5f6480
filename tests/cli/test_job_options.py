from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from aioq.cli.job_options import with_job_options
from aioq.values.options import OPTIONS
from aioq.values.repeat import Repeat
from aioq.values.retry import Retry


def parsed(*words: str) -> Any:
    """The options that a command gets, or the text of a refusal."""
    found: list[dict[str, Any]] = []

    def command(*, options: dict[str, Any], last: bool = False) -> None:
        found.append(options)

    app = typer.Typer(rich_markup_mode=None)
    app.command()(with_job_options(command))
    done = CliRunner().invoke(app, list(words), env={"COLUMNS": "300", "NO_COLOR": "1", "TERM": "dumb"})

    return found[0] if found else done.exception if done.exit_code == 1 else done.output


def test_every_flag_of_a_row_stands_in_the_help_in_the_place_of_the_argument() -> None:
    text = parsed("--help")
    flags = [f"--{flag.name.replace('_', '-')}" for row in OPTIONS for flag in row.flags]
    places = [text.index(f" {flag} ") for flag in [*flags, "--last"]]
    assert places == sorted(places)
    assert len(set(flags)) == len(flags)
    assert "--options" not in text


def test_what_is_not_given_is_not_there() -> None:
    assert parsed() == {}
    assert parsed("--retry-max", "0") == {"retry": None}


@pytest.mark.parametrize(
    ("words", "options"),
    [
        (["--timeout", "5m"], {"job_timeout": "5m"}),
        (["--ttl", "5"], {"ttl": "5"}),
        (["--description", ""], {"description": ""}),
        (["--at-front"], {"at_front": True}),
        (["--meta", "a=1", "--meta", 'b="c"'], {"meta": {"a": 1, "b": "c"}}),
        (["--retry-max", "2"], {"retry": Retry(2)}),
        (["--retry-max", "2", "--retry-interval", "1", "--retry-interval", "2"], {"retry": Retry(2, [1, 2])}),
        (["--retry-within", "1h", "--retry-interval", "30"], {"retry": Retry(interval=30, within=3600)}),
        (["--retry-max", "2", "--retry-within", "90s"], {"retry": Retry(2, within=90)}),
        (["--repeat", "2"], {"repeat": Repeat(2)}),
        (
            [
                "--repeat",
                "2",
                "--repeat-interval",
                "1",
                "--repeat-interval",
                "2m",
                "--repeat-on-failure",
                "continue",
            ],
            {"repeat": Repeat(2, [1, 120], on_failure="continue")},
        ),
        (
            [
                "--repeat-cron",
                "0 3 * * *",
                "--repeat-timezone",
                "Asia/Tokyo",
                "--repeat-until",
                "2030-01-31T00:00Z",
            ],
            {"repeat": Repeat(cron="0 3 * * *", timezone="Asia/Tokyo", until=datetime(2030, 1, 31, tzinfo=UTC))},
        ),
        (["--executor", "process"], {"executor": "process"}),
    ],
)
def test_flags_make_the_options_that_users_write_in_python(words: list[str], options: dict[str, Any]) -> None:
    assert parsed(*words) == options


def test_a_bad_value_is_refused_by_the_name_of_its_flag() -> None:
    assert "--result-ttl" in str(parsed("--result-ttl", "soon"))
    assert "it needs --retry-max or --retry-within" in str(parsed("--retry-interval", "5"))
    assert "--retry-within" in str(parsed("--retry-within", "0"))
    assert "--repeat-interval" in str(parsed("--repeat", "1", "--repeat-interval", "-5"))
    assert "--repeat-until" in str(parsed("--repeat", "1", "--repeat-until", "soon"))
    assert "expected times= or until=" in str(parsed("--repeat-interval", "5"))
    assert "Repeat(times=0)" in str(parsed("--repeat", "0"))
