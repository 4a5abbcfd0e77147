"""Statistics of comparing methods: splits by item, paired intervals over items and seeds, ranks, Holm."""

from dcpc.evaluation.multiplicity import holm
from dcpc_bench.statistics.pooling import pooled_difference
from dcpc_bench.statistics.ranks import rank_methods
from dcpc_bench.statistics.splits import draw_budget, folds_by_item, split_by_item

__all__ = [
    "draw_budget",
    "folds_by_item",
    "holm",
    "pooled_difference",
    "rank_methods",
    "split_by_item",
]
