"""Plots of one table: mean ranks with their critical difference, and the spread over seeds."""

from __future__ import annotations

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from dcpc.report import figure_to_svg
from dcpc.report.figures import PALETTE
from dcpc_bench.report.scores import Scores
from dcpc_bench.report.tables import MetricTable

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


def spread_plot(scores: Scores, table: MetricTable, reference: str) -> Markup | None:
    """Each seed's score minus the method's mean on that set, all sets together; None with single seeds."""
    deviations = {}
    for method in table.methods:
        own = [np.array(list(scores.points(table.metric, c, method).values())) for c in table.columns]
        several = [v - v.mean() for v in own if len(v) > 1]
        if several:
            deviations[method] = several
    if not deviations:
        return None
    sds = {m: float(np.sqrt(np.mean([v.var(ddof=1) for v in d]))) for m, d in deviations.items()}
    methods = sorted(sds, key=lambda m: sds[m])
    figure, axes = method_axes(methods, reference)
    factor = table.metric.factor
    for row, method in enumerate(methods):
        values = factor * np.concatenate(deviations[method])
        colour = colour_of(method, reference)
        axes.hlines(row, -factor * sds[method], factor * sds[method], color=colour, linewidth=5, alpha=0.35)
        axes.plot(values, np.full(len(values), row), "o", color=colour, markersize=2.5)
    axes.axvline(0, color=GREY, linewidth=0.6)
    axes.set_xlabel(f"{table.metric.title}: seed minus the mean over seeds")
    named = ", ".join(f"{m} {table.metric.show(sds[m])}" for m in methods)
    return figure_to_svg(figure, f"Standard deviation over seeds, {table.metric.title}: {named}.")
