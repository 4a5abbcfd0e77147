"""Plots of the page: mean ranks with their critical difference, and a metric against the strength of a shift."""

from __future__ import annotations

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from dcpc.report import figure_to_svg
from dcpc.report.figures import PALETTE
from dcpc_bench.report.content import Content
from dcpc_bench.report.metrics import Metric
from dcpc_bench.report.results import Column, Family, strength_of
from dcpc_bench.report.scores import Scores
from dcpc_bench.report.tables import MetricTable
from dcpc_bench.statistics.significance import Comparison, compare_over_seeds

MOST_SHOWN = 6
"""Methods in colour; the rest is grey."""
MARKERS = "os^DvPX*"
GREY = "#8c959f"
ROW = 0.22
"""Inches for one method."""


def method_axes(methods: list[str], reference: str) -> tuple[Figure, Axes]:
    """A figure with one row per method, the first on top; the reference's name is bold."""
    figure = Figure(figsize=(5, 0.9 + ROW * len(methods)), layout="constrained")
    axes = figure.add_subplot()
    axes.set_yticks(range(len(methods)), methods)
    axes.set_ylim(len(methods) - 0.4, -0.6)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    for label in axes.get_yticklabels():
        if label.get_text() == reference:
            label.set_fontweight("bold")
    return figure, axes


def colour_of(method: str, reference: str) -> str:
    """The reference stands out from the rest."""
    return PALETTE[1] if method == reference else PALETTE[0]


def cliques(ranks: np.ndarray, distance: float) -> list[tuple[int, int]]:
    """First and last of each largest group whose sorted mean ranks are less than `distance` apart (Demšar)."""
    found: list[tuple[int, int]] = []
    for first in range(len(ranks)):
        last = int(np.flatnonzero(ranks - ranks[first] < distance)[-1])
        if last > first and (not found or last > found[-1][1]):
            found.append((first, last))
    return found


def rank_plot(table: MetricTable, reference: str) -> Markup | None:
    """Mean ranks; bars on the right join methods that are not shown to differ. None where ranks cannot be tested."""
    if table.ranking is None:
        return None
    methods = table.ranked
    ranks = np.array([table.ranks[table.methods.index(m)] for m in methods])
    distance = table.ranking.critical_difference
    figure, axes = method_axes(methods, reference)
    for row, (method, rank) in enumerate(zip(methods, ranks, strict=True)):
        axes.hlines(row, 1, rank, color=GREY, linewidth=0.6)
        axes.plot(rank, row, "o", color=colour_of(method, reference), markersize=5)
    groups = cliques(ranks, distance)
    right = max(ranks.max(), 1 + distance)
    for i, (first, last) in enumerate(groups):
        x = right + (i + 1) * 0.03 * right
        axes.vlines(x, first - 0.25, last + 0.25, color=PALETTE[2], linewidth=2.5)
    below = len(methods) + 0.3
    axes.plot([1, 1 + distance], [below] * 2, "|-", color="#000000", linewidth=1, markersize=6)
    axes.text(1.2, below - 0.15, f"critical difference {distance:.1f}", ha="left", va="bottom", fontsize=8)
    axes.set_ylim(below + 0.6, -0.6)
    axes.set_xlim(0.8, right * (1.05 + 0.03 * len(groups)))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("mean rank, 1 is best")
    named = ", ".join(f"{m} {r:.1f}" for m, r in zip(methods, ranks, strict=True))
    joined = "; ".join(f"{methods[a]} to {methods[b]}" for a, b in groups) or "none"
    alt = (
        f"Mean ranks by {table.metric.short}: {named}. Critical difference {distance:.1f}. Groups not shown to "
        f"differ: {joined}."
    )
    return figure_to_svg(figure, alt)


def shown_methods(content: Content, family: Family, metric: Metric) -> list[str]:
    """The reference, its paper form, and the best of the others: what the plots of a family show in colour."""
    table = next((t for t in content.tables if t.family == family and t.metric == metric), None)
    ranked = table.ranked if table else []
    first = [m for m in (content.reference, f"{content.reference}-paper") if m in content.results.methods]
    return list(dict.fromkeys([*first, *ranked, *content.results.methods]))[:MOST_SHOWN]


