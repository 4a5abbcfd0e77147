"""Heads that know who judged: logits per judgement for training, one distribution per item for the consensus."""

from dcpc_bench.methods.heads.annotator_embeddings import AnnotatorEmbeddings
from dcpc_bench.methods.heads.annotator_heads import AnnotatorHeads
from dcpc_bench.methods.heads.crowd_layer import CrowdLayer

__all__ = ["AnnotatorEmbeddings", "AnnotatorHeads", "CrowdLayer"]
