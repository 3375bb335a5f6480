"""Plots: well-formed, accessible, harmless SVG of whatever statistics there are."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aioq.values.figures import RUN, WAIT
from aioq.values.histogram import BUCKETS
from aioq.values.statistics import Backlog, QueueStatistics, Step, periods_of, window_of
from aioq.web.plots import backlog, durations, heat_map, throughput
from aioq.web.plots_frame import HEIGHT, WIDTH, linear, logarithmic

NOW = 495_873 * 3_600_000 + 20_000
SVG = "{http://www.w3.org/2000/svg}"

PLOTS: list[Callable[[str, QueueStatistics], str]] = [
    throughput,
    backlog,
    *(partial(plot, times=times) for plot in (durations, heat_map) for times in ("wait", "run")),
]


def made(found: dict[int, dict[str, int]], step: Step = "minute", since: str = "1h") -> QueueStatistics:
    """Statistics with figures, each set by how many periods ago it was."""
    step_ms = 60_000 if step == "minute" else 3_600_000
    placed = {NOW // step_ms * step_ms - ago * step_ms: figures for ago, figures in found.items()}
    window = window_of(step, since, None, NOW)
    now = datetime.fromtimestamp(NOW / 1000, UTC)
    return QueueStatistics(step, now, periods_of(window, placed, NOW, 0), Backlog(3, 1, 0, 1, 2.0))


def parsed(svg: str) -> ET.Element:
    """The plot, if it is what a strict page may show."""
    root = ET.fromstring(svg)
    assert root.tag == f"{SVG}svg"
    assert root.get("role") == "img"
    assert [each.tag for each in root][:2] == [f"{SVG}title", f"{SVG}desc"]
    assert all(each.text for each in [*root][:2])

    for each in root.iter():
        assert each.tag.removeprefix(SVG) in {"svg", "title", "desc", "text", "tspan", "path", "rect", "circle"}
        assert not {name for name in each.attrib if name == "style" or name.startswith("on") or "href" in name}
        assert {each.get(name) for name in ("fill", "stroke")} <= {None, "none", "currentColor"}

        for number in map(float, re.findall(r"-?\d+\.?\d*", each.get("d", ""))):
            assert -1 <= number <= max(WIDTH, HEIGHT) + 1

    return root


figures = st.dictionaries(
    st.sampled_from(
        [
            *("finished", "failed", "retried", "waiting", "age_ms", "added"),
            *(f"{letter}{bucket}" for letter in (WAIT, RUN) for bucket in range(BUCKETS)),
        ]
    ),
    st.one_of(st.integers(0, 5), st.integers(0, 10**15)),
)


@settings(max_examples=20, deadline=None)
@given(
    st.dictionaries(st.integers(0, 60), figures, max_size=8),
    st.sampled_from([("minute", "1h"), ("minute", "1d"), ("hour", "30d"), ("minute", "1s")]),
    st.text(st.characters(codec="utf-8"), max_size=20),
)
def test_whatever_there_is_makes_a_plot(
    found: dict[int, dict[str, int]], window: tuple[Step, str], queue: str
) -> None:
    for plot in PLOTS:
        parsed(plot(queue, made(found, *window)))


@pytest.mark.parametrize("plot", [each for each in PLOTS if each is not backlog])
def test_nothing_to_show_is_said(plot: Callable[[str, QueueStatistics], str]) -> None:
    root = parsed(plot("mail", made({})))
    words = [each.text for each in root.iter(f"{SVG}text")]
    assert len(words) == 1
    assert (words[0] or "").startswith("No ")


def test_a_backlog_without_a_past_shows_the_present_and_why() -> None:
    root = parsed(backlog("mail", made({})))
    assert (root[1].text or "").startswith("3 jobs wait now. No past is known: workers count what waits")
    assert len([*root.iter(f"{SVG}circle")]) == 1
    assert "3 jobs wait now." in [each.text for each in root.iter(f"{SVG}text")]


def test_a_hostile_name_is_a_text() -> None:
    name = "</title><script>alert(1)</script>\"'&\x00\x1b[31m\u202e"

    for plot in PLOTS:
        svg = plot(name, made({1: {"finished": 1, "waiting": 2, "w20": 1, "r20": 1}}))
        assert "<script" not in svg
        assert "</title><script>alert(1)" in (parsed(svg)[0].text or "")
        assert "\x1b" not in svg
        assert "\u202e" not in svg


def test_a_gap_is_a_gap() -> None:
    """Where nobody looked no line is drawn: three minutes, one alone, and two."""
    known = {ago: {"waiting": 5, "finished": 1} for ago in (0, 1, 2, 10, 20, 21)}
    root = parsed(backlog("mail", made(known)))
    lines = [
        each for each in root.iter(f"{SVG}path") if each.get("class") == "plot-waiting" and each.get("stroke")
    ]
    dots = [*root.iter(f"{SVG}circle")]
    assert (len(lines), len(dots)) == (2, 1)


def test_a_minute_that_has_just_begun_shows_no_peak() -> None:
    """A worker tells every ten seconds, so its runs of ten seconds fall into a minute of which few have passed."""
    svg = throughput("mail", made({0: {"finished": 30}, 1: {"finished": 30}}))
    assert svg.count(": 30 finished, 0 failed a minute") == 2


def test_what_it_says_without_being_seen() -> None:
    statistics = made({1: {"finished": 1200, "failed": 3, "w20": 50, "w40": 50}})
    assert "1.2k runs finished, 3 failed, 0 were retried from " in (
        parsed(throughput("mail", statistics))[1].text or ""
    )
    assert "Half of all were at most " in (parsed(durations("mail", statistics, "wait"))[1].text or "")


def test_scales_have_round_values() -> None:
    assert linear([0, 7.3]).ticks() == [0, 2, 4, 6]
    assert linear([]).ticks() == [0, 0.5, 1]
    assert logarithmic([0.003, 12]).ticks() == pytest.approx([0.001, 0.1, 10])
    assert logarithmic([]).ticks() == pytest.approx([0.001, 0.01, 0.1, 1])


def test_thirty_days_are_no_larger_than_they_must_be() -> None:
    busy = {
        ago: {"finished": 9, "failed": 1, "waiting": 4} | {f"w{at}": 3 for at in range(10, 50)}
        for ago in range(720)
    }
    statistics = made(busy, "hour", "30d")
    assert max(len(plot("mail", statistics)) for plot in PLOTS) < 300_000
