"""Pages are whole, escaped, and need nothing from outside."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import jinja2
import numpy as np
import pytest
from matplotlib.figure import Figure

from dcpc.report import figure_to_svg, page, render_page


def bars(heights: list[float]) -> Figure:
    figure = Figure(figsize=(4, 2), layout="constrained")
    axes = figure.add_subplot()
    axes.bar(np.arange(len(heights)), heights)
    axes.set_xlabel("labels <per> item")
    return figure


def test_a_figure_is_well_formed_svg_with_its_text_alternative() -> None:
    svg = figure_to_svg(bars([1, 2, 3]), alt='Three bars & a "quote"')
    root = ElementTree.fromstring(str(svg))
    title = root[0]
    assert title.tag.endswith("title")
    assert title.text == 'Three bars & a "quote"'
    assert root.attrib["role"] == "img"
    assert root.attrib["aria-labelledby"] == title.attrib["id"]


def test_two_figures_of_one_page_share_no_ids() -> None:
    ids = [re.findall(r'\bid="([^"]+)"', figure_to_svg(bars(h), alt="a")) for h in ([1, 2], [2, 1])]
    assert ids[0]
    assert not set(ids[0]) & set(ids[1])
    for figure_ids in ids:
        assert len(set(figure_ids)) == len(figure_ids)


def test_references_inside_a_figure_point_to_its_own_ids() -> None:
    svg = figure_to_svg(bars([1, 2]), alt="a")
    ids = set(re.findall(r'\bid="([^"]+)"', svg))
    references = set(re.findall(r'href="#([^"]+)"', svg)) | set(re.findall(r"url\(#([^)]+)\)", svg))
    assert references
    assert references <= ids


def test_the_same_figure_gives_the_same_bytes() -> None:
    assert figure_to_svg(bars([1, 2]), alt="a") == figure_to_svg(bars([1, 2]), alt="a")


def test_figures_take_the_colour_of_the_page() -> None:
    svg = figure_to_svg(bars([1, 2]), alt="a")
    assert "currentColor" in svg
    assert "#000000" not in svg


@pytest.fixture
def with_template(monkeypatch: pytest.MonkeyPatch):
    """Render a template given as text, on the real base template and macros."""

    def render(text: str, **context: object) -> str:
        environment = page._environment("dcpc.report").overlay()
        environment.loader = jinja2.ChoiceLoader(
            [jinja2.DictLoader({"x.html.jinja": text}), jinja2.PackageLoader("dcpc.report", "templates")]
        )
        monkeypatch.setattr(page, "_environment", lambda package: environment)
        return render_page("x", **context)

    return render


PAGE = (
    '{% extends "base.html.jinja" %}{% import "macros.html.jinja" as m %}'
    "{% block title %}{{ name }}{% endblock %}{% block content %}"
    "{{ m.figure(svg, 'seen') }}{{ m.table(['a', 'b'], [[name, 1]], numeric=[1]) }}{% endblock %}"
)


def test_a_page_escapes_what_it_is_given_but_keeps_figures(with_template) -> None:
    html = with_template(PAGE, name="<script>alert(1)</script>", svg=figure_to_svg(bars([1]), alt="one bar"))
    assert "<script" not in html
    assert "&lt;script&gt;" in html
    assert "one bar</title>" in html


def test_a_page_loads_nothing_from_outside(with_template) -> None:
    html = with_template(PAGE, name="x", svg=figure_to_svg(bars([1]), alt="one bar"))
    without_namespaces = re.sub(r'xmlns(:\w+)?="[^"]*"', "", html)
    assert not re.search(r"https?://|<link|<script|@import|src=", without_namespaces)


def test_a_missing_value_is_an_error_not_an_empty_cell(with_template) -> None:
    with pytest.raises(jinja2.UndefinedError):
        with_template(PAGE, name="x")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (page.format_number(0.41666), "0.417"),
        (page.format_number(-1.5, 1), "−1.5"),
        (page.format_number(float("nan")), "–"),
        (page.format_number(None), "–"),
        (page.format_number(-0.0004), "0.000"),
        (page.format_percent(0.426), "43 %"),
        (page.format_percent(None), "–"),
        (page.format_percent(-0.001), "0 %"),
        (page.format_percent(-0.1), "−10 %"),
        (page.format_breakable("a_b/<c>"), "a_<wbr>b/<wbr>&lt;c&gt;"),
        (page.format_count(26889), "26,889"),
        (page.format_count(None), "–"),
    ],
)
def test_numbers_read_well(text: str, expected: str) -> None:
    assert text == expected
