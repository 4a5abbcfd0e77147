"""Plots of what methods cost, and of where their searches ended."""

from __future__ import annotations

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from dcpc.report import figure_to_svg
from dcpc.report.figures import PALETTE
from dcpc_bench.report.content import Content
from dcpc_bench.report.figures import GREY, colour_of, method_axes
from dcpc_bench.report.tables import MetricTable

COSTS = (
    ("parameters", "trainable parameters"),
    ("seconds", "seconds per cell"),
    ("memory_mib", "memory, MiB"),
)


def cost_plots(content: Content, table: MetricTable) -> list[Markup]:
    """Mean over sets against the median of each cost on the device that most cells ran on.

    Methods are numbered by their rank in the table.
    """
    return [plot for name, title in COSTS if (plot := _plot(content, table, name, title)) is not None]


def _plot(content: Content, table: MetricTable, cost: str, title: str) -> Markup | None:
    points = []
    for number, method in enumerate(table.ranked, start=1):
        cells = [
            c
            for c in content.results.cells
            if c.method == method and c.column in table.complete and c.device == content.results.device
        ]
        value = float(np.nanmedian([getattr(c, cost) for c in cells])) if cells else float("nan")
        if np.isfinite(value) and value > 0:
            mean = table.metric.factor * table.overall[table.methods.index(method)]
            points.append((number, method, value, mean))
    if not points:
        return None
    figure = Figure(figsize=(4.6, 3.2), layout="constrained")
    axes = figure.add_subplot()
    for number, method, value, mean in points:
        axes.plot(value, mean, "o", color=colour_of(method, content.reference), markersize=11, alpha=0.35)
        axes.text(value, mean, str(number), ha="center", va="center", fontsize=7)
    axes.set_xscale("log")
    axes.margins(0.12)
    _widen(axes, [value for *_, value, _ in points])
    low, high = axes.get_xlim()
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 40 * low else (1,)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,.0f}" if x >= 1 else f"{x:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel(title)
    axes.set_ylabel(f"{table.metric.title}, mean")
    axes.spines[["top", "right"]].set_visible(False)
    named = ", ".join(f"{number} {method}: {value:,.0f}" for number, method, value, _ in points)
    return figure_to_svg(figure, f"{table.metric.title} against {title}. {named}.")


def _widen(axes: Axes, values: list[float]) -> None:
    # Costs that hardly differ should look so, and the axis should show two ticks at least.
    middle = float(np.sqrt(min(values) * max(values)))
    low, high = axes.get_xlim()
    axes.set_xlim(min(low, middle / 2.4), max(high, middle * 2.4))


def edge_plot(content: Content) -> Markup | None:
    """How many searches of each method ended inside, and on the edge of, the grid; None without searches."""
    counts = {}
    for method in content.results.methods:
        own = [bool(s.on_edge) for s in content.results.selections if s.method == method]
        if own:
            counts[method] = (own.count(False), own.count(True))
    if not counts:
        return None
    figure, axes = method_axes(list(counts), content.reference)
    inside, on_edge = np.array(list(counts.values())).T
    axes.barh(range(len(counts)), inside, color=PALETTE[0], label="inside")
    axes.barh(
        range(len(counts)),
        on_edge,
        left=inside,
        color=PALETTE[1],
        hatch="////",
        edgecolor=GREY,
        label="on the edge",
    )
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("searches")
    figure.legend(loc="outside lower center", ncols=2, frameon=False, fontsize=8)
    named = ", ".join(f"{m} {edge} of {ins + edge}" for m, (ins, edge) in counts.items())
    return figure_to_svg(figure, f"Searches whose optimum lies on the edge of the grid: {named}.")
