"""Line plots: score against the strength of a shift, and validation loss against epochs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from dcpc.report import figure_to_svg
from dcpc.report.figures import PALETTE
from dcpc_bench.report.content import Content
from dcpc_bench.report.families import Family, strength_of
from dcpc_bench.report.figures import GREY
from dcpc_bench.report.metrics import Metric
from dcpc_bench.report.results import Column
from dcpc_bench.report.scores import Scores
from dcpc_bench.statistics.significance import Comparison, compare_over_seeds

MOST_SHOWN = 6
"""Methods in colour; the rest is grey."""
MARKERS = "os^DvPX*"


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
    """A metric against the strength of a shift on one data set; None for a family without strengths.

    The zero-conflict control, where the store has it, is strength 0.
    """
    columns = [c for c in family.columns if c.dataset == dataset and strength_of(c.condition) is not None]
    if not columns:
        return None
    control = [c for c in content.results.columns if c == Column(dataset, "clean")]
    order = control + sorted(columns, key=lambda c: strength_of(c.condition) or 0.0)
    strengths = [strength_of(c.condition) or 0.0 for c in order]
    shown = shown_methods(content, family, metric)
    every = {m: [interval_of(content.scores, metric, c, m) for c in order] for m in content.results.methods}
    lowest, highest = _picture([f.difference for own in every.values() for f in own if f is not None])

    def line(axes: Axes, method: str, style: dict[str, Any]) -> list[str]:
        found = every[method]
        there = [(100 * x, f) for x, f in zip(strengths, found, strict=True) if f is not None]
        if not there:
            return []
        x, y, low, high = np.array([(x, f.difference, f.low, f.high) for x, f in there]).T
        bars = np.clip([low, high], lowest, highest)
        scaled = metric.factor * np.stack([y, *bars])  # [3, strengths]
        axes.plot(x, scaled[0], **style)
        if method in shown:
            shift = (shown.index(method) - len(shown) / 2) * 0.5  # apart, so that intervals stay readable
            axes.vlines(x + shift, scaled[1], scaled[2], color=str(style["color"]), linewidth=1)
        return [f"{method} {metric.show(f.difference)} at {x:g} %" for x, f in there]

    return _lines(
        content,
        shown,
        line,
        "share of training labels that differ, %",
        metric.title,
        f"{dataset}, {family.name}",
    )


def _picture(means: list[float]) -> tuple[float, float]:
    """How far bars are drawn: the intervals of two seeds are so long that lines beside them would be flat."""
    if not means:
        return 0.0, 1.0
    low, high = min(means), max(means)
    beyond = 0.35 * max(high - low, 0.02 * abs(high))
    return max(low - beyond, 0.0), high + beyond


def learning_plot(content: Content, column: Column, metric: Metric) -> Markup | None:
    """Validation loss against epochs on one column, mean over seeds; None where no cell has a history."""
    family = next(f for f in content.families if column in f.columns)
    shown = shown_methods(content, family, metric)

    def line(axes: Axes, method: str, style: dict[str, Any]) -> list[str]:
        losses: dict[float, list[float]] = {}
        for cell in content.results.of(column, method).values():
            for epoch, loss in cell.history:
                losses.setdefault(epoch, []).append(loss)
        if not losses:
            return []
        epochs = sorted(losses)
        means = [float(np.mean(losses[e])) for e in epochs]
        axes.plot(epochs, means, **style)
        return [f"{method} from {means[0]:.3f} to {means[-1]:.3f}"]

    return _lines(
        content,
        shown,
        line,
        "epoch",
        "validation loss, nats",
        f"{column.dataset}, {column.condition}",
        whole=True,
    )


def _lines(
    content: Content,
    shown: Sequence[str],
    line: Callable[[Axes, str, dict[str, Any]], list[str]],
    xlabel: str,
    ylabel: str,
    title: str,
    *,
    whole: bool = False,
) -> Markup | None:
    figure = Figure(figsize=(4.6, 3.4), layout="constrained")
    axes = figure.add_subplot()
    said = []
    # The reference has the colour that it has in the other figures.
    colours = (PALETTE[1], PALETTE[0], *PALETTE[2:])
    grey = [m for m in content.results.methods if m not in shown]
    for method in grey:
        line(axes, method, {"color": GREY, "linewidth": 0.6, "alpha": 0.6})
    for i, method in enumerate(shown):
        style = {
            "color": colours[i],
            "marker": MARKERS[i],
            "markersize": 4,
            "linewidth": 2.2 if method == content.reference else 1.4,
            "label": method,
        }
        said += line(axes, method, style)
    if not said:
        return None
    axes.set_title(title, fontsize=9, loc="left")
    if whole:  # no half epochs
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel(xlabel)
    axes.set_ylabel(ylabel)
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside lower center", ncols=2, frameon=False, fontsize=8)
    rest = f"; {len(grey)} other methods in grey" if grey else ""
    return figure_to_svg(figure, f"{ylabel} on {title}: {', '.join(said)}{rest}.")
