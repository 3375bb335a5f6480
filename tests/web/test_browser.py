"""The dashboard in a browser: every page and action by clicks, by keyboard, on a phone and without scripts."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aioq import Queue
from tests.conftest import Server
from tests.tools import eventually_sync
from tests.web.browsing import PATIENCE_MS, browser, browser_path, fill, log_in, run_apart, shown

pytest.importorskip("playwright.sync_api", reason="playwright is not installed; `make test-web` does that")

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

AXE = Path(os.environ.get("AXE", ".venv/npm/node_modules/axe-core/axe.min.js"))

PATHS = ("/", "/queues", "/queues/billing", "/queues/nightly", "/jobs", "/jobs?state=failed", "/jobs?q=nothing",
         "/jobs/summary", "/workers", "/jobs/none", "/failures", "/failures?muted=yes", "/?last=day&map=wait",
         "/queues/billing?last=month&map=run", "/jobs?q=fn:shop.*",
         "/matching?verb=delete&q=state:failed")  # fmt: skip


@pytest.fixture(scope="module")
def opened() -> Iterator[Any]:
    """A browser for all tests."""
    if browser_path() is None:
        pytest.skip("no chromium is installed, and it could not be had")

    with browser() as one:
        yield one


@pytest.fixture
def scene(opened, tmp_path) -> Iterator[tuple[str, Server, Any]]:
    """The address of a dashboard, its server, and a browser. Each test has its own: some kill it."""
    server = Server(tmp_path)
    server.start()

    try:
        with shown(server.tcp_url, server.folder) as base:
            run_apart(fill(server.tcp_url))
            yield base, server, opened
    finally:
        server.stop(kill=True)


@pytest.fixture
def visit(scene) -> Iterator[Any]:
    """Opens a page of whoever has logged in. What the browser complains of fails the test."""
    base, _, opened = scene
    contexts, complaints = [], []

    def make(**options: Any) -> Any:
        context = opened.new_context(base_url=base, **options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(PATIENCE_MS)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on(
            "console", lambda said: complaints.append(said.text) if said.type in ("error", "warning") else None
        )
        log_in(page, base)
        return page

    yield make

    for context in contexts:
        context.close()

    assert [
        each
        for each in complaints
        if "404" not in each and "400" not in each and "503" not in each and "ERR_" not in each
    ] == []


def ask(server: Server, queue: str, work: Any) -> Any:
    async def run() -> Any:
        async with Queue(queue, server.tcp_url) as opened:
            return await work(opened)

    return run_apart(run())


def a_failed_job(page: Any) -> None:
    page.goto("/jobs?state=failed")
    page.locator("td.call a").first.click()
    page.wait_for_selector("h1.job")


@pytest.mark.parametrize(
    ("scheme", "width"), [("light", 1280), ("dark", 1280), ("light", 390)], ids=["light", "dark", "phone"]
)
def test_no_page_violates_a_rule_of_accessibility(visit, scheme: str, width: int) -> None:
    if not AXE.exists():
        pytest.skip(f"axe-core is not at {AXE}; `make test-web` fetches it from npm")

    page = visit(color_scheme=scheme, viewport={"width": width, "height": 844}, bypass_csp=True)
    found = []

    def check(what: str) -> None:
        page.evaluate(AXE.read_text())
        result = page.evaluate("() => axe.run(document, {resultTypes: ['violations']})")
        found.extend(f"{what}: {each['id']}: {each['nodes'][0]['html']}" for each in result["violations"])
        assert page.evaluate("document.documentElement.scrollWidth") <= width, what

    for path in PATHS:
        page.goto(path)
        check(path)

    a_failed_job(page)
    check("a failed job")
    page.context.clear_cookies()
    page.goto("/login")
    check("/login")
    assert found == []


@pytest.mark.parametrize("path", ["/jobs?state=failed", "/audit"])
def test_a_list_is_a_table_for_readers_of_a_screen_on_a_phone(visit, scene, path: str) -> None:
    """Its rows are no rows of a table for the eye there, for which browsers may take the roles from them."""
    page = visit(viewport={"width": 390, "height": 844})
    page.goto("/jobs?state=failed")
    page.locator("button >> text=Requeue").first.click()
    page.wait_for_selector("text=The job waits in its queue again.")
    page.goto(path)
    assert page.evaluate("getComputedStyle(document.querySelector('tbody tr')).display") in ("grid", "flex")
    tree = page.context.new_cdp_session(page).send("Accessibility.getFullAXTree")["nodes"]
    seen = [each["role"]["value"] for each in tree if not each["ignored"]]
    rows, columns = page.locator("tbody tr").count(), page.locator("th:not(.wide)").count()
    assert rows
    assert (seen.count("table"), seen.count("rowgroup"), seen.count("row")) == (1, 2, 1 + rows)
    assert (seen.count("columnheader"), seen.count("cell")) == (columns, rows * columns)
    roles = page.evaluate(
        "[...document.querySelectorAll('table, table :is(thead, tbody, tr, th, td)')].map(x => x.role)"
    )
    assert None not in roles


def test_every_page_is_reached_by_clicks(visit) -> None:
    page = visit()
    page.click("nav >> text=Queues")
    page.click("main >> text=billing")
    page.wait_for_selector("h1 >> text=Queue billing")
    page.click("main a:has(span.failed)")
    page.locator("td.call a").first.click()
    page.wait_for_selector("text=How it spent its time")
    assert "ConnectionError: 503 Service Unavailable" in page.inner_text("main")
    page.goto("/jobs/summary")
    page.click("svg.graph a >> nth=0")
    page.wait_for_selector("h1 >> text=shop.report")
    page.click("header nav >> text=Failures")
    page.click("main >> text=Requeue…")
    page.wait_for_selector("h1 >> text=Requeue all jobs that fit")
    page.click("text=Look at them")
    page.wait_for_selector("h1 >> text=Jobs that fit")
    page.click("header nav >> text=Audit")
    page.wait_for_selector("h1 >> text=Audit")
    page.click("header nav >> text=Workers")
    page.wait_for_selector("text=slots busy")
    page.click("header nav >> text=Overview")
    page.wait_for_selector("text=no live worker")
    page.reload()
    page.wait_for_selector("text=Degraded.")


def test_every_action_by_clicks(visit, scene) -> None:
    _, server, _ = scene
    page = visit()

    page.goto("/jobs?state=failed")
    page.locator("button >> text=Requeue").first.click()
    page.wait_for_selector("text=The job waits in its queue again.")
    page.goto("/queues/billing")
    page.click("summary >> text=Requeue all failed…")
    page.locator("details[open] button").click()
    page.wait_for_selector("text=requeued.")
    page.wait_for_selector("a:has(.state.failed) b >> text='3'")  # they have failed again, and the page is live
    a_failed_job(page)
    page.click("main >> text=Requeue")
    page.wait_for_selector("text=The job waits in its queue again.")
    a_failed_job(page)
    page.click("summary >> text=Cancel…")
    page.click("text=Cancel the job")
    page.wait_for_selector("text=The job is canceled.")
    page.click("summary >> text=Delete…")
    page.click("text=Delete the job")
    page.wait_for_selector("text=The job is deleted.")

    page.goto("/workers")
    page.locator("text=Stop").first.click()
    page.wait_for_selector("text=The run is stopped.")
    job = ask(server, "reports", lambda queue: queue.enqueue("shop.report", "x", job_id="to-delete"))
    assert job.id == "to-delete"

    page.goto("/queues/reports")
    page.click("summary >> text=Pause…")
    page.fill("input[name=duration]", "10m")
    page.click("text=Pause the queue")
    page.wait_for_selector("text=It resumes by itself in")
    page.click("button >> text=Resume >> nth=-1")
    page.wait_for_selector("text=The queue is resumed.")
    page.click("summary >> text=Empty…")
    page.fill("input[name=typed]", "another")
    page.click("text=Delete the waiting jobs")
    page.wait_for_selector("text=to empty queue reports, type its name")
    page.goto("/queues/reports")
    page.click("summary >> text=Empty…")
    page.fill("input[name=typed]", "reports")
    page.click("text=Delete the waiting jobs")
    page.wait_for_selector("text=that waited: deleted.")
    assert ask(server, "reports", lambda queue: queue.count()) == 0


def test_failures_are_muted_and_all_that_fit_are_deleted_by_clicks(visit, scene) -> None:
    page = visit()
    page.click("nav >> text=Failures")
    page.click("summary >> text=Mute…")
    page.fill("details[open] input[name=by]", "ann")
    page.click("text=Mute it")
    page.wait_for_selector("text=The failure is muted.")
    page.click("main nav >> text=Muted")
    page.wait_for_selector("text=by ann")
    page.click("button >> text=Unmute")
    page.wait_for_selector("text=The failure is shown again.")
    page.click("header nav >> text=Failures")
    page.click("h2 a >> nth=0")
    page.wait_for_selector("h1 >> text=Jobs that fit")
    page.click("text=Delete all that fit…")
    count = page.locator("input[name=count]").get_attribute("value")
    page.fill("input[name=typed]", count)
    page.locator("main button.danger").click()
    page.wait_for_selector("text=deleted.")


def test_a_page_is_live_and_a_pause_stops_all_of_it(visit, scene) -> None:
    _, server, _ = scene
    page = visit()
    page.goto("/queues/fresh")
    ask(server, "fresh", lambda queue: queue.enqueue("shop.report", "first", job_id="first"))
    page.goto("/queues/fresh")
    ask(server, "fresh", lambda queue: queue.enqueue("shop.report", "second", job_id="second"))
    page.wait_for_selector("main >> text=second")
    page.click("header button >> text=Pause")
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    ask(server, "fresh", lambda queue: queue.enqueue("shop.report", "third", job_id="third"))
    page.wait_for_timeout(5000)
    assert "third" not in page.inner_text("main")
    assert requests == []
    page.reload()  # it stays paused
    page.wait_for_selector("header button >> text=Resume")
    page.click("header button >> text=Resume")
    page.wait_for_selector("header button >> text=Pause")
    ask(server, "fresh", lambda queue: queue.delete())


def test_by_keyboard_alone(visit) -> None:
    page = visit()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "To the content"
    page.keyboard.press("/")
    page.keyboard.type("summary")
    page.keyboard.press("Enter")
    page.wait_for_url("**/jobs/summary**")
    summary = page.locator("summary >> text=Cancel…")
    summary.focus()
    page.keyboard.press("Enter")
    page.wait_for_selector("text=Cancel the job")
    page.keyboard.press("Escape")
    assert page.evaluate("document.activeElement.textContent") == "Cancel…"
    assert not page.is_visible("text=Cancel the job")


def test_all_of_it_works_without_scripts(visit) -> None:
    page = visit(java_script_enabled=False)

    for path in PATHS:
        page.goto(path)
        page.wait_for_selector("h1", state="attached")

    page.goto("/queues/mail")
    page.click("summary >> text=Pause…")
    page.click("text=Pause the queue")
    page.wait_for_selector("text=The queue is paused.")
    page.click("main button >> text=Resume")
    page.wait_for_selector("text=The queue is resumed.")


def test_a_server_that_is_away_is_told_and_the_page_recovers(visit, scene) -> None:
    _, server, _ = scene
    page = visit()
    page.goto("/queues")
    server.stop(kill=True)

    try:
        page.wait_for_selector("#trouble:not([hidden])", timeout=60_000)
        page.goto("/workers", timeout=60_000)
        page.wait_for_selector("text=The server cannot be asked")
    finally:
        server.start()

    page.wait_for_selector("h1 >> text=Workers", timeout=60_000)
    eventually_sync(lambda: page.is_visible("main"), describe="the page")
