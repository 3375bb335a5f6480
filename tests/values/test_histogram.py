"""Histograms: nothing is lost by adding them, and a percentile is as near as a bucket is wide."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aioq.values.figures import COUNTERS, GAUGES, RUN, WAIT, histogram_of, pack_figures, unpack_figures
from aioq.values.histogram import BOUNDS_MS, BUCKETS, BUCKETS_PER_DECADE, Histogram, edges_ms, merged

FACTOR = 10 ** (1 / BUCKETS_PER_DECADE) * 1.01  # the bounds are rounded

durations = st.lists(st.floats(0, 2e9), max_size=200)


@given(durations, durations, durations)
def test_to_add_histograms_is_to_count_all_durations_at_once(
    first: list[float], second: list[float], third: list[float]
) -> None:
    parts = [Histogram.of(each) for each in (first, second, third)]
    whole = Histogram.of([*first, *second, *third])
    assert merged(parts) == parts[0] + parts[1] + parts[2] == parts[2] + (parts[1] + parts[0]) == whole
    assert whole.count == len(first) + len(second) + len(third)


@given(st.lists(st.floats(1.001 * BOUNDS_MS[0], BOUNDS_MS[-1]), min_size=1, max_size=200), st.floats(0, 100))
def test_a_percentile_is_at_most_a_bucket_away(values: list[float], percent: float) -> None:
    values.sort()
    true = values[max(0, math.ceil(len(values) * percent / 100) - 1)]
    found = Histogram.of(values).percentile(percent)
    assert found is not None
    assert true / FACTOR <= 1000 * found <= true * FACTOR


@given(durations)
def test_percentiles_do_not_fall(values: list[float]) -> None:
    found = [Histogram.of(values).percentile(percent) for percent in (-5, 0, 1, 50, 95, 99.9, 100, 200)]
    assert all(each is None for each in found) if not values else found == sorted(found, key=lambda at: at or 0)


def test_buckets_follow_each_other() -> None:
    assert [*BOUNDS_MS] == sorted(set(BOUNDS_MS))
    assert edges_ms(0) == (0.0, BOUNDS_MS[0])
    assert all(edges_ms(at)[1] == edges_ms(at + 1)[0] for at in range(BUCKETS - 1))
    assert [*Histogram.of([5, 5, 100_000])] == [(pytest.approx(0.00501, rel=0.01), 2), (100, 1)]


figures = st.dictionaries(
    st.sampled_from([*COUNTERS, *GAUGES, *(f"{letter}{at}" for letter in (WAIT, RUN) for at in range(BUCKETS))]),
    st.integers(1, 10**15 - 1),
)


@given(figures)
def test_figures_come_back_as_they_were_packed(known: dict[str, int]) -> None:
    assert unpack_figures(pack_figures(known).encode()) == known
    assert histogram_of(known, WAIT).count == sum(
        number for name, number in known.items() if name[1:].isdigit() and name[0] == WAIT
    )


@given(st.binary())
def test_whatever_is_stored_can_be_read(packed: bytes) -> None:
    for name, number in unpack_figures(packed).items():
        assert isinstance(number, int)
        assert name
