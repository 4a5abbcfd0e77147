"""One label per item by several consensus models, and where they differ."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass

import numpy as np
import pandas as pd

from dcpc.data.annotations import Annotations
from dcpc.evaluation.majority import majority_labels

MOST_JUDGEMENTS = {"Dawid-Skene": 2_000_000, "MACE": 40_000, "GLAD": 4_000}
"""Above this, a model sees a random part of the items: crowd-kit's MACE and GLAD take minutes on more."""

MOST_CLASSES = {"Dawid-Skene": 100, "MACE": 10, "GLAD": 10}
"""Above this a model is left out: its time grows with judgements times classes, or worse."""


@dataclass(frozen=True)
class Consensus:
    """The label of each item by each model.

    Attributes:
        labels: one row per item (index: item id), a column per model; None where tied or not computed.
        agreement: for each pair of models the share of items with the same label, items that both labelled.
        differ: items where at least two models disagree.
        ties: items whose majority is tied.
        notes: what was left out or sampled, one sentence each.
    """

    labels: pd.DataFrame
    agreement: pd.DataFrame
    differ: int
    ties: int
    notes: tuple[str, ...]


def measure_consensus(annotations: Annotations, *, seed: int = 0) -> Consensus:
    """Majority vote, Dawid-Skene (1979), GLAD (Whitehill et al. 2009) and MACE (Hovy et al. 2013).

    All but the vote come from crowd-kit (`pip install 'dcpc[crowd]'`) and need annotators who share items.
    """
    majority = majority_label(annotations)
    columns = {"Majority": majority}
    notes: list[str] = []
    known = annotations.annotator_codes >= 0
    if importlib.util.find_spec("crowdkit") is None:
        notes.append("Dawid-Skene, GLAD and MACE need crowd-kit: pip install 'dcpc[crowd]'.")
    elif not known.any():
        notes.append("Dawid-Skene, GLAD and MACE need annotator ids.")
    elif annotations.counts.sum(axis=1).max() < 2:
        notes.append("Dawid-Skene, GLAD and MACE need items with several labels.")
    else:
        for model in MOST_JUDGEMENTS:
            fitted = _fit(model, annotations.where(known), notes, seed)
            if fitted is not None:
                columns[model] = fitted.reindex(annotations.item_ids)
    table = pd.DataFrame(columns, index=annotations.item_ids).astype(object)
    table = table.where(table.notna(), None)
    return Consensus(
        labels=table,
        agreement=_agreement(table),
        differ=int((table.nunique(axis=1) > 1).sum()),
        ties=int(majority.isna().sum()),
        notes=tuple(notes),
    )


def majority_label(annotations: Annotations) -> pd.Series:
    """The most frequent label of each item, None where tied; index: item id, [I]."""
    labels = np.array([*annotations.labels, None], dtype=object)  # None is at −1, the code of a tie
    return pd.Series(labels[majority_labels(annotations.counts)], index=annotations.item_ids, dtype=object)


def _fit(model: str, annotations: Annotations, notes: list[str], seed: int) -> pd.Series | None:
    from crowdkit.aggregation import GLAD, MACE, DawidSkene

    if annotations.n_classes > MOST_CLASSES[model]:
        notes.append(f"{model} was left out: {annotations.n_classes} labels would take too long.")
        return None
    limit = MOST_JUDGEMENTS[model]
    if annotations.n_judgements > limit:
        share = limit / annotations.n_judgements
        rng = np.random.default_rng(seed)
        keep = rng.permutation(annotations.n_items)[: max(1, int(share * annotations.n_items))]
        annotations = annotations.where(np.isin(annotations.item_codes, keep))
        notes.append(f"{model} saw a random {100 * share:.0f} % of the items, to bound its time.")
    models = {
        "Dawid-Skene": lambda: DawidSkene(n_iter=50),
        "MACE": lambda: MACE(n_restarts=2, n_iter=20, random_state=seed),
        "GLAD": lambda: GLAD(n_iter=10, m_step_max_iter=10),
    }
    names = {"item_id": "task", "annotator_id": "worker"}
    return models[model]().fit_predict(annotations.table.rename(columns=names)[["task", "worker", "label"]])


def _agreement(table: pd.DataFrame) -> pd.DataFrame:
    values = {}
    for first in table:
        row = {}
        for second in table:
            both = table[first].notna() & table[second].notna()
            row[second] = float((table[first] == table[second])[both].mean()) if both.any() else float("nan")
        values[first] = row
    return pd.DataFrame(values).T
