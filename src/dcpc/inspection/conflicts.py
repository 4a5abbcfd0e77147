"""Conflict pairs inside one item: two annotators, two labels, and whether their habits explain the difference."""

from __future__ import annotations

import numpy as np
import pandas as pd

from dcpc.data.annotations import Annotations
from dcpc.data.pairs.preference import preference_evidence, preference_posterior
from dcpc.inspection.affinity import once_per_item
from dcpc.inspection.distance import judgements_of_known_annotators

COLUMNS = [
    *("item_a", "item_b", "similarity", "label_a", "label_b", "annotator_a", "annotator_b", "kind"),
    "preference_posterior",
]


def same_item_conflicts(annotations: Annotations, *, prior: float = 0.5, most: int = 200) -> pd.DataFrame:
    """The pairs of different labels on one item that annotators' habits explain best, at most one per item.

    Of an item's judgements those two of different labels are taken that their annotators' habits make most probable
    against the pool's (`preference_evidence`). Columns as `dcpc.data.pairs.mine_pairs` gives them, kind `same_item`,
    similarity 1, and the same `preference_posterior` for another prior.

    Args:
        annotations: the judgements.
        prior: probability that a difference is preference, before looking at who differs.
        most: rows returned, highest posterior first.
    """
    data = judgements_of_known_annotators(annotations)
    if not data.n_judgements:
        return pd.DataFrame(columns=COLUMNS)
    data = once_per_item(data)
    first, second = _best_pairs(data.item_codes, data.label_codes, preference_evidence(data))
    posterior = preference_posterior(data, first, second)
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
            "preference_posterior": with_prior(posterior, prior),
        }
    )
    return pairs.sort_values("preference_posterior", ascending=False, kind="stable").head(most)


def with_prior(posterior: np.ndarray, prior: float) -> np.ndarray:
    """A posterior [P] that was computed with the prior 1/2, for another prior (kept within 0.01 and 0.99)."""
    prior = float(np.clip(prior, 0.01, 0.99))
    return posterior * prior / (posterior * prior + (1 - posterior) * (1 - prior))


def _best_pairs(items: np.ndarray, labels: np.ndarray, evidence: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Per item the two judgements of different labels with the largest summed evidence; positions in J."""
    order = np.lexsort((-evidence, items))
    first_of_item = np.unique(items[order], return_index=True)[1]
    best = order[first_of_item]  # the best judgement of each item, [I]
    differs = labels[order] != labels[best][items[order]]
    rest = order[differs]
    with_rest, where = np.unique(items[rest], return_index=True)
    return best[with_rest], rest[where]
