"""The one way to measure predictions: `dcpc evaluate`, the Python API and the benchmark all call it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from dcpc.data.annotations import Annotations
from dcpc.evaluation.annotators import mean_annotator_error, per_annotator_error
from dcpc.evaluation.decision import DecisionRule, decide_labels
from dcpc.evaluation.distribution import expected_jensen_shannon
from dcpc.evaluation.inputs import check_probabilities
from dcpc.evaluation.summary import evaluate_distribution


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
    figures = evaluate_distribution(p, counts, annotations.scale, decisions)
    argmax = evaluate_distribution(p, counts, annotations.scale)
    figures |= {f"{name}_argmax": argmax[name] for name in ("macro_f1", "accuracy")}
    expected = expected_jensen_shannon(p, counts.sum(axis=1))  # [I]
    figures["expected_jensen_shannon"] = float(expected.mean())
    if not annotations.has_annotators:
        return Measured(figures, decisions, None)
    consensus = p.argmax(axis=1)[annotations.item_codes]  # [J]
    personal = consensus if judgements is None else check_probabilities(judgements).argmax(axis=1)  # [J]
    for prefix, label in (("", personal), ("consensus_", consensus)):
        errors = per_annotator_error(label, annotations.label_codes, annotations.annotator_codes)  # [A]
        figures[f"{prefix}judgement_error"] = float((label != annotations.label_codes).mean())
        figures[f"{prefix}mean_annotator_error"] = mean_annotator_error(errors)
    return Measured(figures, decisions, personal != annotations.label_codes)
