"""Conflict pairs inside one item: two annotators, two labels, and whether their habits explain the difference."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from dcpc.data.annotations import Annotations
from dcpc.inspection.affinity import once_per_item
from dcpc.inspection.bias import others_consensus
from dcpc.inspection.distance import judgements_of_known_annotators

_SMOOTHING = 10.0
"""Judgements of the pooled annotator that every annotator's habits start from."""

_MOST_CELLS = 20_000_000

COLUMNS = [
    *("item_a", "item_b", "similarity", "label_a", "label_b", "annotator_a", "annotator_b", "kind"),
    "preference_posterior",
]


@dataclass(frozen=True)
class Habits:
    """How probable each judgement's label was, given what the other annotators of its item said, [J] each.

    Attributes:
        own: for its annotator, from their other judgements.
        pooled: for any annotator.
    """

    own: np.ndarray
    pooled: np.ndarray


def same_item_conflicts(annotations: Annotations, *, prior: float = 0.5, most: int = 200) -> pd.DataFrame:
    """The pairs of different labels on one item that annotators' habits explain best, at most one per item.

    With H the habits of `measure_habits`, preference says P(x, y) = H_a(x) H_b(y), noise says both labels came
    from the pooled annotator; the posterior is prior · P_preference / (prior · P_preference + (1 − prior) ·
    P_noise). Columns as `dcpc.data.pairs.mine_pairs` gives them, kind `same_item`, similarity 1.

    Args:
        annotations: the judgements.
        prior: probability that a difference is preference, before looking at who differs.
        most: rows returned, highest posterior first.
    """
    data = judgements_of_known_annotators(annotations)
    if not data.n_judgements:
        return pd.DataFrame(columns=COLUMNS)
    data = once_per_item(data)
    habits = measure_habits(data)
    log_ratio = np.log(habits.own) - np.log(habits.pooled)
    first, second = _best_pairs(data.item_codes, data.label_codes, log_ratio)
    even = 1 / (1 + np.exp(-log_ratio[first] - log_ratio[second]))
    table, labels = data.table, np.asarray(data.labels, dtype=object)
    pairs = pd.DataFrame(
        {
            "item_a": table["item_id"].to_numpy()[first],
            "item_b": table["item_id"].to_numpy()[second],
            "similarity": 1.0,
            "label_a": labels[data.label_codes[first]],
            "label_b": labels[data.label_codes[second]],
            "annotator_a": table["annotator_id"].to_numpy()[first],
            "annotator_b": table["annotator_id"].to_numpy()[second],
            "kind": "same_item",
            "preference_posterior": with_prior(even, prior),
        }
    )
    return pairs.sort_values("preference_posterior", ascending=False, kind="stable").head(most)


def with_prior(posterior: np.ndarray, prior: float) -> np.ndarray:
    """A posterior [P] that was computed with the prior 1/2, for another prior (kept within 0.01 and 0.99)."""
    prior = float(np.clip(prior, 0.01, 0.99))
    return posterior * prior / (posterior * prior + (1 - posterior) * (1 - prior))


def measure_habits(annotations: Annotations) -> Habits:
    """Smoothed confusion of every annotator against the others of the same item, leaving each judgement out.

    H_a(x | i) = Σ_c p_i(c) (n_acx + s H_0(x | c)) / (n_ac + s), with p_i the label shares of the item's other
    judgements, n_acx soft counts over a's other judgements, H_0 the pooled confusion and s = 10.
    """
    others = others_consensus(annotations).astype(float)  # [J, C]
    n_classes, n_annotators = annotations.n_classes, len(annotations.annotators)
    if n_annotators * n_classes**2 > _MOST_CELLS or len(others) * n_classes > _MOST_CELLS:
        # Too many classes for a confusion matrix each: compare how often labels are used at all.
        others = np.ones((len(others), 1))
    labels, annotators = annotations.label_codes, annotations.annotator_codes
    width = others.shape[1]
    counts = np.zeros((n_annotators, n_classes, width))
    np.add.at(counts, (annotators, labels), others)  # [A, x, c]
    pooled_counts = counts.sum(axis=0)  # [x, c]
    pooled = (pooled_counts + 0.5) / (pooled_counts + 0.5).sum(axis=0)
    of_label = pooled[labels]  # [J, c]
    own_label = counts[annotators, labels] - others  # [J, c], without the judgement itself
    own_total = counts.sum(axis=1)[annotators] - others
    rows = (own_label + _SMOOTHING * of_label) / (own_total + _SMOOTHING)
    return Habits(
        own=np.maximum((others * rows).sum(axis=1), 1e-9),
        pooled=np.maximum((others * of_label).sum(axis=1), 1e-9),
    )


def _best_pairs(
    items: np.ndarray, labels: np.ndarray, log_ratio: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Per item the two judgements of different labels with the largest summed log ratio; positions in J."""
    order = np.lexsort((-log_ratio, items))
    first_of_item = np.unique(items[order], return_index=True)[1]
    best = order[first_of_item]  # the best judgement of each item, [I]
    differs = labels[order] != labels[best][items[order]]
    rest = order[differs]
    with_rest, where = np.unique(items[rest], return_index=True)
    return best[with_rest], rest[where]
