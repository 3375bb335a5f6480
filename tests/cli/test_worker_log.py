"""The log of `aioq worker`: lines, formats, and what becomes of them when an application configures logging."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.cli.tools import Cli

TASKS = """
import logging

log = logging.getLogger("shop")

def fine():
    log.info("all is well")

def bad():
    raise ValueError("the disk is on fire\\nmore \\x1b[31m of it")
"""

LINE = re.compile(r"\d\d:\d\d:\d\d (DEBUG|INFO|WARNING|ERROR) .+")


@pytest.fixture
def tasks(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The module of the jobs, in a folder in which commands run."""
    (tmp_path / "tasks.py").write_text(TASKS)
    monkeypatch.setitem(cli.environment, "PYTHONWARNINGS", "default")
    return tmp_path / "tasks.py"


def log_of(cli: Cli, tasks: Path, *options: str, enqueued: tuple[str, ...] = ("fine", "bad")) -> str:
    """What a worker logs that runs these jobs; their ids are their names."""
    for each in enqueued:
        cli.enqueue(each, func=f"tasks.{each.partition('-')[0]}")

    done = cli.process("worker", "--burst", "-c", "1", *options, cwd=tasks.parent)
    assert done.returncode == 0, done.stderr
    return done.stderr


def test_a_failure_is_a_line_and_its_traceback(cli: Cli, tasks: Path) -> None:
    log = log_of(cli, tasks)
    assert re.search(
        r"ERROR tasks\.bad failed after [\d.]+ s \(queue default, job bad\): ValueError: the disk is on fire\n"
        r"Traceback \(most recent call last\):\n"
        r"  File \".*tasks\.py\", line 10, in bad\n",
        log,
    )
    assert "\nmore \\x1b[31m of it\n" in log
    assert "\x1b" not in log
    assert "INFO all is well\n" in log
    assert "job fine" not in log


def test_without_tracebacks_every_record_is_a_line(cli: Cli, tasks: Path) -> None:
    log = log_of(cli, tasks, "--no-log-tracebacks", "--log-jobs")
    assert all(LINE.fullmatch(line) for line in log.splitlines()), log
    assert "INFO tasks.fine begins (queue default, job fine)\n" in log
    assert "INFO tasks.fine finished in " in log
    assert "ERROR tasks.bad failed after " in log


def test_a_format_may_name_the_job(cli: Cli, tasks: Path) -> None:
    log = log_of(cli, tasks, "--log-format", "%(asctime)s|%(job_id)s|%(message)s", "--date-format", "%Y", "-v")
    assert re.search(r"^\d{4}\|fine\|all is well$", log, re.MULTILINE)
    assert re.search(r"^\d{4}\|-\|worker .+ has ended", log, re.MULTILINE)


def test_json_lines_hold_what_the_records_have(cli: Cli, tasks: Path) -> None:
    cli.do(lambda queue: queue.enqueue("tasks.fine", executor="process", job_id="apart"))
    records = [json.loads(line) for line in log_of(cli, tasks, "--log-json").splitlines()]
    (bad,) = [each for each in records if each["level"] == "ERROR"]
    assert (bad["job_id"], bad["queue"], bad["func"], bad["attempt"]) == ("bad", "default", "tasks.bad", 1)
    assert (bad["logger"], bad["outcome"]) == ("aioq.worker", "failed")
    assert bad["message"].endswith("ValueError: the disk is on fire")
    assert bad["traceback"].startswith("Traceback (most recent call last):")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", bad["time"])
    said = {each["job_id"]: each for each in records if each["logger"] == "shop"}
    assert said.keys() == {"fine", "apart"}
    assert said["apart"]["worker"] == bad["worker"]
    assert "job_id" not in records[-1]


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (("--log-format", "%(nope)s"), "'--log-format': '%(nope)s': "),
        (("--log-format", "no names"), "'--log-format': 'no names': "),
        (("--log-json", "--date-format", "%H"), "'--date-format': it cannot be combined with --log-json"),
    ],
)
def test_a_format_that_cannot_be_used_is_a_usage_error(cli: Cli, words: tuple[str, ...], error: str) -> None:
    result = cli.call("worker", *words)
    assert result.exit_code == 2
    assert error in " ".join(result.stderr.split())


