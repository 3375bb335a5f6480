"""Asked: the text of a search as an address carries it."""

from __future__ import annotations

import re
from datetime import datetime

from aioq.values.filter import Filter
from aioq.values.states import JobStatus

_MOMENT = re.compile(r"(?<!\S)(after|before):(\S+)")


def quoted(condition: str) -> str:
    """A condition as a word of a filter: what would end it stands between quotation marks.

    Example:
        >>> quoted("error:time out"), quoted("tag:vip")
        ('error:"time out"', 'tag:vip')

    """
    name, colon, value = condition.partition(":")

    if not re.search(r"\s|\"", value):
        return condition

    return f'{name}{colon}"{value.replace(chr(34), "")}"'


def frozen(text: str, found: Filter) -> str:
    """The text of a filter with moments in the place of durations, so that it means the same later on.

    Args:
        text: as somebody has written it.
        found: what it says now.

    """

    def moment(match: re.Match[str]) -> str:
        at = found.after if match[1] == "after" else found.before

        try:
            datetime.fromisoformat(match[2])
        except ValueError:
            return match[0] if at is None else f"{match[1]}:{at.isoformat()}"

        return match[0]

    return _MOMENT.sub(moment, text)


def stated(text: str, state: str) -> str:
    """The text of a filter, for this state alone if it names none.

    Example:
        >>> stated("tag:vip", "failed"), stated("tag:vip", "")
        ('tag:vip state:failed', 'tag:vip')

    """
    return f"{text} state:{state}" if state in list(JobStatus) and not Filter.parse(text).states else text
