"""The inspection as a page."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Hashable
from importlib.resources import files
from typing import Any

import numpy as np
from markupsafe import Markup

from dcpc.inspection import figures, wording
from dcpc.inspection.annotators import AnnotatorBias
from dcpc.inspection.summary import Inspection
from dcpc.report import render_page

MOST_ANNOTATORS = 15
MOST_CONFUSIONS = 6
MOST_CONFUSION_LABELS = 12
MOST_CONFLICTS = 30
MOST_DIFFERING = 10


def inspection_page(inspection: Inspection) -> str:
    """The HTML page of an inspection, self-contained.

    Its one script is named by its hash in the page's content security policy, so that no text from the data could
    run, were it ever taken for markup.
    """
    conflicts = _conflicts(inspection)
    script = files("dcpc.report").joinpath("explorer.js").read_text(encoding="utf-8")
    return render_page(
        "inspect",
        result=inspection,
        name=_short_name(inspection.source),
        ordinal=inspection.scale == "ordinal",
        plots=_plots(inspection),
        confusions=_confusions(inspection),
        busiest_tied=_busiest_tied(inspection.bias),
        bias=striking(inspection.bias)[:MOST_ANNOTATORS],
        clear_bias=sum(
            abs(b.z) > wording.bonferroni_z(len(inspection.bias) * len(inspection.labels))
            for b in inspection.bias
        ),
        verdict=wording.verdict(inspection.decomposition),
        alpha_reading=wording.read_alpha(inspection.agreement, inspection.overlap),
        votes=wording.preference_sentences(inspection.preferences) if inspection.preferences else [],
        group_sample=wording.sample_of_groups(inspection.groups),
        differing=_differing(inspection),
        divided=inspection.divided.to_dict(orient="records"),
        scale_reason=_with_code(inspection.scale_reason),
        conflicts=conflicts,
        shown_conflicts=len(conflicts),
        explorer=inspection.explorer,
        explorer_data=Markup(inspection.explorer.script_json()),
        script=Markup(script),
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )


def striking(bias: list[AnnotatorBias]) -> list[AnnotatorBias]:
    """Annotators whose leaning stands out the clearest from chance first."""
    return sorted(bias, key=lambda b: (-abs(b.z), b.annotator))


def _short_name(source: str) -> str:
    # The whole path would tell readers of the page about the machine, and nothing about the data.
    return "/".join(source.rstrip("/").split("/")[-2:])


def _with_code(sentence: str) -> Markup:
    """Escaped, with what stands between backticks as code."""
    parts = [
        Markup('<code class="whole">{}</code>' if i % 2 else "{}").format(p)
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
    if inspection.preferences is not None and inspection.preferences.raters:
        plots["raters"] = figures.rater_plot(inspection.preferences)
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
    """The most divided of the items on which consensus models differ."""
    rows = np.flatnonzero(inspection.consensus.differs)
    entropy = np.nan_to_num(inspection.entropy.per_item[rows])
    rows = rows[np.argsort(-entropy, kind="stable")[:MOST_DIFFERING]]
    labels = inspection.consensus.labels.iloc[rows]
    return [
        {"item_id": item, **{str(model): label for model, label in row.items()}}
        for item, row in zip(labels.index, labels.to_dict("records"), strict=True)
    ]


def _conflicts(inspection: Inspection) -> list[dict[Hashable, Any]]:
    table = inspection.conflicts
    same = table[table["kind"] == "same_item"].head(MOST_CONFLICTS // 2)
    other = table[table["kind"] != "same_item"].sort_values("similarity", ascending=False)
    return [*other.head(MOST_CONFLICTS // 2).to_dict("records"), *same.to_dict("records")]
