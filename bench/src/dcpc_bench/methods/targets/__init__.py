"""What a baseline trains toward: label distributions made from the annotations."""

from dcpc_bench.methods.targets.crowdlab import crowdlab
from dcpc_bench.methods.targets.dawid_skene import dawid_skene
from dcpc_bench.methods.targets.votes import majority_vote

__all__ = ["crowdlab", "dawid_skene", "majority_vote"]
