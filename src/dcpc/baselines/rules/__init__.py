"""Learning rules of the baselines: one small file for each family."""

from dcpc.baselines.rules.clear import CleanRouting
from dcpc.baselines.rules.coteaching import CoTeaching
from dcpc.baselines.rules.heads import AnnotatorHead
from dcpc.baselines.rules.losses import (
    EarlyLearning,
    GeneralisedCrossEntropy,
    NeighbourConsistency,
    SimilarInputs,
)
from dcpc.baselines.rules.targets import ItemTargets, JudgementRows

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