def test_on_a_terminal_each_job_is_told(cli: Cli) -> None:
    cli.enqueue("a")
    _, seen = cli.on_terminal("worker", "--burst", columns=200)
    assert "INFO tests.jobs.noop begins (queue default, job a)\n" in seen


# An application that configures logging itself

OWN = "logging.StreamHandler(); handler.setFormatter(logging.Formatter('OWN %(name)s %(message)s'))"

DICT_CONFIG = """
import logging.config
logging.config.dictConfig({
    "version": 1,
    "formatters": {"f": {"format": "OWN %(name)s %(message)s"}},
    "handlers": {"h": {"class": "logging.StreamHandler", "formatter": "f"}},
    "root": {"handlers": ["h"], "level": "INFO"},
})
"""


@pytest.mark.parametrize(
    ("configuration", "is_own"),
    [
        ("logging.basicConfig(format='OWN %(name)s %(message)s')", True),
        (f"handler = {OWN}; logging.getLogger().addHandler(handler)", True),
        (
            DICT_CONFIG,
            True,
        ),
        ("import logging.config; logging.config.dictConfig({'version': 1})", False),
        pytest.param(
            "import logging.config; logging.config.dictConfig({'version': 1, 'root': {'handlers': []}})",
            False,
            marks=pytest.mark.chaos,
        ),
        pytest.param("logging.getLogger().addHandler(logging.NullHandler())", False, marks=pytest.mark.chaos),
        ("logging.info('without a logger')", False),
    ],
)
def test_an_application_s_configuration_holds_and_silences_nothing(
    cli: Cli, tasks: Path, configuration: str, is_own: bool
) -> None:
    tasks.write_text(TASKS.replace("import logging\n", f"import logging\n{configuration}\n"))
    after = log_of(cli, tasks, enqueued=("fine", "bad")).splitlines()[1:]
    failures = [line for line in after if "tasks.bad failed" in line]
    said = [line for line in after if "all is well" in line]
    ends = [line for line in after if "has ended" in line]
    assert (len(failures), len(said), len(ends)) == (1, 1, 1), after
    assert failures[0].startswith("OWN aioq.worker tasks.bad") is is_own
    assert said[0].startswith("OWN shop") is is_own
    assert (LINE.fullmatch(failures[0]) is None) is is_own


def test_a_level_that_the_application_sets_for_aioq_is_heeded(cli: Cli, tasks: Path) -> None:
    tasks.write_text(TASKS.replace("log =", "logging.getLogger('aioq').setLevel(logging.CRITICAL)\nlog ="))
    log = log_of(cli, tasks, enqueued=("fine", "bad"))
    assert "INFO all is well" in log
    assert "job bad" not in log


@pytest.mark.chaos
def test_options_that_an_application_s_configuration_takes_away_are_told_once(cli: Cli, tasks: Path) -> None:
    tasks.write_text(TASKS.replace("import logging\n", "import logging\nlogging.basicConfig(level='INFO')\n"))
    log = log_of(cli, tasks, "--no-log-tracebacks", "--log-json")
    (line,) = [line for line in log.splitlines() if "without effect" in line]
    assert line.startswith("WARNING:aioq.worker:an imported module has configured logging, so ")
    assert line.endswith(": without effect are --log-json, --no-log-tracebacks")
    assert "without effect" not in log_of(cli, tasks, "-v", enqueued=("fine-2",))


@pytest.mark.chaos
def test_levels_have_colours_on_a_terminal(cli: Cli) -> None:
    cli.enqueue("a", func="tests.jobs.div_by_zero")
    _, seen = cli.on_terminal("worker", "--burst", columns=200, colours=True)
    assert "\x1b[31mERROR\x1b[0m tests.jobs.div_by_zero failed" in seen
    cli.enqueue("b", func="tests.jobs.div_by_zero")
    plain = {"NO_COLOR": "1"}
    _, seen = cli.on_terminal("worker", "--burst", columns=200, colours=True, environment=plain)
    assert "ERROR tests.jobs.div_by_zero failed" in seen
    assert "\x1b[31m" not in seen
