"""What a baseline trains toward: distributions or rows made from the annotations."""

from dcpc.baselines.targets.crowdlab import crowdlab
from dcpc.baselines.targets.dawid_skene import dawid_skene
from dcpc.baselines.targets.votes import disaggregated, majority_vote, soft_labels

__all__ = ["crowdlab", "dawid_skene", "disaggregated", "majority_vote", "soft_labels"]
