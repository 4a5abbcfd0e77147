"""Metrics of predictions against annotators who disagree."""

from dcpc.evaluation.annotators import per_annotator_error
from dcpc.evaluation.decision import decide, fit_offsets
from dcpc.evaluation.distribution import expected_jensen_shannon
from dcpc.evaluation.majority import majority_labels
from dcpc.evaluation.summary import evaluate_distribution

__all__ = [
    "decide",
    "evaluate_distribution",
    "expected_jensen_shannon",
    "fit_offsets",
    "majority_labels",
    "per_annotator_error",
]
