"""The plots of the inspection page."""

from __future__ import annotations

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from dcpc.inspection.agreement import Entropy, Spread
from dcpc.inspection.annotators import AnnotatorBias
from dcpc.inspection.preferences import Preferences
from dcpc.report import figure_to_svg, plain
from dcpc.report.figures import PALETTE

_MOST_LABELS = 30
_MOST_RATERS = 25
_RATER_PANELS = (("ties", "calls a tie"), ("longer", "the longer"), ("first", "the first side"))


def _axes(height: float = 2.3) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(4.6, height), layout="constrained")
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def spread_plot(spread: Spread, *, each: str, what: str) -> Markup:
    """Histogram of how many `what` each one of `each` has."""
    figure, axes = _axes()
    values = np.array(list(spread.histogram))
    counts = np.array(list(spread.histogram.values()))
    if len(values) <= 25 and spread.high - spread.low <= 40:
        axes.bar(values, counts, color=PALETTE[0], width=0.8)
        axes.set_xlim(spread.low - 1, spread.high + 1)  # whole numbers on the axis even if all values are one
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    else:
        logarithmic = spread.high > 20 * max(spread.median, 1)
        edges: list[float] | int = 25
        if logarithmic:
            edges = np.unique(np.geomspace(max(spread.low, 1), spread.high + 1, 25).round()).tolist()
            axes.set_xscale("log")
        axes.hist(values, bins=edges, weights=counts, color=PALETTE[0])
    axes.set_xlabel(f"{what} per {each}")
    axes.set_ylabel(f"{each}s")
    alt = (
        f"Histogram: {what} per {each}, from {spread.low:,} to {spread.high:,}, median {spread.median:,.0f}."
    )
    return figure_to_svg(figure, alt)


def label_plot(counts: dict[str, int]) -> Markup:
    """How often each label was given; of very many labels the most used ones."""
    shown = list(counts.items())
    if len(shown) > _MOST_LABELS:
        shown = sorted(shown, key=lambda pair: -pair[1])[:_MOST_LABELS]
    names = [plain(name if len(name) <= 22 else name[:21] + "…") for name, _ in shown]
    total = max(sum(counts.values()), 1)
    figure, axes = _axes(height=0.55 + 0.22 * max(len(shown), 4))
    axes.barh(np.arange(len(shown)), [n for _, n in shown], color=PALETTE[0])
    axes.set_yticks(np.arange(len(shown)), names)
    axes.invert_yaxis()
    axes.set_xlabel("judgements")
    parts = ", ".join(f"{name} {n / total:.0%}" for name, n in shown[:10])
    return figure_to_svg(
        figure, f"Bar chart of label use: {parts}{' and others' if len(counts) > 10 else ''}."
    )


def entropy_plot(entropy: Entropy) -> Markup:
    """Histogram of the entropy per item."""
    values = entropy.per_item[np.isfinite(entropy.per_item)]
    figure, axes = _axes()
    axes.hist(values, bins=np.linspace(0, max(entropy.highest_possible, 1e-6), 21).tolist(), color=PALETTE[0])
    axes.set_xlabel("entropy of an item's labels (bits)")
    axes.set_ylabel("items")
    alt = (
        f"Histogram of entropy per item: {entropy.unanimous:.0%} of items are unanimous (0 bits), the mean is "
        f"{entropy.mean:.2f} of at most {entropy.highest_possible:.2f} bits."
    )
    return figure_to_svg(figure, alt)


