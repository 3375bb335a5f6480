"""The frame of a plot: its scales, axes and texts, as SVG.

There are no styles and no scripts in it, so it may be shown under a strict Content-Security-Policy. All is drawn
in `currentColor`; a page gives colours by the classes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from html import escape
from typing import NamedTuple

from aioq.values.statistics import Period, QueueStatistics, total_of

#: The size of a plot, in its own units, and the room around what is drawn.
WIDTH, HEIGHT = 640, 200
LEFT, RIGHT, TOP, BOTTOM = 58, 12, 22, 26

#: The most columns: further periods are put together.
MOST_COLUMNS = 120

#: How many times stand below a plot, and how many values beside it.
TIMES, VALUES = 5, 4

#: Up to this length, times are shown by the clock, and else by the day.
_CLOCK = timedelta(hours=36)


class Column(NamedTuple):
    """One column of a plot: where it begins and ends, and what it shows."""

    left: float
    right: float
    period: Period

    @property
    def middle(self) -> float:
        return (self.left + self.right) / 2


def columns_of(statistics: QueueStatistics) -> list[Column]:
    """The columns of a plot, from left to right. Each has the same width, also the one that has not ended."""
    periods = statistics.periods
    count = min(len(periods), MOST_COLUMNS)
    parts = [
        periods[len(periods) * at // count : len(periods) * (at + 1) // count]
        for at in range(count)
        if len(periods) * (at + 1) // count > len(periods) * at // count
    ]
    width = (WIDTH - LEFT - RIGHT) / max(1, len(parts))

    return [
        Column(LEFT + at * width, LEFT + (at + 1) * width, total_of(part, statistics.now))
        for at, part in enumerate(parts)
    ]


class Scale(NamedTuple):
    """Where a value stands. log: each power of ten takes the same room; then 0 and less stand at the bottom."""

    low: float
    high: float
    log: bool = False

    def y(self, value: float) -> float:
        """The height at which a value stands, from above."""
        part = (self._at(value) - self._at(self.low)) / ((self._at(self.high) - self._at(self.low)) or 1)

        return HEIGHT - BOTTOM - min(max(part, 0.0), 1.0) * (HEIGHT - TOP - BOTTOM)

    def ticks(self) -> list[float]:
        """Round values from the lowest to the highest."""
        if self.log:
            first, last = math.ceil(math.log10(self.low)), math.floor(math.log10(self.high))
            step = max(1, math.ceil((last - first + 1) / VALUES))

            return [10.0**exponent for exponent in range(first, last + 1, step)]

        between = _round_up(self.high / VALUES)

        return [at * between for at in range(int(self.high / between + 1e-9) + 1)]

    def _at(self, value: float) -> float:
        return math.log10(max(value, self.low)) if self.log else value


def linear(values: Iterable[float]) -> Scale:
    """A scale from 0 to the highest of these values."""
    return Scale(0.0, max([*values, 0.0]) or 1.0)


def logarithmic(values: Iterable[float]) -> Scale:
    """A scale of whole powers of ten around these values."""
    known = [each for each in values if each > 0]

    if not known:
        return Scale(0.001, 1.0, log=True)

    low, high = math.floor(math.log10(min(known))), math.ceil(math.log10(max(known)))

    return Scale(10.0**low, 10.0 ** max(high, low + 1), log=True)


def plot(title: str, description: str, body: Sequence[str], *, kind: str) -> str:
    """A whole SVG. The texts may be anything.

    Args:
        title: what it shows; a screen reader tells this.
        description: what can be seen in it, in a sentence or two.
        body: what is drawn.
        kind: its class, beside `plot`.

    """
    head = f'<svg xmlns="http://www.w3.org/2000/svg" role="img" class="plot plot-{kind}"'
    head += f' viewBox="0 0 {WIDTH} {HEIGHT}" fill="none" stroke="none">'
    texts = f"<title>{shown(title)}</title><desc>{shown(description)}</desc>"

    return "".join((head, texts, *body, "</svg>"))


def axes(columns: Sequence[Column], scale: Scale, label: Callable[[float], str]) -> list[str]:
    """The lines and texts of both axes.

    Args:
        columns: what is drawn between them.
        scale: of the values.
        label: makes the text for a value.

    """
    drawn = []

    for tick in scale.ticks():
        y = scale.y(tick)
        path = f"M{LEFT} {y:.1f}H{WIDTH - RIGHT}"
        drawn.append(f'<path class="plot-grid" stroke="currentColor" stroke-opacity="0.15" d="{path}"/>')
        drawn.append(note(LEFT - 6, y + 4, label(tick), "end"))

    return drawn + _times(columns)


def _times(columns: Sequence[Column]) -> list[str]:
    if not columns:
        return []

    first, last = columns[0].period.start, columns[-1].period.start
    form = "%H:%M" if last - first <= _CLOCK else "%m-%d"
    step = max(1, len(columns) // TIMES)

    return [
        note(column.left, HEIGHT - 8, f"{column.period.start:{form}}", "middle" if at else "start")
        for at, column in enumerate(columns)
        if at % step == 0 and column.left < WIDTH - 40
    ]


def nothing(title: str, words: str, *, kind: str) -> str:
    """A plot that has nothing to show, and says so."""
    return plot(title, words, [note(WIDTH / 2, HEIGHT / 2, words, "middle", size=13)], kind=kind)


def area(points: Sequence[tuple[float, float, float]], name: str, *, opacity: float) -> str:
    """The room between two lines.

    Args:
        points: each with its place from the left, and its two heights.
        name: its class.
        opacity: how much of what is behind it is hidden.

    """
    above = "L".join(f"{x:.1f} {high:.1f}" for x, _, high in points)
    below = "L".join(f"{x:.1f} {low:.1f}" for x, low, _ in reversed(points))

    return f'<path class="{name}" fill="currentColor" fill-opacity="{opacity:g}" d="M{above}L{below}Z"/>'


def line(points: Sequence[tuple[float, float]], name: str, *, dashes: str = "") -> str:
    """A line through points: a lone one is a dot."""
    more = f' stroke-dasharray="{dashes}"' if dashes else ""

    if len(points) == 1:
        x, y = points[0]

        return f'<circle class="{name}" fill="currentColor" cx="{x:.1f}" cy="{y:.1f}" r="2"/>'

    path = "L".join(f"{x:.1f} {y:.1f}" for x, y in points)

    return f'<path class="{name}" stroke="currentColor" stroke-width="1.5"{more} d="M{path}"/>'


def box(
    left: float, top: float, right: float, bottom: float, name: str, *, opacity: float, words: str = ""
) -> str:
    """A filled rectangle; its words are shown under a mouse."""
    told = f"<title>{shown(words)}</title>" if words else ""

    return (
        f'<rect class="{name}" fill="currentColor" fill-opacity="{opacity:.2g}" x="{left:.1f}" y="{top:.1f}"'
        f' width="{max(right - left, 0.1):.1f}" height="{max(bottom - top, 0):.1f}">{told}</rect>'
    )


def legend(names: Sequence[tuple[str, str]]) -> str:
    """What the lines and areas are: each with its class and its words, at the top on the right."""
    words = " · ".join(f'<tspan class="{name}">{shown(text)}</tspan>' for name, text in names)

    return (
        f'<text class="plot-legend" fill="currentColor" font-size="12" text-anchor="end" x="{WIDTH - RIGHT}"'
        f' y="12">{words}</text>'
    )


def shown(text: str) -> str:
    """A text as it may stand in SVG: without characters that XML does not allow, and with none that it obeys."""
    allowed = (
        character if character in "\t\n" or character.isprintable() else "\N{REPLACEMENT CHARACTER}"
        for character in text
    )

    return escape("".join(allowed), quote=True)


def span(first: datetime, last: datetime) -> str:
    """From when to when, in words."""
    return f"from {first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M} UTC"


def short(number: float) -> str:
    """A number of jobs as a short text.

    Example:
        >>> short(0.5), short(1200), short(3_400_000)
        ('0.5', '1.2k', '3.4M')

    """
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= size:
            return f"{number / size:.3g}{unit}"

    return f"{number:.3g}"


def seconds(value: float) -> str:
    """A duration as a short text.

    Example:
        >>> seconds(0.0001), seconds(0.25), seconds(10), seconds(1000), seconds(100_000)
        ('0.1ms', '250ms', '10s', '16.7m', '27.8h')

    """
    for size, unit, times in ((3600, "h", 1 / 3600), (60, "m", 1 / 60), (1, "s", 1), (0, "ms", 1000)):
        if value >= size:
            return f"{value * times:.3g}{unit}"

    return "0s"


def note(x: float, y: float, words: str, anchor: str, size: int = 12) -> str:
    """A text. Its anchor says which part of it is at x: start, middle or end."""
    return (
        f'<text class="plot-label" fill="currentColor" font-size="{size}" text-anchor="{anchor}" x="{x:.1f}"'
        f' y="{y:.1f}">{shown(words)}</text>'
    )


def _round_up(value: float) -> float:
    """The next of 1, 2 and 5, with any power of ten."""
    power = 10.0 ** math.floor(math.log10(value)) if value > 0 else 1.0

    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= value * (1 - 1e-9))
