"""The plots of the demo's page."""

from __future__ import annotations

import numpy as np
import pandas as pd
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dcpc.report import figure_to_svg
from dcpc_bench.demo.annotators import GROUPS
from dcpc_bench.demo.results import Results

_COLOURS = dict(zip(GROUPS, ("#009e73", "#7f7f7f", "#d55e00"), strict=True))
_MARKERS = dict(zip(GROUPS, ("o", "s", "^"), strict=True))


def accuracy_figure(results: Results) -> Markup:
    """Accuracy of each method: every seed a dot, the mean a bar, its 95 % interval a line."""
    figure = Figure(figsize=(5, 2.4), layout="constrained")
    axes = figure.subplots()
    for row, own in enumerate(results.summary.to_dict("records")):
        seeds = results.runs.loc[results.runs["method"] == own["method"], "accuracy"]
        axes.hlines(row, 100 * own["low"], 100 * own["high"], color="#0072b2", linewidth=2)
        axes.plot(100 * own["accuracy"], row, "|", color="#0072b2", markersize=18, markeredgewidth=3)
        offsets = 0.22 + 0.08 * np.arange(len(seeds))  # apart, so that equal seeds stay visible
        axes.plot(100 * seeds, row - offsets, "o", color="#d55e00", markersize=5)
    axes.set_yticks(range(len(results.summary)), results.summary["method"])
    axes.set_ylim(len(results.summary) - 0.6, -0.6)
    axes.set_xlabel("accuracy on clean test labels, %")
    _plain(axes)
    means = ", ".join(
        f"{own['method']} {100 * own['accuracy']:.1f} %" for own in results.summary.to_dict("records")
    )
    return figure_to_svg(figure, f"Mean accuracy on clean test labels: {means}.")


def threshold_figure(annotators: pd.DataFrame) -> Markup:
    """Where each annotator draws the line, against the share of positive labels that they gave."""
    figure = Figure(figsize=(4.2, 3.4), layout="constrained")
    axes = figure.subplots()
    for group, own in annotators.groupby("group", sort=False):
        axes.plot(
            own["threshold"],
            100 * own["positive_rate"],
            _MARKERS[str(group)],
            color=_COLOURS[str(group)],
            label=group,
        )
    axes.axvline(0, color="#7f7f7f", linewidth=0.8, linestyle=":")
    axes.set_xlabel("threshold between negative and positive")
    axes.set_ylabel("positive labels given, %")
    axes.legend(frameon=False)
    _plain(axes)
    rates = annotators.groupby("group")["positive_rate"].mean()
    alt = ", ".join(f"{group} {100 * rates[group]:.0f} %" for group in GROUPS)
    return figure_to_svg(figure, f"Share of positive labels by annotator. Means of the groups: {alt}.")


def learned_figure(annotators: pd.DataFrame, learned: np.ndarray) -> Markup:
    """True against learned share of positive labels of each annotator.

    Args:
        annotators: `group` and `expected_positive_rate` of the A annotators.
        learned: what DCPC predicts of them, mean over seeds, float [A].
    """
    figure = Figure(figsize=(4.2, 3.4), layout="constrained")
    axes = figure.subplots()
    true = 100 * annotators["expected_positive_rate"].to_numpy()
    limits = (min(true.min(), 100 * learned.min()) - 4, max(true.max(), 100 * learned.max()) + 4)
    axes.plot(limits, limits, color="#7f7f7f", linewidth=0.8, linestyle=":")
    for group in GROUPS:
        of_group = (annotators["group"] == group).to_numpy()
        axes.plot(
            true[of_group],
            100 * learned[of_group],
            _MARKERS[str(group)],
            color=_COLOURS[str(group)],
            label=group,
        )
    axes.set_xlabel("true share of positive labels, %")
    axes.set_ylabel("share that DCPC predicts, %")
    axes.legend(frameon=False)
    _plain(axes)
    correlation = np.corrcoef(true, learned)[0, 1]
    return figure_to_svg(
        figure,
        "Share of positive labels that each annotator would give the test reviews, true and as DCPC predicts it; "
        f"correlation {correlation:.2f}.",
    )


def sizes_figure(annotators: pd.DataFrame) -> Markup:
    """Judgements of each annotator, negative and positive, ordered by group."""
    order = annotators.assign(rank=annotators["group"].map(list(GROUPS).index)).sort_values(
        ["rank", "annotator_id"]
    )
    figure = Figure(figsize=(5, 2.6), layout="constrained")
    axes = figure.subplots()
    positive = order["judgements"] * order["positive_rate"]
    axes.bar(order["annotator_id"], positive, color="#0072b2", label="positive")
    axes.bar(
        order["annotator_id"],
        order["judgements"] - positive,
        bottom=positive,
        color="#d55e00",
        label="negative",
    )
    sizes = order.groupby("rank").size()
    for group, end, size in zip(GROUPS, sizes.cumsum(), sizes, strict=True):
        axes.text(end - size / 2 - 0.5, 1.02, group, transform=axes.get_xaxis_transform(), ha="center")
    axes.tick_params(axis="x", labelrotation=45)
    axes.set_ylabel("judgements")
    axes.legend(frameon=False, loc="lower left", bbox_to_anchor=(1, 0))
    _plain(axes)
    return figure_to_svg(
        figure,
        f"Judgements per annotator: {order['judgements'].min()} to {order['judgements'].max()}; "
        "lenient annotators give mostly positive labels, strict ones mostly negative.",
    )


def _plain(axes: Axes) -> None:
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
