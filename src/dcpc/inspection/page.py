"""The inspection as a page."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import numpy as np
from markupsafe import Markup

from dcpc.inspection import figures
from dcpc.inspection.bias import AnnotatorBias
from dcpc.inspection.decomposition import Decomposition
from dcpc.inspection.summary import Inspection
from dcpc.report import render_page
from dcpc.report.page import format_percent

MOST_ANNOTATORS = 15
MOST_CONFUSIONS = 6
MOST_CONFUSION_LABELS = 12
MOST_CONFLICTS = 30


def inspection_page(inspection: Inspection) -> str:
    """The HTML page of an inspection, self-contained."""
    ordinal = inspection.scale == "ordinal"
    conflicts = _conflicts(inspection)
    return render_page(
        "inspect",
        result=inspection,
        name=_short_name(inspection.source),
        ordinal=ordinal,
        plots=_plots(inspection),
        confusions=_confusions(inspection),
        busiest_tied=_busiest_tied(inspection.bias),
        bias=striking(inspection.bias)[:MOST_ANNOTATORS],
        clear_bias=sum(
            abs(b.z) > bonferroni_z(len(inspection.bias) * len(inspection.labels)) for b in inspection.bias
        ),
        verdict=verdict(inspection.decomposition),
        alpha_reading=read_alpha(inspection.agreement.alpha),
        differing=_differing(inspection),
        divided=inspection.divided.to_dict(orient="records"),
        scale_reason=_with_code(inspection.scale_reason),
        conflicts=conflicts,
        shown_conflicts=len(conflicts),
    )


def striking(bias: list[AnnotatorBias]) -> list[AnnotatorBias]:
    """Annotators whose leaning stands out the clearest from chance first."""
    return sorted(bias, key=lambda b: (-abs(b.z), b.annotator))


def bonferroni_z(tests: int) -> float:
    """The z beyond which the largest of `tests` leanings is surprising at 5 %, two-sided."""
    from scipy.stats import norm

    return float(norm.ppf(1 - 0.025 / max(tests, 1)))


def read_alpha(alpha: float | None) -> str:
    """Alpha in words, by Krippendorff's customary bounds .667 and .800."""
    if alpha is None:
        return "cannot be computed: no item has two judgements, or only one label was used"
    if alpha >= 0.8:
        return "at or above .800, the customary bound for reliable labels"
    if alpha >= 0.667:
        return "between .667 and .800: usable for tentative conclusions by the usual convention"
    if alpha > 0.05:
        return "below .667: by the usual convention a vote over these labels is not a reliable target"
    if alpha < -0.2:
        return "far below what chance would give: annotators contradict each other; look for a reversed scale"
    return "about what chance would give"


def verdict(decomposition: Decomposition) -> str:
    """One sentence: how much of the disagreement is preference."""
    share, chance = decomposition.preference, decomposition.chance
    if share is None or chance is None:
        return f"It cannot be told how much is preference: {decomposition.reason}."
    if share <= chance:
        return (
            f"No preference shows: the annotators' own leanings explain {format_percent(share)} of the differences "
            f"inside items, no more than shuffled labels do ({format_percent(chance, 1)})."
        )
    return (
        f"About {format_percent(share)} of the differences inside items (95 % interval "
        f"{format_percent(decomposition.low)} to {format_percent(decomposition.high)}) come back with the annotator: "
        f"preference. The other {format_percent(1 - share)} do not, and count as noise here."
    )


def _short_name(source: str) -> str:
    # The whole path would tell readers of the page about the machine, and nothing about the data.
    return "/".join(source.rstrip("/").split("/")[-2:])


def _with_code(sentence: str) -> Markup:
    """Escaped, with what stands between backticks as code."""
    parts = [
        Markup('<code style="white-space: nowrap">{}</code>' if i % 2 else "{}").format(p)
        for i, p in enumerate(sentence.split("`"))
    ]
    return Markup("").join(parts)


def _plots(inspection: Inspection) -> dict[str, Markup]:
    overlap = inspection.overlap
    plots = {
        "labels": figures.label_plot(overlap.label_counts),
        "per_item": figures.spread_plot(overlap.labels_per_item, each="item", what="judgements"),
    }
    if overlap.items_per_annotator is not None:
        plots["per_annotator"] = figures.spread_plot(
            overlap.items_per_annotator, each="annotator", what="items"
        )
    if inspection.entropy.mean is not None:
        plots["entropy"] = figures.entropy_plot(inspection.entropy)
    if inspection.bias:
        plots["bias"] = figures.bias_plot(inspection.bias, ordinal=inspection.scale == "ordinal")
    return plots


def _confusions(inspection: Inspection) -> list[Markup]:
    if len(inspection.labels) > MOST_CONFUSION_LABELS:
        return []
    busiest = sorted(inspection.bias, key=lambda b: (-b.judgements, -abs(b.z), b.annotator))
    shown = [b for b in busiest[:MOST_CONFUSIONS] if b.confusion is not None]
    return [
        figures.confusion_plot(b.confusion, inspection.labels, annotator=b.annotator)
        for b in shown
        if b.confusion is not None and np.sum(b.confusion) > 0
    ]


def _busiest_tied(bias: list[AnnotatorBias]) -> bool:
    """Whether the number of judgements alone does not tell whose confusion is shown."""
    judgements = sorted((b.judgements for b in bias), reverse=True)
    return (
        len(judgements) > MOST_CONFUSIONS and judgements[MOST_CONFUSIONS - 1] == judgements[MOST_CONFUSIONS]
    )


def _differing(inspection: Inspection) -> list[dict[str, Any]]:
    labels = inspection.consensus.labels
    rows = labels[labels.nunique(axis=1) > 1]
    entropy = dict(zip(inspection.item_ids, inspection.entropy.per_item, strict=True))
    ranked = sorted(rows.index, key=lambda item: -np.nan_to_num(entropy[str(item)]))[:10]
    return [{"item_id": item, **rows.loc[item].to_dict()} for item in ranked]


def _conflicts(inspection: Inspection) -> list[dict[Hashable, Any]]:
    table = inspection.conflicts
    same = table[table["kind"] == "same_item"].head(MOST_CONFLICTS // 2)
    other = table[table["kind"] != "same_item"].sort_values("similarity", ascending=False)
    return [*other.head(MOST_CONFLICTS // 2).to_dict("records"), *same.to_dict("records")]
