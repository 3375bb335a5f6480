from __future__ import annotations

import copy
import json
import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aioq.values.errors import InvalidInput, RemoteError
from aioq.values.retry import (
    MAX_INTERVAL_MS,
    Retry,
    as_retry,
    is_rule,
    kinds,
    members_of,
    read_retry,
    shown_rule,
)

SECONDS = st.floats(0, 100_000, allow_nan=False)
POLICIES = st.builds(
    Retry,
    st.none() | st.integers(1, 1_000_000),
    SECONDS | st.lists(SECONDS, min_size=1, max_size=5),
    backoff=st.floats(1, 1e300),
    jitter=st.floats(0, 1) | st.just("full"),
    max_interval=st.floats(0.001, 1_000_000),
    on=st.none() | st.just(OSError) | st.just([KeyError, ValueError]),
    not_on=st.none() | st.just(ConnectionError),
    at_front=st.booleans(),
    within=st.none() | st.floats(0.001, 1_000_000),
)


class Moody(Exception):
    pass


class Moodier(Moody):
    pass


@given(POLICIES, st.integers(1, 10**9), st.floats(0, 1))
def test_a_pause_is_never_negative_nor_longer_than_the_longest(policy: Retry, attempt: int, chance: float) -> None:
    delay = policy.delay_ms(attempt, chance)

    assert isinstance(delay, int)
    assert 0 <= delay <= policy.max_interval_ms


@given(POLICIES)
def test_a_policy_survives_being_written_as_json(policy: Retry) -> None:
    assert Retry.from_dict(json.loads(json.dumps(policy.to_dict()))) == policy


def test_only_what_differs_from_the_defaults_is_written() -> None:
    assert Retry(3).to_dict() == {"max": 3}
    assert Retry(3, 5).to_dict() == {"max": 3, "interval_ms": [5_000]}


def test_the_last_interval_of_a_list_repeats() -> None:
    policy = Retry(5, [10, 60])

    assert [policy.delay_ms(attempt, 0.5) for attempt in (1, 2, 3, 4)] == [10_000, 60_000, 60_000, 60_000]


def test_backoff_multiplies_the_pause_up_to_the_longest() -> None:
    policy = Retry(9, 1, backoff=2, max_interval=6)

    assert [policy.delay_ms(attempt, 0.5) for attempt in (1, 2, 3, 4, 5)] == [1_000, 2_000, 4_000, 6_000, 6_000]


def test_a_gentle_backoff_still_grows_at_a_late_attempt() -> None:
    policy = Retry(10_000, 1, backoff=1.01)

    assert policy.delay_ms(201, 0.5) == round(1_000 * 1.01**200)


@pytest.mark.parametrize("backoff", [1e10, 1e300, 2])
def test_a_huge_attempt_reaches_the_longest_pause_and_no_overflow(backoff: float) -> None:
    assert Retry(10**9, 1, backoff=backoff).delay_ms(10**9, 0.5) == MAX_INTERVAL_MS


def test_no_pause_stays_no_pause_under_any_backoff() -> None:
    assert Retry(10**9, 0, backoff=1e300).delay_ms(10**6, 1) == 0


@pytest.mark.parametrize(("chance", "ms"), [(0, 500), (0.5, 1_000), (1, 1_500)])
def test_jitter_draws_around_the_pause(chance: float, ms: int) -> None:
    assert Retry(1, 1, jitter=0.5).delay_ms(1, chance) == ms


@pytest.mark.parametrize(("chance", "ms"), [(0, 0), (0.25, 250), (1, 1_000)])
def test_full_jitter_draws_from_nothing_to_the_pause(chance: float, ms: int) -> None:
    assert Retry(1, 1, jitter="full").delay_ms(1, chance) == ms


def test_jitter_does_not_pass_the_longest_pause() -> None:
    assert Retry(1, 10, jitter=1, max_interval=10).delay_ms(1, 1) == 10_000


