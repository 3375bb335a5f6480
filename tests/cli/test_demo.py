"""`aioq demo`, from its start to the last process that it leaves."""

from __future__ import annotations

import re
import signal
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from aioq.cli.demo_jobs import count_words_at_url
from aioq.cli.demo_site import MOST, find_documents, serving
from tests.cli.tools import Cli, Running, processes_of


def test_it_counts_fails_and_requeues(cli: Cli, folder: Path) -> None:
    done = cli.process("demo", environment={"TMPDIR": str(folder), "AIOQ_REDIS_URL": "redis://127.0.0.1:1"})
    assert (done.returncode, done.stderr) == (0, "")
    text = done.stdout
    assert re.search(r"^\d+ text files are at http://127.0.0.1:\d+/ and 3 pages are missing there\.$", text, re.M)
    total = int(re.search(r"^Enqueued (\d+) jobs\.", text, re.M)[1])
    assert total == len(find_documents())
    assert f"Counting words: {total} of {total}\n" in text
    assert "The longest documents:\nwords  document\n" in text
    assert text.count("urllib.error.HTTPError: HTTP Error 404: Not Found\n") == 3
    assert "$ aioq requeue --queue demo --all\nRequeueing 3 jobs from failed registry\n3 jobs requeued\n" in text
    assert "Counting again: 3 of 3\n" in text
    assert "\n0 jobs in the failed registry.\n" in text
    assert re.search(rf"^[\d,]+ words in {total} documents\.$", text, re.M)
    assert list(folder.iterdir()) == []
    assert processes_of(folder) == []


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.chaos)])
def test_a_signal_stops_everything(cli: Cli, start: Callable[..., Running], folder: Path, number: int) -> None:
    running = start("demo", environment={"TMPDIR": str(folder)})
    running.says("Enqueued")
    assert any("worker" in line for line in processes_of(folder))
    running.signal(number)
    assert (running.ends(), running.stderr) == (130, "")
    assert list(folder.iterdir()) == []
    assert processes_of(folder) == []


def test_the_dashboard_shows_its_jobs_until_a_signal(start: Callable[..., Running], folder: Path) -> None:
    running = start("demo", "--web", environment={"TMPDIR": str(folder)})
    running.says("The dashboard is at", 60)
    address = re.search(r"The dashboard is at (\S+)", running.stdout)[1]
    page = httpx.get(f"{address}jobs?state=finished", timeout=60).text
    assert "count_words_at_url" in page
    running.signal(signal.SIGINT)
    assert (running.ends(), running.stderr) == (130, "")
    assert processes_of(folder) == []


def test_urls_of_one_s_own_on_a_server_of_one_s_own(cli: Cli, server, tmp_path: Path) -> None:
    document = tmp_path / "document"
    document.write_text("one two three")

    with serving() as site:
        site.pages = {"/document": document}
        good, bad = site.url("/document"), site.url("/missing")
        done = cli.process("demo", good, bad, "-u", cli.url)

    assert (done.returncode, done.stderr) == (1, "Error: 1 document could not be read\n")
    assert f"    3  {good}\n" in done.stdout
    assert "1 job requeued\n" in done.stdout
    assert "\n1 job in the failed registry.\n3 words in 1 document.\n" in done.stdout
    # Its queues are not left behind on a server that is somebody's.
    assert cli.call("info").stdout.startswith("No queues.\n\nNo workers.\n")


def test_an_unreachable_server_is_one_line(cli: Cli) -> None:
    done = cli.call("demo", "http://localhost/", "-u", "redis://127.0.0.1:1")
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.startswith("Error: no server at redis://127.0.0.1:1")


def test_the_documents_are_the_same_every_time() -> None:
    documents = find_documents()
    assert 3 < len(documents) <= MOST
    assert list(documents.items()) == list(find_documents().items())


async def test_only_web_pages_are_read() -> None:
    with pytest.raises(ValueError, match="expected http:// or https://"):
        await count_words_at_url("file:///etc/hostname")
