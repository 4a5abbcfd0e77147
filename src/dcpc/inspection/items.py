"""Items: one label by several consensus models, the most divided ones, and conflict pairs inside one item."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass

import numpy as np
import pandas as pd

from dcpc.data.annotations import Annotations, item_texts
from dcpc.data.pairs.preference import preference_evidence, preference_posterior
from dcpc.evaluation.majority import majority_labels
from dcpc.inspection.judgements import Judgements

MOST_JUDGEMENTS = {"Dawid-Skene": 500_000, "MACE": 40_000, "GLAD": 4_000}
"""Above this, a model sees a random part of the items: crowd-kit's models take minutes on more."""

SMALLEST_SHARE = 0.05
"""A model that could see no more than this part of the items is left out: it would say little."""

MOST_CLASSES = {"Dawid-Skene": 100, "MACE": 10, "GLAD": 10}
"""Above this a model is left out: its time grows with judgements times classes, or worse."""

MOST_DIVIDED = 30
"""Most divided items that are listed."""

MOST_CONFLICT_JUDGEMENTS = 1_000_000
"""Above this, conflict pairs are looked for on a random part of the items."""

MOST_CHARACTERS = 600
"""Characters of an item's text that are shown."""

CONFLICT_COLUMNS = [
    *("item_a", "item_b", "similarity", "label_a", "label_b", "annotator_a", "annotator_b", "kind"),
    "preference_posterior",
]


@dataclass(frozen=True)
class Consensus:
    """The label of each item by each model.

    Attributes:
        labels: one row per item (index: item id), a column per model; None where tied or not computed.
        agreement: for each pair of models the share of items with the same label, items that both labelled.
        differs: whether at least two models give an item different labels, bool [I].
        ties: items whose majority is tied.
        notes: what was left out or sampled, one sentence each.
    """

    labels: pd.DataFrame
    agreement: pd.DataFrame
    differs: np.ndarray
    ties: int
    notes: tuple[str, ...]

    @property
    def differ(self) -> int:
        """Items where at least two models disagree."""
        return int(self.differs.sum())


def measure_consensus(annotations: Annotations, *, seed: int = 0) -> Consensus:
    """Majority vote, Dawid-Skene (1979), GLAD (Whitehill et al. 2009) and MACE (Hovy et al. 2013).

    All but the vote come from crowd-kit (`pip install 'dcpc[crowd]'`) and need annotators who share items.
    """
    codes = {"Majority": majority_labels(annotations.counts)}  # −1 where tied or not computed, [I]
    notes: list[str] = []
    known = annotations.annotator_codes >= 0
    if importlib.util.find_spec("crowdkit") is None:
        notes.append("Dawid-Skene, GLAD and MACE need crowd-kit: pip install 'dcpc[crowd]'.")
    elif not known.any():
        notes.append("Dawid-Skene, GLAD and MACE need annotator ids.")
    elif annotations.counts.sum(axis=1).max() < 2:
        notes.append("Dawid-Skene, GLAD and MACE need items with several labels.")
    elif (annotations.counts.sum(axis=0) > 0).sum() < 2:
        notes.append("Dawid-Skene, GLAD and MACE need judgements of two labels.")
    else:
        for model in MOST_JUDGEMENTS:
            fitted = _fit(model, annotations, np.flatnonzero(known), notes, seed)
            if fitted is not None:
                codes[model] = fitted
    names = np.array([*annotations.labels, None], dtype=object)
    table = np.column_stack(list(codes.values()))  # [I, models]
    return Consensus(
        labels=pd.DataFrame({m: names[c] for m, c in codes.items()}, annotations.item_ids, dtype=object),
        agreement=_agreement(codes),
        differs=table.max(axis=1) > np.where(table < 0, len(annotations.labels), table).min(axis=1),
        ties=int((codes["Majority"] < 0).sum()),
        notes=tuple(notes),
    )


