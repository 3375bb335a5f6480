"""Rendering: templates to HTML. Whatever a text holds, it stays a text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from aioq.values.states import JobStatus
from aioq.values.summary import printable
from aioq.web import words
from aioq.web.asked import quoted
from aioq.web.timeline import ENDS

#: Stands for a visitor's own form token in a page that is made once for several visitors.
FORM_TOKEN = "the-form-token-of-this-visitor"  # noqa: S105 - it is replaced before anything is sent


def environment() -> Environment:
    """What renders the templates."""
    made = Environment(
        loader=PackageLoader("aioq.web"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_visible,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(
        number=words.number,
        duration=words.duration,
        size=words.size,
        moment=words.moment,
        in_path=lambda text: quote(str(text), safe=""),
        quoted=quoted,
        in_names=lambda text: quote(str(text), safe="/:@+"),
    )
    made.globals.update(ago=words.ago, count=words.count, ms=words.milliseconds, states=list(JobStatus), ends=ENDS)

    return made


def _visible(value: object) -> object:
    """What a template shows of a value: of a text, escapes in the place of characters that would not be seen."""
    if not isinstance(value, str) or isinstance(value, Markup) or value.isprintable():
        return value

    return "".join(each if each in "\n\t" else printable(each) for each in value)


def rendered(templates: Environment, name: str, facts: Mapping[str, Any], *, whole: bool) -> str:
    """A page, or its main part alone.

    Args:
        templates: of `environment`.
        name: of the template, without `.html`.
        facts: what it shows.
        whole: with head and navigation.

    """
    layout = "layout/page.html" if whole else "layout/part.html"

    return templates.get_template(f"{name}.html").render(facts, layout=layout, form_token=FORM_TOKEN)