def bias_plot(bias: list[AnnotatorBias], *, ordinal: bool) -> Markup:
    """Each annotator as a point: ordinal labels leniency against extremity, others leaning against agreement."""
    figure, axes = _axes(height=3.0)
    sizes = np.clip(np.array([b.judgements for b in bias], dtype=float) / 4, 6, 60)
    if ordinal:
        kept = [(b, s) for b, s in zip(bias, sizes, strict=True) if b.extremity is not None]
        x = np.array([b.leniency for b, _ in kept], dtype=float)
        y = np.array([b.extremity for b, _ in kept], dtype=float)
        axes.scatter(x, y, s=[s for _, s in kept], alpha=0.7, color=PALETTE[0], lw=0)
        axes.axvline(0, color="#808080", lw=0.8)
        axes.axhline(1, color="#808080", lw=0.8)
        axes.set_xlabel("leniency: steps above (+) or below (−) the others")
        axes.set_ylabel("extremity: spread over the others'")
        alt = f"Scatter plot of {len(kept)} annotators by leniency and by extremity against the other annotators."
    else:
        x = np.array([b.excess for b in bias])
        y = np.array([b.agreement for b in bias])
        axes.scatter(x, y, s=sizes, alpha=0.7, color=PALETTE[0], lw=0)
        axes.set_xlabel("excess use of the most over-used label")
        axes.set_ylabel("agreement with the others")
        alt = f"Scatter plot of {len(bias)} annotators by excess use of one label and by agreement with the others."
    return figure_to_svg(figure, alt)


def confusion_plot(confusion: np.ndarray, labels: tuple[str, ...], *, annotator: str) -> Markup:
    """Heat map of what an annotator said (columns) where the others said (rows), rows as shares."""
    shares = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1e-9)
    figure = Figure(figsize=(2.6, 2.4), layout="constrained")
    axes = figure.add_subplot()
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    names = [plain(label if len(label) <= 10 else label[:9] + "…") for label in labels]
    axes.set_xticks(range(len(labels)), names, rotation=90 if max(map(len, names)) > 4 else 0)
    axes.set_yticks(range(len(labels)), names)
    axes.set_xlabel("said")
    axes.set_ylabel("others said")
    if len(labels) <= 6:
        for (row, column), share in np.ndenumerate(shares):
            colour = "#ffffff" if share > 0.55 else "#101010"
            axes.text(column, row, f"{100 * share:.0f}", ha="center", va="center", fontsize=8, color=colour)
    axes.set_title(plain(annotator if len(annotator) <= 24 else annotator[:23] + "…"), fontsize=10)
    alt = f"Confusion of {annotator}: the same label as the others in {np.trace(confusion) / confusion.sum():.0%}."
    return figure_to_svg(figure, alt)


def rater_plot(preferences: Preferences) -> Markup:
    """The raters with the most votes: how often they call a tie, choose the longer and the first, with intervals."""
    raters = preferences.raters[:_MOST_RATERS]
    figure = Figure(figsize=(7.2, 0.75 + 0.19 * max(len(raters), 4)), layout="constrained")
    panels = figure.subplots(1, 3, sharey=True)
    heights = np.arange(len(raters))
    names = [plain(r.rater if len(r.rater) <= 14 else r.rater[:13] + "…") for r in raters]
    for axes, (name, title) in zip(panels, _RATER_PANELS, strict=True):
        axes.spines[["top", "right"]].set_visible(False)
        pool = getattr(preferences, name).share
        if pool is not None:
            axes.axvline(pool, color="#808080", lw=0.8)
        for height, rater in zip(heights, raters, strict=True):
            share = getattr(rater, name)
            if share.share is not None:
                colour = PALETTE[1] if name in rater.unlike else PALETTE[0]
                axes.plot([share.low, share.high], [height, height], color=colour, lw=1.4)
                marker = "D" if name in rater.unlike else "o"
                axes.plot(share.share, height, marker, color=colour, markersize=4)
        axes.set_xlim(-0.03, 1.03)
        axes.set_xticks([0, 0.5, 1], ["0 %", "50 %", "100 %"])
        axes.set_title(title, fontsize=10)
    panels[0].set_yticks(heights, names)
    panels[0].invert_yaxis()
    alt = (
        f"Interval plot of the {len(raters)} raters with the most votes: share of ties, of votes for the longer "
        "response and of votes for the first side. The same figures are in the table of annotators."
    )
    return figure_to_svg(figure, alt)
