"""Learning rules of the baselines: one small file for each family."""

from dcpc_bench.methods.rules.clear import CleanRouting
from dcpc_bench.methods.rules.coteaching import CoTeaching
from dcpc_bench.methods.rules.heads import AnnotatorHead
from dcpc_bench.methods.rules.losses import (
    EarlyLearning,
    GeneralisedCrossEntropy,
    NeighbourConsistency,
    SimilarInputs,
)
from dcpc_bench.methods.rules.targets import ItemTargets, JudgementRows

__all__ = [
    "AnnotatorHead",
    "CleanRouting",
    "CoTeaching",
    "EarlyLearning",
    "GeneralisedCrossEntropy",
    "ItemTargets",
    "JudgementRows",
    "NeighbourConsistency",
    "SimilarInputs",
]
