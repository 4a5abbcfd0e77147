"""Predictions against annotators who disagree.

decision.py      which label to decide for, and the rule that an adapter carries
majority.py      decided labels against the majority
distribution.py  predicted distributions against those of the annotators; calibration
measure.py       all of it in one call, and the errors of single annotators
"""

from dcpc.evaluation.decision import DecisionRule, decide, decide_labels, fit_offsets, fit_rule
from dcpc.evaluation.distribution import expected_jensen_shannon
from dcpc.evaluation.majority import majority_labels
from dcpc.evaluation.measure import evaluate_distribution, measure, per_annotator_error

__all__ = [
    "DecisionRule",
    "decide",
    "decide_labels",
    "evaluate_distribution",
    "expected_jensen_shannon",
    "fit_offsets",
    "fit_rule",
    "majority_labels",
    "measure",
    "per_annotator_error",
]
