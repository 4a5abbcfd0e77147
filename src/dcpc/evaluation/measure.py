"""The one way to measure predictions: `dcpc evaluate`, the Python API and the benchmark all call `measure`.

Its parts can be had alone: a distribution against all judgements, and the error of single annotators.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from dcpc.data.annotations import Annotations, Scale
from dcpc.data.counts import soft_labels
from dcpc.errors import UsageError
from dcpc.evaluation import distribution
from dcpc.evaluation.decision import DecisionRule, decide_labels, median_labels
from dcpc.evaluation.inputs import check_codes, check_counts, check_probabilities
from dcpc.evaluation.majority import majority_scores


class Measured(NamedTuple):
    """What predictions are worth.

    Attributes:
        figures: name to value, see `measure`.
        decisions: decided label position of every item, int [I].
        wrong: whether what was predicted for a judgement is not the label given, bool [J]; None without annotators.
    """

    figures: dict[str, float]
    decisions: np.ndarray
    wrong: np.ndarray | None


def measure(
    items: np.ndarray,
    judgements: np.ndarray | None,
    annotations: Annotations,
    rule: DecisionRule | None,
    goal: str | None = None,
) -> Measured:
    """Measure predicted distributions against all judgements of the items.

    `macro_f1` and `accuracy` are of the decided labels, `macro_f1_argmax` and `accuracy_argmax` of the most probable
    ones, all against the majority; then come the distances of `evaluate_distribution`, and the part of the
    Jensen-Shannon divergence that a right prediction would keep on these judgements.

    Where judgements name annotators, the label predicted for a judgement is the most probable one for its annotator:

    - `judgement_error`: share of judgements that are not what was predicted; those without an annotator count too.
    - `mean_annotator_error`: each annotator's share, averaged over annotators, every one weighing the same.
    - `consensus_judgement_error`, `consensus_mean_annotator_error`: the same, where everybody is predicted to say the
      item's most probable label. Equal to the two above where a method knows no annotators.

    Of a slider also `mean_absolute_error`: how far a judgement lies from the decided value, in the slider's own
    units; with annotators `annotator_absolute_error`: how far from the median predicted for its annotator.

    Args:
        items: predicted distribution of every item, float [I, C].
        judgements: predicted distribution of every judgement, float [J, C]; None where no annotators are known.
        annotations: I items with J judgements.
        rule: how to decide; None for the most probable label.
        goal: what to decide for, as for `decide_labels`.

    Raises:
        UsageError: shapes do not fit together, a row is no distribution, or there is no rule for the goal.
        DataError: there are no items.
    """
    p, counts = check_probabilities(items), annotations.counts
    decisions = decide_labels(p, rule, goal)  # [I]
    of_decisions = evaluate_distribution(p, counts, annotations.scale, decisions)
    argmax = evaluate_distribution(p, counts, annotations.scale)
    against_majority = ("macro_f1", "accuracy")
    figures = {name: of_decisions[name] for name in against_majority}
    figures |= {f"{name}_argmax": argmax[name] for name in against_majority} | of_decisions
    if annotations.weights is None:  # of shares nothing is known but themselves
        expected = distribution.expected_jensen_shannon(p, counts.sum(axis=1))  # [I]
        figures["expected_jensen_shannon"] = float(expected.mean())
    if annotations.range is not None:
        figures |= _distances(decisions, judgements, annotations)
    if not annotations.has_annotators:
        return Measured(figures, decisions, None)
    consensus = p.argmax(axis=1)[annotations.item_codes]  # [J]
    personal = consensus if judgements is None else check_probabilities(judgements).argmax(axis=1)  # [J]
    for prefix, label in (("", personal), ("consensus_", consensus)):
        errors = per_annotator_error(label, annotations.label_codes, annotations.annotator_codes)  # [A]
        figures[f"{prefix}judgement_error"] = float((label != annotations.label_codes).mean())
        figures[f"{prefix}mean_annotator_error"] = mean_annotator_error(errors)
    return Measured(figures, decisions, personal != annotations.label_codes)


def _distances(
    decisions: np.ndarray, judgements: np.ndarray | None, annotations: Annotations
) -> dict[str, float]:
    """Mean distance of the judgements from the decisions [I], and from their annotators' medians [J, C]."""
    values = np.array(annotations.labels, dtype=float)  # [C]
    given = values[annotations.label_codes]  # [J]
    decided = values[decisions][annotations.item_codes]  # [J]
    figures = {"mean_absolute_error": float(np.abs(given - decided).mean())}
    if judgements is not None:
        own = values[median_labels(check_probabilities(judgements))]  # [J]
        figures["annotator_absolute_error"] = float(np.abs(given - own).mean())
    return figures


