"""Cron expressions: the moments of one, in a named time zone. The package cronsim reads them."""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo

from aioq.values.errors import InvalidInput, InvalidType

#: The time zone of an expression that comes without one: it is the same on all machines.
DEFAULT_ZONE = "UTC"

#: Words that stand for expressions.
_WORDS = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}


def check_cron(expression: str, zone: str, name: str) -> None:
    """Refuse an expression or a time zone that cannot be used here.

    Args:
        expression: with five fields, or with six, of which the first is the second; or a word such as "@daily".
        zone: the name of a time zone.
        name: what it is for; it stands in the error.

    Raises:
        InvalidType: one of them is no text.
        InvalidInput: it cannot be read, has no moment at all, or needs a package that is not installed.

    """
    for value, argument, example in ((expression, "cron", "0 3 * * *"), (zone, "timezone", "Europe/Berlin")):
        if not isinstance(value, str):
            raise InvalidType(
                f'{name}({argument}={value!r}): expected a text such as "{example}", not {type(value).__name__}'
            )

    if next_moment_ms(expression, zone, 0, name) is None:
        raise InvalidInput(
            f"{name}(cron={expression!r}): expected an expression that has a moment; this one has none"
        )


def next_moment_ms(expression: str, zone: str, after_ms: int, name: str = "Repeat") -> int | None:
    """The first moment of an expression that is later than `after_ms`, in ms since 1970.

    Args:
        expression: as for `check_cron`.
        zone: the name of a time zone.
        after_ms: a moment in ms since 1970.
        name: as for `check_cron`.

    Returns:
        None, if the next fifty years have no such moment.

    Raises:
        InvalidInput: as `check_cron`.

    """
    try:
        from cronsim import CronSim, CronSimError  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise InvalidInput(f'{name}(cron=…) needs the package cronsim: pip install "cronsim>=2.7"') from error

    begin = datetime.fromtimestamp(after_ms / 1000, _zone(zone, name))

    try:
        moments = CronSim(_WORDS.get(expression.strip().lower(), expression), begin)
    except CronSimError as error:
        raise InvalidInput(
            f"{name}(cron={expression!r}): {error}; expected five fields (minute, hour, day of the month, month,"
            ' day of the week), such as "0 3 * * *" for each day at three'
        ) from None

    # While an hour comes twice, cronsim begins with the first time: that may be over.
    return next((ms for moment in moments if (ms := int(moment.timestamp()) * 1000) > after_ms), None)


def _zone(zone: str, name: str) -> tzinfo:
    if zone == DEFAULT_ZONE:
        return UTC  # it needs no data of time zones

    from zoneinfo import ZoneInfo  # noqa: PLC0415 - few programs need it

    try:
        return ZoneInfo(zone)
    except (LookupError, ValueError, OSError):
        raise InvalidInput(
            f"{name}(timezone={zone!r}): this machine knows no time zone of that name; expected one such as"
            ' "Europe/Berlin". If it knows none at all: pip install tzdata'
        ) from None
