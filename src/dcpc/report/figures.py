"""Matplotlib figures as inline SVG that follows the page's colours and has a text alternative."""

from __future__ import annotations

import hashlib
import io
import re
import warnings
from collections.abc import Callable

import matplotlib as mpl
from markupsafe import Markup, escape
from matplotlib.figure import Figure

PALETTE = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#b58900", "#56b4e9", "#7f7f7f", "#8c564b")
"""Line and bar colours, after Okabe and Ito: for colour-blind readers, on light and dark."""

_INK = "#000000"


def figure_to_svg(figure: Figure, alt: str) -> Markup:
    """One figure as an `<svg>` element to place in a page.

    Text stays text. Black turns into the page's own text colour, so the figure reads on light, dark and
    paper; backgrounds are transparent. Make figures with `matplotlib.figure.Figure(figsize=(width, height),
    layout="constrained")`, not with pyplot, and pass text from data through `plain`. A width of 5 inches or less
    stays readable on a phone.

    Args:
        figure: the figure; it is not changed.
        alt: what a reader who cannot see it should know, one or two sentences.
    """
    buffer = io.StringIO()
    # Fixed salt and no date: the same figure gives the same bytes.
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "dcpc"}), warnings.catch_warnings():
        # Text stays text: the reader's browser has the fonts that matplotlib misses, for emoji say.
        warnings.filterwarnings("ignore", r"(?s)Glyph .* missing from font")
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    svg = re.search(r"<svg.*</svg>", buffer.getvalue(), flags=re.DOTALL)
    assert svg is not None, "matplotlib wrote no svg element"
    prefix = "f" + hashlib.sha256((alt + svg[0]).encode()).hexdigest()[:10]
    return Markup(_label(_unique_ids(_page_colours(svg[0]), prefix), prefix, alt))


def plain(text: str) -> str:
    """Text from data as matplotlib shows it unchanged: what stands between dollar signs is no formula."""
    return text.replace("$", r"\$")


def _in_tags(svg: str, change: Callable[[str], str]) -> str:
    """Change what stands inside tags only: text between them is somebody's data, whatever it looks like."""
    return re.sub(r"<[^>]*>", lambda tag: change(tag[0]), svg)


def _page_colours(svg: str) -> str:
    svg = re.sub(r"<metadata>.*?</metadata>\s*", "", svg, count=1, flags=re.DOTALL)

    def change(tag: str) -> str:
        return re.sub(r"font: ([^;\"]*?)'[^;\"]*", r"font: \1sans-serif", tag).replace(_INK, "currentColor")

    return _in_tags(svg, change)


def _unique_ids(svg: str, prefix: str) -> str:
    # Several figures share one page, and matplotlib calls each of them figure_1.
    def change(tag: str) -> str:
        tag = re.sub(r'\bid="', f'id="{prefix}-', tag)
        tag = re.sub(r'href="#', f'href="#{prefix}-', tag)
        return tag.replace("url(#", f"url(#{prefix}-")

    return _in_tags(svg, change)


def _label(svg: str, prefix: str, alt: str) -> str:
    view_box = re.search(r'viewBox="[^"]*"', svg)
    width = re.search(r'width="([\d.]+)pt"', svg)
    assert view_box is not None, "matplotlib wrote no viewBox"
    assert width is not None, "matplotlib wrote no width"
    opening = (
        f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" {view_box[0]} '
        f'style="max-width:{width[1]}pt" role="img" aria-labelledby="{prefix}-alt">'
        f'<title id="{prefix}-alt">{escape(alt)}</title>'
    )
    return opening + svg[svg.index(">") + 1 :]
