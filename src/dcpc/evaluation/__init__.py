"""Metrics of predictions against annotators who disagree, and the statistics of comparing methods."""

from dcpc.evaluation.annotators import per_annotator_error
from dcpc.evaluation.decision import decide, fit_offsets
from dcpc.evaluation.distribution import expected_jensen_shannon
from dcpc.evaluation.majority import majority_labels
from dcpc.evaluation.multiplicity import holm
from dcpc.evaluation.pooling import pooled_difference
from dcpc.evaluation.ranks import rank_methods
from dcpc.evaluation.significance import PairedRun, paired_bootstrap
from dcpc.evaluation.splits import draw_budget, folds_by_item, split_by_item
from dcpc.evaluation.summary import evaluate_distribution

__all__ = [
    "PairedRun",
    "decide",
    "draw_budget",
    "evaluate_distribution",
    "expected_jensen_shannon",
    "fit_offsets",
    "folds_by_item",
    "holm",
    "majority_labels",
    "paired_bootstrap",
    "per_annotator_error",
    "pooled_difference",
    "rank_methods",
    "split_by_item",
]
