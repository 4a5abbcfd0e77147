"""Metrics of predictions against annotators who disagree."""

from dcpc.evaluation.annotators import per_annotator_error
from dcpc.evaluation.majority import majority_labels
from dcpc.evaluation.summary import evaluate_distribution

__all__ = ["evaluate_distribution", "majority_labels", "per_annotator_error"]
