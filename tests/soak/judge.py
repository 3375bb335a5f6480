"""Whether a series of samples is flat. Pure: no clock, no processes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import linear_regression, median


@dataclass(frozen=True)
class Metric:
    """Something that is sampled, and how much it may grow: a part of itself, and some more."""

    name: str
    unit: str
    slack: float
    part: float = 0.0


@dataclass(frozen=True)
class Line:
    """What became of one metric between the second and the last quarter of a soak."""

    metric: Metric
    early: float
    late: float
    per_hour: float

    @property
    def allowed(self) -> float:
        return self.metric.slack + self.metric.part * self.early

    @property
    def is_flat(self) -> bool:
        return self.late - self.early <= self.allowed


def judge(metric: Metric, samples: Sequence[tuple[float, float]], seconds: float) -> Line:
    """Compare the medians of the second and the last quarter.

    The first quarter is left out: caches fill, and retentions have not passed yet. Medians, because a fault makes
    a spike, and a spike is no leak. The slope is that of a line through the last three quarters.

    Args:
        metric: what was sampled.
        samples: moments in seconds from the start, and values.
        seconds: how long the soak took.

    """
    quarter = seconds / 4
    settled = [(at, value) for at, value in samples if at >= quarter]
    early = [value for at, value in settled if at < 2 * quarter]
    late = [value for at, value in settled if at >= 3 * quarter]

    if not early or not late:
        raise ValueError(f"{metric.name}: no samples in the second or the last quarter")

    slope, _ = linear_regression(*zip(*settled, strict=True))

    return Line(metric, median(early), median(late), slope * 3600)
