"""Jinja templates to self-contained HTML pages."""

from __future__ import annotations

import math
import re
from functools import cache
from typing import Any

import jinja2
from markupsafe import Markup, escape

import dcpc


def render_page(template: str, *, package: str = "dcpc.report", **context: Any) -> str:
    """Render a template to one HTML page that needs no other file and no network.

    Templates extend `base.html.jinja` (blocks `title`, `lead`, `content`), which carries the style sheet for
    light, dark, phone and print; `macros.html.jinja` has tables, figures and key figures. Everything is
    escaped unless it is `markupsafe.Markup`. Filters: `number(digits=3)`, `percent(digits=0)`, `count`,
    `breakable`.

    Args:
        template: the file name, with or without `.html.jinja`.
        package: whose folder `templates` holds it.
        context: what the template needs; a missing name raises `jinja2.UndefinedError`.
    """
    name = template if template.endswith(".jinja") else f"{template}.html.jinja"
    return _environment(package).get_template(name).render(version=dcpc.__version__, **context)


@cache
def _environment(package: str) -> jinja2.Environment:
    folders = [jinja2.PackageLoader(name, "templates") for name in dict.fromkeys((package, "dcpc.report"))]
    environment = jinja2.Environment(
        loader=jinja2.ChoiceLoader(folders),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        number=format_number, percent=format_percent, count=format_count, breakable=format_breakable
    )
    return environment


def format_number(value: float | None, digits: int = 3) -> str:
    """`0.417`; a dash where there is no value (None or NaN)."""
    if value is None or not math.isfinite(value):
        return "–"
    return _minus(f"{value:.{digits}f}")


def format_percent(value: float | None, digits: int = 0) -> str:
    """`42 %` from the share 0.42; a dash where there is no value (None or NaN)."""
    if value is None or not math.isfinite(value):
        return "–"
    return f"{_minus(f'{100 * value:.{digits}f}')} %"


def format_count(value: float | None) -> str:
    """`26,889`; a dash where there is no value (None or NaN)."""
    if value is None or not math.isfinite(value):
        return "–"
    return f"{value:,.0f}"


def format_breakable(name: str) -> Markup:
    """A path or identifier that a narrow page may break behind `/`, `_`, `.` and `-`, not inside a word."""
    return Markup("").join(
        part + Markup("<wbr>") if part in "/_.-" else escape(part)
        for part in re.split(r"([/_.-])", name)
        if part
    )


def _minus(text: str) -> str:
    # What rounds to nothing has no sign.
    return text.replace("-", "−" if text.strip("-0.") else "")