def _fit(
    model: str, annotations: Annotations, rows: np.ndarray, notes: list[str], seed: int
) -> np.ndarray | None:
    from crowdkit.aggregation import GLAD, MACE, DawidSkene

    if annotations.n_classes > MOST_CLASSES[model]:
        notes.append(f"{model} was left out: {annotations.n_classes} labels would take too long.")
        return None
    share = MOST_JUDGEMENTS[model] / len(rows)
    if share < SMALLEST_SHARE:
        notes.append(f"{model} was left out: {len(rows):,} judgements would take too long.")
        return None
    if share < 1:
        keep = np.random.default_rng(seed).permutation(annotations.n_items)
        keep = keep[: max(1, int(share * annotations.n_items))]
        rows = rows[np.isin(annotations.item_codes[rows], keep)]
        notes.append(f"{model} saw a random {100 * share:.0f} % of the items, to bound its time.")
    models = {
        "Dawid-Skene": lambda: DawidSkene(n_iter=50),
        "MACE": lambda: MACE(n_restarts=2, n_iter=20, random_state=seed),
        "GLAD": lambda: GLAD(n_iter=10, m_step_max_iter=10),
    }
    table = pd.DataFrame(
        {
            "task": annotations.item_codes[rows],
            "worker": annotations.annotator_codes[rows],
            "label": annotations.label_codes[rows],
        }
    )
    fitted = models[model]().fit_predict(table)
    codes = np.full(annotations.n_items, -1)
    codes[fitted.index.to_numpy(dtype=np.int64)] = fitted.to_numpy(dtype=np.int64)
    return codes


def _agreement(codes: dict[str, np.ndarray]) -> pd.DataFrame:
    values: dict[str, dict[str, float]] = {}
    for first, ours in codes.items():
        values[first] = {}
        for second, theirs in codes.items():
            both = (ours >= 0) & (theirs >= 0)
            values[first][second] = float((ours == theirs)[both].mean()) if both.any() else float("nan")
    return pd.DataFrame(values).T


def most_divided(annotations: Annotations, entropy: np.ndarray, *, texts: bool) -> pd.DataFrame:
    """The items of highest entropy [I], ties by more judgements, at most `MOST_DIVIDED`; unanimous ones left out."""
    sizes = annotations.counts.sum(axis=1)
    rank = np.lexsort((-sizes, -np.nan_to_num(entropy)))[:MOST_DIVIDED]
    rank = rank[np.nan_to_num(entropy[rank]) > 1e-9]
    counts = [
        {label: int(n) for label, n in zip(annotations.labels, annotations.counts[row], strict=True) if n}
        for row in rank
    ]
    table = pd.DataFrame({"item_id": annotations.item_ids[rank], "entropy": entropy[rank], "labels": counts})
    return table.assign(text=shown_texts(annotations, rank)) if texts else table


def shown_texts(annotations: Annotations, items: np.ndarray, most: int = MOST_CHARACTERS) -> list[str]:
    """The texts of items at some positions, second text or responses below, cut at `most` characters."""
    texts = (text.strip() for text in item_texts(annotations.items.iloc[items]))
    return [text if len(text) <= most else text[:most] + "…" for text in texts]


def same_item_conflicts(
    annotations: Annotations, judgements: Judgements, *, prior: float = 0.5, most: int = 200, seed: int = 0
) -> pd.DataFrame:
    """The pairs of different labels on one item that annotators' habits explain best, at most one per item.

    Of an item's judgements those two of different labels are taken that their annotators' habits make most probable
    against the pool's (`preference_evidence`). Columns as `dcpc.data.pairs.mine_pairs` gives them, kind `same_item`,
    similarity 1, and the same `preference_posterior` for another prior.

    Args:
        annotations: what `judgements` are of.
        judgements: see `shared_judgements`.
        prior: probability that a difference is preference, before looking at who differs.
        most: rows returned, highest posterior first.
        seed: of the items drawn where there are more than `MOST_CONFLICT_JUDGEMENTS`.
    """
    if not len(judgements):
        return pd.DataFrame(columns=CONFLICT_COLUMNS)
    rows = judgements.rows
    if len(rows) > MOST_CONFLICT_JUDGEMENTS:
        share = MOST_CONFLICT_JUDGEMENTS / len(rows)
        rows = rows[(np.random.default_rng(seed).random(judgements.n_items) < share)[judgements.items]]
    data = annotations.where(np.sort(rows))
    first, second = _best_pairs(data.item_codes, data.label_codes, preference_evidence(data))
    posterior = preference_posterior(data, first, second)
    best = np.argsort(-posterior, kind="stable")[:most]
    first, second, posterior = first[best], second[best], posterior[best]
    items, people = data.table["item_id"].to_numpy(), data.table["annotator_id"].to_numpy()
    labels = np.asarray(data.labels, dtype=object)
    return pd.DataFrame(
        {
            "item_a": items[first],
            "item_b": items[second],
            "similarity": 1.0,
            "label_a": labels[data.label_codes[first]],
            "label_b": labels[data.label_codes[second]],
            "annotator_a": people[first],
            "annotator_b": people[second],
            "kind": "same_item",
            "preference_posterior": with_prior(posterior, prior),
        }
    )


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