@pytest.mark.parametrize(
    ("on", "not_on", "error", "retried"),
    [
        (None, None, KeyError(), True),
        (Moody, None, Moody(), True),
        (Moody, None, Moodier(), True),
        (Moodier, None, Moody(), False),
        (None, Moody, Moodier(), False),
        (None, Moodier, Moody(), True),
        ([KeyError, Moody], [Moodier], Moody(), True),
        ([KeyError, Moody], [Moodier], Moodier(), False),
        (OSError, None, ConnectionResetError(), True),
        (BaseException, None, SystemExit(), True),
        ((), (), KeyError(), True),
    ],
)
def test_exceptions_are_chosen_with_their_subclasses(on, not_on, error: BaseException, retried: bool) -> None:
    policy = Retry(1, on=on, not_on=not_on)

    assert policy.retries(error) is retried
    assert Retry.from_dict(policy.to_dict()).retries(error) is retried


def test_an_exception_class_of_the_same_name_elsewhere_is_another_one() -> None:
    namesake = type("KeyError", (Exception,), {})

    assert not Retry(1, on=KeyError).retries(namesake())


@pytest.mark.parametrize("value", [0, -1, True, 1.5, "3"])
def test_a_number_of_retries_below_one_is_refused(value: object) -> None:
    with pytest.raises(InvalidInput, match=r"Retry\(max="):
        Retry(value)


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"interval": -1}, "interval"),
        ({"interval": []}, "interval"),
        ({"interval": [1, -1]}, "interval"),
        ({"interval": "abc"}, "interval"),
        ({"interval": float("nan")}, "interval"),
        ({"backoff": 0.5}, "backoff"),
        ({"backoff": -1}, "backoff"),
        ({"backoff": float("nan")}, "backoff"),
        ({"backoff": float("inf")}, "backoff"),
        ({"backoff": "2"}, "backoff"),
        ({"backoff": True}, "backoff"),
        ({"backoff": 10**400}, "backoff"),
        ({"jitter": 1.5}, "jitter"),
        ({"jitter": -0.1}, "jitter"),
        ({"jitter": -1}, "jitter"),
        ({"jitter": "half"}, "jitter"),
        ({"jitter": float("nan")}, "jitter"),
        ({"jitter": True}, "jitter"),
        ({"jitter": None}, "jitter"),
        ({"max_interval": -1}, "max_interval"),
        ({"max_interval": 0}, "max_interval"),
        ({"within": 0}, "within"),
        ({"within": -1}, "within"),
        ({"within": "soon"}, "within"),
        ({"on": 5}, "on"),
        ({"on": "KeyError"}, "on"),
        ({"on": [KeyError()]}, "on"),
        ({"not_on": int}, "not_on"),
    ],
)
def test_a_value_out_of_its_range_is_refused_by_name(options: dict[str, object], name: str) -> None:
    with pytest.raises(InvalidInput, match=rf"Retry\({name}"):
        Retry(1, **options)


@pytest.mark.parametrize("interval", [None, True, [None], b"ab"])
def test_an_interval_of_another_type_is_refused(interval: object) -> None:
    with pytest.raises(TypeError, match="Retry"):
        Retry(1, interval)


def test_intervals_may_be_texts_and_timedeltas() -> None:
    assert Retry(2, ["1m", timedelta(seconds=2), 0.5]).interval_ms == (60_000, 2_000, 500)


def test_a_policy_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        Retry(1).max = 5


def test_the_retry_option_takes_a_policy_or_a_number_of_retries() -> None:
    policy = Retry(2, 5)

    assert as_retry(policy) is policy
    assert as_retry(3) == Retry(3)

    with pytest.raises(InvalidInput):
        as_retry("3")


def test_a_policy_without_an_end_is_refused_for_a_job() -> None:
    assert as_retry(Retry(within="1h", interval=5)) == Retry(within=3600, interval=5)

    with pytest.raises(InvalidInput, match=r"no end .* give it max=, .* or within="):
        as_retry(Retry(interval=5))


def test_rq_s_spelling_of_at_front_is_understood() -> None:
    assert Retry(max=3, interval=[10, 30, 60], enqueue_at_front=True) == Retry(3, [10, 30, 60], at_front=True)


def test_a_policy_can_be_raised_and_is_the_same_afterwards() -> None:
    policy = Retry(3, [1, 2], jitter="full", within="1h", on=OSError)

    @contextmanager
    def passing() -> Iterator[None]:
        yield

    for _ in range(2):
        with pytest.raises(Retry, match="a worker would run the job again") as caught, passing():
            raise policy

        assert caught.value is policy

    assert hash(policy) == hash(Retry(3, [1, 2], jitter="full", within="1h", on=OSError))


