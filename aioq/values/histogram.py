"""Histogram: how many durations there were of each length, in buckets that are always the same.

So histograms of workers, of minutes and of hours are added by adding numbers.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

#: Ten bounds for each power of ten, from 0.1 ms to 11.6 days: a bucket ends at 1.26 times where it begins.
BUCKETS_PER_DECADE = 10
FIRST_EXPONENT, LAST_EXPONENT = -1, 9

#: The greatest duration of each bucket but the last, in ms. The last one has all that took longer.
BOUNDS_MS: tuple[float, ...] = tuple(
    round(10 ** (step / BUCKETS_PER_DECADE), 3)
    for step in range(FIRST_EXPONENT * BUCKETS_PER_DECADE, LAST_EXPONENT * BUCKETS_PER_DECADE + 1)
)

#: How many buckets there are.
BUCKETS = len(BOUNDS_MS) + 1


@dataclass(frozen=True, slots=True)
class Histogram:
    """How many durations there were of each length.

    Args:
        counts: how many are in each bucket, by the number of the bucket; buckets without any are left out.

    Example:
        >>> waits = Histogram.of([10, 20, 30, 4000])
        >>> waits.count, round(waits.percentile(50), 3)
        (4, 0.02)

    """

    counts: Mapping[int, int] = field(default_factory=dict)

    @classmethod
    def of(cls, durations_ms: Iterable[float]) -> Histogram:
        """The histogram of these durations, in ms."""
        counts: dict[int, int] = {}

        for each in durations_ms:
            bucket = bisect_left(BOUNDS_MS, each)
            counts[bucket] = counts.get(bucket, 0) + 1

        return cls(counts)

    @property
    def count(self) -> int:
        """How many durations there were."""
        return sum(self.counts.values())

    def percentile(self, percent: float) -> float | None:
        """The seconds within which so many percent of the durations were; None: there were none.

        It is at most 26 % away from the true value, since a bucket is that wide.

        Args:
            percent: from 0 to 100: 50 is the median.

        """
        wanted, seen = self.count * min(max(percent, 0), 100) / 100, 0

        for bucket, number in sorted(self.counts.items()):
            if seen + number >= wanted:
                low, high = edges_ms(bucket)
                part = max(0.0, wanted - seen) / number

                return (low * (high / low) ** part if low else high * part) / 1000

            seen += number

        return None

    def __add__(self, other: Histogram) -> Histogram:
        return merged((self, other))

    def __iter__(self) -> Iterator[tuple[float, int]]:
        """The buckets that have any: the greatest duration of each in seconds, and how many it has."""
        return ((edges_ms(bucket)[1] / 1000, number) for bucket, number in sorted(self.counts.items()))


def merged(histograms: Iterable[Histogram]) -> Histogram:
    """One histogram of all durations of several."""
    counts: dict[int, int] = {}

    for each in histograms:
        for bucket, number in each.counts.items():
            counts[bucket] = counts.get(bucket, 0) + number

    return Histogram(counts)


def edges_ms(bucket: int) -> tuple[float, float]:
    """Where a bucket begins and ends, in ms. The last one has no end, and tells its beginning twice."""
    return BOUNDS_MS[bucket - 1] if bucket else 0.0, BOUNDS_MS[min(bucket, BUCKETS - 2)]