def interval_of(scores: Scores, metric: Metric, column: Column, method: str) -> Comparison | None:
    """A method's own mean on a column with its 95 % interval, over seeds and test items."""
    cells = scores.results.of(column, method)
    known = [(seed, found) for seed, cell in cells.items() if (found := scores.of(metric, cell)) is not None]
    if not known:
        return None
    points, samples = np.array([f[0] for _, f in known]), np.stack([f[1] for _, f in known], axis=1)
    return compare_over_seeds(points, samples, scores.n_items(column, [seed for seed, _ in known]))


def shift_plot(content: Content, family: Family, dataset: str, metric: Metric) -> Markup | None:
    """A metric against the strength of a shift, or the training items, on one data set; None where neither varies.

    The zero-conflict control, where the store has it, is strength 0. The reference and the best of the others are in
    colour, the rest is grey.
    """
    columns = [c for c in family.columns if c.dataset == dataset and strength_of(c.condition) is not None]
    if not columns:
        return None
    sized = family.name.startswith("budget")
    control = [] if sized else [c for c in content.results.columns if c == Column(dataset, "clean")]
    scale = 1 if sized else 100  # items, or a share in percent
    order = control + sorted(columns, key=lambda c: strength_of(c.condition) or 0.0)
    every = {
        method: [
            (scale * (strength_of(c.condition) or 0.0), found)
            for c in order
            if (found := interval_of(content.scores, metric, c, method)) is not None
        ]
        for method in content.results.methods
    }
    means = [found.difference for own in every.values() for _, found in own]
    if not means:
        return None
    lowest, highest = _picture(means)
    shown = shown_methods(content, family, metric)
    figure = Figure(figsize=(4.6, 3.4), layout="constrained")
    axes = figure.add_subplot()
    said = []
    for method in sorted(every, key=lambda m: m in shown):  # the grey ones below
        if not every[method]:
            continue
        x, y, low, high = np.array([(x, f.difference, f.low, f.high) for x, f in every[method]]).T
        scaled = metric.factor * np.stack([y, *np.clip([low, high], lowest, highest)])  # [3, strengths]
        if method not in shown:
            axes.plot(x, scaled[0], color=GREY, linewidth=0.6, alpha=0.6)
            continue
        number = shown.index(method)
        # The reference has the colour that it has in the other figures.
        colour = (PALETTE[1], PALETTE[0], *PALETTE[2:])[number]
        width = 2.2 if method == content.reference else 1.4
        axes.plot(
            x, scaled[0], color=colour, marker=MARKERS[number], markersize=4, linewidth=width, label=method
        )
        step = number - len(shown) / 2  # beside each other, so that intervals stay readable
        axes.vlines(
            x * 1.02**step if sized else x + 0.5 * step, scaled[1], scaled[2], color=colour, linewidth=1
        )
        unit = "items" if sized else "%"
        said += [f"{method} {metric.show(f.difference)} at {x:g} {unit}" for x, f in every[method]]
    title = f"{dataset}, {family.name}"
    axes.set_title(title, fontsize=9, loc="left")
    axes.set_xlabel("training items" if sized else "share of training labels that differ, %")
    if sized:
        ticks = [strength_of(c.condition) or 0.0 for c in order]
        axes.set_xscale("log")
        axes.set_xticks(ticks, [f"{x:,.0f}" for x in ticks])
        axes.minorticks_off()
    axes.set_ylabel(metric.title)
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside lower center", ncols=2, frameon=False, fontsize=8)
    n_grey = len(set(every) - set(shown))
    rest = f"; {n_grey} other methods in grey" if n_grey else ""
    return figure_to_svg(figure, f"{metric.title} on {title}: {', '.join(said)}{rest}.")


def _picture(means: list[float]) -> tuple[float, float]:
    """How far bars are drawn: the intervals of two seeds are so long that lines beside them would be flat."""
    low, high = min(means), max(means)
    beyond = 0.35 * max(high - low, 0.02 * abs(high))
    return max(low - beyond, 0.0), high + beyond
