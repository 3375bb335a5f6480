from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aioq.values.errors import InvalidInput, InvalidType
from aioq.values.moments import due_at, due_in, moment_of


@pytest.fixture(params=["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Pacific/Apia", "UTC"])
def local_zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[ZoneInfo]:
    """The zone of this machine for a while; Lord Howe's clocks move by half an hour, Apia has skipped a day."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", request.param)
        time.tzset()
        yield ZoneInfo(request.param)

    time.tzset()


@given(
    st.datetimes(datetime(2000, 1, 1), datetime(2037, 1, 1)),  # noqa: DTZ001 - naive ones are the subject
    st.integers(0, 1),
)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_naive_moment_is_what_python_takes_it_for(local_zone: ZoneInfo, moment: datetime, fold: int) -> None:
    moment = moment.replace(microsecond=moment.microsecond // 1000 * 1000, fold=fold)

    assert int(due_at(moment)) == round(moment.timestamp() * 1000)
    assert due_at(moment.replace(tzinfo=local_zone)) == due_at(moment) or local_zone.key == "Pacific/Apia"


@pytest.mark.parametrize(
    ("zone", "naive", "fold", "expected"),
    [
        ("Europe/Berlin", "2030-03-31T02:30:00", 0, "2030-03-31T01:30:00+00:00"),  # skipped
        ("Europe/Berlin", "2030-03-31T01:59:59", 0, "2030-03-31T00:59:59+00:00"),
        ("Europe/Berlin", "2030-03-31T03:00:00", 0, "2030-03-31T01:00:00+00:00"),
        ("Europe/Berlin", "2030-10-27T02:30:00", 0, "2030-10-27T00:30:00+00:00"),  # the first of two
        ("Europe/Berlin", "2030-10-27T02:30:00", 1, "2030-10-27T01:30:00+00:00"),
        ("America/New_York", "2030-03-10T02:15:00", 0, "2030-03-10T07:15:00+00:00"),
        ("Australia/Lord_Howe", "2030-10-06T02:10:00", 0, "2030-10-05T15:40:00+00:00"),
    ],
)
def test_hours_that_clocks_skip_or_have_twice(
    zone: str, naive: str, fold: int, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    moment = datetime.fromisoformat(naive).replace(fold=fold)

    with monkeypatch.context() as patch:
        patch.setenv("TZ", zone)
        time.tzset()
        found = datetime.fromtimestamp(int(due_at(moment)) / 1000, UTC)

    time.tzset()
    assert found.isoformat() == expected


@pytest.mark.parametrize("moment", [None, 5, "2030-01-01", timedelta(1), datetime.now(UTC).date()])
def test_what_is_no_datetime_is_refused(moment: Any) -> None:
    with pytest.raises(InvalidType, match="moment="):
        due_at(moment)


def test_a_moment_before_1970_is_the_first_one() -> None:
    assert due_at(datetime(1960, 1, 1, tzinfo=UTC)) == "0"


def test_a_delay_is_told_from_a_moment_by_its_sign() -> None:
    assert (due_in("1m"), due_in(0)) == ("+60000", "+0")

    with pytest.raises(InvalidInput, match="delay=-1"):
        due_in(-1)


@pytest.mark.parametrize("stored", [b"1700000000123", "1700000000123"])
def test_a_stored_moment_is_in_utc(stored: bytes | str) -> None:
    assert moment_of(stored) == datetime(2023, 11, 14, 22, 13, 20, 123_000, UTC)


@pytest.mark.parametrize("stored", [b"", b"soon", b"9" * 30])
def test_what_is_stored_and_is_no_moment_raises(stored: bytes) -> None:
    with pytest.raises((ValueError, OverflowError, OSError)):
        moment_of(stored)
