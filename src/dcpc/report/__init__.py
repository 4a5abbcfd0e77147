"""Self-contained HTML pages with plots: no network, readable on a phone and on paper."""

from dcpc.report.figures import figure_to_svg, plain
from dcpc.report.page import render_page

__all__ = ["figure_to_svg", "plain", "render_page"]
