"""Heads that know who judged: logits per judgement for training, one distribution per item for the consensus."""

from dcpc.baselines.heads.annotator_embeddings import AnnotatorEmbeddings
from dcpc.baselines.heads.annotator_heads import AnnotatorHeads
from dcpc.baselines.heads.crowd_layer import CrowdLayer

__all__ = ["AnnotatorEmbeddings", "AnnotatorHeads", "CrowdLayer"]
