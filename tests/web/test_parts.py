"""The pure parts: words, timelines, drawings, health, and texts of values."""

from __future__ import annotations

import doctest
import json
import pickle
import re
from urllib.parse import parse_qs, parse_qsl, quote, unquote, urlencode, urljoin, urlsplit

from hypothesis import example, given
from hypothesis import strategies as st

from aioq.doctor import Setting
from aioq.errors import ServerUnreachable
from aioq.values.calltext import argument_texts, value_text
from aioq.values.record import JobRecord
from aioq.web import words
from aioq.web.graph import HEIGHT, Node, drawn
from aioq.web.health import concerns, headline
from aioq.web.options import option_rows
from aioq.web.requests import TOLD_BY, back_to
from aioq.web.timeline import WIDTH, Stretch, pieces, stretches


def test_the_examples_of_words_are_true() -> None:
    assert doctest.testmod(words).failed == 0


@given(st.floats(0, 1e12))
def test_a_duration_has_at_most_two_units_and_no_sixty_seconds(ms: float) -> None:
    text = words.duration(ms)
    assert 1 <= text.count(" ") <= 3
    assert "60 s" not in text
    assert "60 min" not in text


@given(st.lists(st.tuples(st.integers(-10, 10**9), st.integers(-10, 10**9)), max_size=12))
def test_a_strip_is_full_and_every_stretch_can_be_seen(spans: list[tuple[int, int]]) -> None:
    found = pieces([Stretch("ran", "ran", start, end) for start, end in spans])
    assert all(piece.width > 0 for piece in found)
    assert not found or abs(sum(piece.width for piece in found) - WIDTH) < 1


@given(st.sampled_from(["queued", "scheduled", "deferred", "started", "finished", "failed", "damaged"]),
       st.dictionaries(st.sampled_from([b"created_at", b"started_at", b"ended_at", b"due_at", b"fence"]),
                       st.integers(-10**15, 10**15).map(lambda n: b"%d" % n)))  # fmt: skip
def test_a_timeline_never_runs_backwards(status: str, fields: dict[bytes, bytes]) -> None:
    record = JobRecord("x", {b"status": status.encode(), b"func": b"f", **fields})

    for each in stretches(record, status, [], 1_800_000_000_000):
        assert each.to_ms >= each.from_ms


@given(st.integers(0, 8), st.integers(0, 8))
def test_jobs_of_a_drawing_do_not_overlap(parents: int, children: int) -> None:
    node = Node("x", "q", "queued", "f")
    graph = drawn([node] * parents, node, [node] * children)
    places = [(each.x, each.y) for each in [*graph.nodes, graph.center]]
    assert len(set(places)) == parents + children + 1
    assert all(0 < x < graph.width and 0 < y <= graph.height - HEIGHT for x, y in places)
    assert len(graph.lines) == parents + children


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text() | st.binary(),
                    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20))  # fmt: skip
def test_a_value_is_one_line_from_each_serializer(value: object) -> None:
    text = value_text(b"p" + pickle.dumps(value), 100)
    assert text is not None
    assert text.isprintable()
    assert len(text) <= 1100  # escapes are longer than what they stand for


@given(st.binary(max_size=60))
def test_whatever_bytes_are_stored_reading_them_raises_nothing(data: bytes) -> None:
    for each in (data, b"p" + data, b"j" + data, b"t" + data):
        value_text(each)
        argument_texts(JobRecord("x", {b"func": b"f", b"data": each}))


def test_arguments_have_their_names() -> None:
    data = b"j" + json.dumps([None, ["you"], {"copies": 3}]).encode()
    assert argument_texts(JobRecord("x", {b"func": b"f", b"data": data})) == [("0", "'you'"), ("copies", "3")]
    assert argument_texts(JobRecord("x", {b"func": b"f"})) == []


def as_browsers_read(location: str) -> str:
    """Where a browser goes (https://url.spec.whatwg.org): a backslash is a slash, `%2e` a dot, a tab nothing."""
    text = re.sub(r"[\t\r\n]", "", location.strip("".join(map(chr, range(33)))))
    path, mark, query = text.partition("?")

    path = re.sub("%2e", ".", path.replace("\\", "/"), flags=re.IGNORECASE)

    return urljoin("https://here.example/mounted/page", path + mark + query)


@given(st.text("/\\.?%2eE5c:@\t\n evil#&=;ä\x00", max_size=24) | st.text())
@example("/\\evil.example")
@example("/\t/evil.example")
@example("/%2e%2E/x")
@example("/jobs?told=deleted&n=9")
def test_a_form_leads_back_to_a_page_of_this_dashboard_and_nowhere_else(back: str) -> None:
    found = back_to(back, {"told": "late"})
    at_root, mounted = urlsplit(as_browsers_read(found)), urlsplit(as_browsers_read("/mounted" + found))
    assert (at_root.netloc, mounted.netloc) == ("here.example", "here.example")
    assert mounted.path.startswith("/mounted/")
    assert parse_qs(at_root.query)["told"] == ["late"]
    assert found.isascii()
    assert found.isprintable()


@given(st.lists(st.text(min_size=1), max_size=3), st.dictionaries(st.text(min_size=1), st.text(min_size=1)))
def test_a_form_leads_back_to_the_page_that_it_stood_on(parts: list[str], query: dict[str, str]) -> None:
    path = "/" + "/".join(quote(part, safe="") for part in parts if part not in (".", ".."))
    found = urlsplit("https://here.example" + back_to(f"{path}?{urlencode(query)}", {}))
    assert unquote(found.path) == unquote(path)
    assert dict(parse_qsl(found.query)) == {name: value for name, value in query.items() if name not in TOLD_BY}


def test_a_server_that_is_away_is_the_worst_of_all_concerns() -> None:
    settings = [Setting("maxmemory-policy", "warning", "allkeys-lru", "It deletes jobs.")]
    found = concerns([], settings, {"queue mail": ServerUnreachable("no answer")}, 0)
    assert [each.grade for each in found] == ["bad", "note"]
    assert found[0].text == "queue mail cannot be read: no answer"
    assert headline(found) == ("In danger", "bad")


def test_options_are_shown_in_words_and_what_is_damaged_is_left_out() -> None:
    def shown(packed: str) -> dict[str, str]:
        return dict(option_rows(JobRecord("x", {b"func": b"f", b"opts": packed.encode(), b"failure_ttl": b"-1"})))

    assert shown('{"retry": {"max": 3, "interval_ms": [1000, 60000]}, "timeout": -1}') == {
        "timeout": "no limit",
        "result_ttl": "8 min 20 s",
        "failure_ttl": "for ever",
        "retry": "max 3, interval 1 s then 1 min",
    }
    assert "retry" not in shown('{"retry": 7, "result_ttl": "long"}')