def evaluate_distribution(
    probabilities: ArrayLike,
    counts: ArrayLike,
    scale: Scale,
    predicted: ArrayLike | None = None,
) -> dict[str, float]:
    """Every metric of a predicted label distribution against all judgements of the items.

    Args:
        probabilities: predicted distribution per item, float [I, C].
        counts: judgements per item and label, [I, C]; every item has at least one.
        scale: the label scale; `ordinal` adds the Wasserstein distance.
        predicted: one label position per item, int [I], where the decision is not the most probable label
            (see `dcpc.evaluation.decision`).

    Returns:
        Name to value. Higher is better: `macro_f1`, `accuracy` (against the majority), `soft_micro_f1`. Lower
        is better: `cross_entropy` (nats), `jensen_shannon` (bits), `manhattan`, `ece`, `brier`, and for
        ordinal scales `wasserstein` (label steps). Counts: `items` (all), `ties` (items without a majority,
        left out of the first two).

    Raises:
        UsageError: shapes do not fit together, or a row is no distribution.
        DataError: no items, or an item without a judgement.
    """
    p = check_probabilities(probabilities)  # [I, C]
    votes = check_counts(counts, p.shape)  # [I, C]
    q = soft_labels(votes)  # [I, C]
    guess = p.argmax(axis=1) if predicted is None else check_codes(predicted, len(p), p.shape[1], "predicted")
    majority = majority_scores(guess, votes)
    values = {
        "macro_f1": majority.macro_f1,
        "accuracy": majority.accuracy,
        "cross_entropy": float(np.mean(distribution.cross_entropy(p, q))),
        "jensen_shannon": float(np.mean(distribution.jensen_shannon(p, q))),
        "manhattan": float(np.mean(distribution.manhattan(p, q))),
        "soft_micro_f1": float(np.mean(distribution.soft_micro_f1(p, q))),
        "ece": distribution.expected_calibration_error(p, q),
        "brier": float(np.mean(distribution.brier(p, q))),
    }
    if scale == "ordinal":
        values["wasserstein"] = float(np.mean(distribution.wasserstein(p, q)))
    return values | {"items": float(len(p)), "ties": float(majority.ties)}


def per_annotator_error(
    predicted: ArrayLike,
    label_codes: ArrayLike,
    annotator_codes: ArrayLike,
    n_annotators: int | None = None,
) -> np.ndarray:
    """Share of each annotator's judgements that differ from the prediction, float [A], from 0 to 1.

    One row per judgement, so it takes a consensus (`predicted_of_item[annotations.item_codes]`) as well as a
    prediction made for the annotator who judged. `np.nanmean` of the result weighs every annotator the same.

    Args:
        predicted: predicted label position per judgement, int [J].
        label_codes: label position that the annotator gave, int [J].
        annotator_codes: position of the annotator, int [J]; judgements with −1 (unknown) are left out.
        n_annotators: A; by default one more than the highest position.

    Returns:
        Error rate per annotator; NaN for annotators without a judgement.

    Raises:
        UsageError: the three arrays do not have one length.
    """
    guess, label, annotator = (np.asarray(x) for x in (predicted, label_codes, annotator_codes))
    if not guess.shape == label.shape == annotator.shape or guess.ndim != 1:
        raise UsageError(
            "per-annotator error needs one predicted label, one label and one annotator per judgement, "
            f"got shapes {guess.shape}, {label.shape} and {annotator.shape}"
        )
    known = annotator >= 0
    size = n_annotators if n_annotators is not None else int(annotator.max(initial=-1)) + 1
    wrong = np.bincount(annotator[known], weights=(guess != label)[known], minlength=size)  # [A]
    total = np.bincount(annotator[known], minlength=size)  # [A]
    return np.divide(wrong, total, out=np.full(size, np.nan), where=total > 0)


def mean_annotator_error(errors: np.ndarray) -> float:
    """Mean over annotators of `per_annotator_error` [A], every annotator weighing the same; NaN without any."""
    known = errors[np.isfinite(errors)]
    return float(known.mean()) if len(known) else float("nan")
