"""What a baseline trains toward: label distributions made from the annotations."""

from dcpc.baselines.targets.crowdlab import crowdlab
from dcpc.baselines.targets.dawid_skene import dawid_skene
from dcpc.baselines.targets.votes import majority_vote

__all__ = ["crowdlab", "dawid_skene", "majority_vote"]