def test_a_policy_survives_a_pickle_and_a_copy() -> None:
    policy = Retry(3, [1, 2], jitter="full", within="1h", on=OSError, at_front=True)

    assert pickle.loads(pickle.dumps(policy)) == copy.deepcopy(policy) == policy


def group(*errors: BaseException) -> BaseExceptionGroup[BaseException]:
    return BaseExceptionGroup("several", errors)


class Wrapped(ExceptionGroup):
    """A group that says of itself what it is."""

    @property
    def exceptions(self) -> Any:
        raise AssertionError("nobody asks the user's code")


@pytest.mark.parametrize(
    ("on", "not_on", "error", "retried"),
    [
        (OSError, None, group(OSError(), ConnectionError()), True),
        (OSError, None, group(OSError(), ValueError()), False),
        ([OSError, ValueError], None, group(OSError(), ValueError()), True),
        (OSError, None, group(OSError(), group(group(TimeoutError()))), True),
        (OSError, None, group(OSError(), group(group(KeyError()))), False),
        (None, ValueError, group(OSError(), group(ValueError())), False),
        (None, ValueError, group(OSError(), OSError()), True),
        (OSError, ConnectionError, group(OSError(), ConnectionError()), False),
        (Exception, None, group(OSError(), KeyboardInterrupt()), False),
        (BaseException, None, group(OSError(), KeyboardInterrupt()), True),
        (ExceptionGroup, None, ExceptionGroup("g", [KeyError()]), True),
        (None, ExceptionGroup, ExceptionGroup("g", [KeyError()]), False),
        (KeyError, None, Wrapped("w", [KeyError()]), True),
        (Wrapped, None, Wrapped("w", [KeyError()]), True),
    ],
)
def test_a_group_matches_on_with_all_its_members_and_not_on_with_any(
    on, not_on, error: BaseException, retried: bool
) -> None:
    assert Retry(1, on=on, not_on=not_on).retries(error) is retried
    apart = RemoteError("text", kinds(error), members=members_of(error))
    assert Retry(1, on=on, not_on=not_on).retries(apart) is retried


def test_a_deep_group_and_a_large_one_are_looked_through() -> None:
    deep: BaseException = KeyError()

    for _ in range(5_000):
        deep = ExceptionGroup("g", [deep])

    assert Retry(1, on=LookupError).retries(deep)
    assert len(members_of(ExceptionGroup("g", [KeyError(each) for each in range(10_000)]))) == 1


def test_a_policy_comes_back_from_json() -> None:
    policy = Retry(4, [1, 2.5], backoff=2, jitter="full", max_interval="1h", at_front=True)

    assert read_retry(json.dumps(policy.to_dict()).encode()) == policy
    assert read_retry(json.dumps(Retry(1, jitter=0.5).to_dict()).encode()) == Retry(1, jitter=0.5)


@pytest.mark.parametrize(
    "packed",
    [b"", b"[]", b'{"within_ms":0}', b'{"max":0}', b'{"max":1,"interval_ms":[-5]}', b'{"max":1,"backoff":0}'],
)
def test_what_is_no_policy_is_refused(packed: bytes) -> None:
    with pytest.raises((ValueError, TypeError, LookupError, AttributeError)):
        read_retry(packed)


def test_a_text_in_the_place_of_classes_is_told_whole() -> None:
    with pytest.raises(InvalidInput) as caught:
        Retry(1, on="httpx.HTTPStatusError")  # type: ignore[arg-type]

    assert str(caught.value) == (
        "Retry(on='httpx.HTTPStatusError'): expected exception classes, such as on=ValueError"
    )


def test_a_stored_rule_is_shown_as_users_write_it() -> None:
    assert shown_rule(Retry(2, jitter="full").to_dict()) == {"max": 2, "jitter": "full"}
    assert shown_rule(Retry(2, jitter=0.5).to_dict()) == {"max": 2, "jitter": 0.5}
    assert shown_rule(None) is None


def test_a_stored_rule_can_be_told_from_others() -> None:
    assert is_rule(Retry(2, [1, 2]).to_dict())

    assert is_rule(Retry(within=5).to_dict())
    assert not is_rule({})  # it would have no end

    for damaged in ([], {"max": 1, "interval_ms": ["a"]}, {"within_ms": "a"}):
        with pytest.raises((TypeError, AttributeError, LookupError)):
            is_rule(damaged)
