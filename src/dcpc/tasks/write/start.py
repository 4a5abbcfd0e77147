"""Where styles start: apart from each other, so that writers act from the first step.

The gates of an update are 1 + M p_a, with p_a = softmax(u_a) the mixture of styles of writer a (eq. 11, 12). A fresh
adapter has u_a = 0 for every writer and a small random M: all writers have one mixture, the gradient of M is the same
for all of them, and u_a moves by no more than the learning rate a step. In a training of some hundred steps writers
then hardly act (docs/write.md has the measurement). So here

    u_a   starts at the writer's nearest style: the writers' replies are clustered into K groups by how they are
          written, and with no more writers than styles each has its own;
    M     starts as blocks: some dimensions of an update belong to all styles, each other one to a single style,

              M_kj = s · (K · 1[k owns j] − 1)   so that   Σ_k M_kj = 0,

          by which the dominant style (u = 0, p = 1/K) has gates of exactly 1: its update is the mean over the styles.

Both are only a start; everything goes on being learned.
"""

from __future__ import annotations

import numpy as np
import torch
from sklearn.cluster import KMeans
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.preprocessing import normalize
from torch import Tensor

from dcpc.tasks.write.replies import Replies
from dcpc.tuner import DCPCModel

DISTANCE = 3.0
"""Of a writer's own style from the others, in logits: with K = 4 it has 0.87 of the mixture."""
SHARED = 0.5
"""Share of an update's dimensions that belong to all styles, where each style has one besides."""
TOPICS = 32
"""Dimensions in which writers are compared."""


@torch.no_grad()
def start_styles(tuner: DCPCModel, replies: Replies, seed: int = 0) -> None:
    """Set the start of the acting adapter's writers and of its gates.

    Args:
        tuner: with writers that act through the correction module (`annotator_mode="prefix"`).
        replies: of the writers, to be trained on.
        seed: of the clustering.
    """
    adapter = tuner.active_adapters[0]
    effects = tuner.dcpc_annotators[adapter]
    known = list(tuner.peft_config[adapter].annotators or [])
    n_styles = effects.mean.shape[1]
    style = torch.from_numpy(nearest_styles(replies, known, n_styles, seed)).long()  # [A]
    effects.mean.copy_(DISTANCE * torch.nn.functional.one_hot(style, n_styles))
    for name, gates in tuner.named_parameters():
        # Gates of updates are [K,r]; what corrects a prefix has three axes and starts at random keys.
        if ".dcpc_meta." in name and name.endswith(f".{adapter}") and gates.dim() == 2:
            gates.copy_(block_gates(*gates.shape))


def block_gates(n_styles: int, rank: int) -> Tensor:
    """M [K,r] of the start: zero for shared dimensions, and blocks that add up to zero over the styles.

    Every style has a dimension of its own as long as there are enough of them.
    """
    gates = torch.zeros(n_styles, rank)
    shared = min(round(SHARED * rank), max(rank - n_styles, 0))
    for place, dimension in enumerate(range(shared, rank)):
        gates[:, dimension] = -1.0
        gates[place % n_styles, dimension] = n_styles - 1.0
    return gates


def nearest_styles(replies: Replies, writers: list[str], n_styles: int, seed: int = 0) -> np.ndarray:
    """A style for every writer, int [A]: one each, or clusters of writers that write alike where there are more.

    Writers are compared by the mean of their replies' character n-grams, reduced to some dimensions.
    """
    if len(writers) <= n_styles:
        return np.arange(len(writers))
    texts = np.array(replies.responses, dtype=object)
    who = np.array([name or "" for name in replies.writer_ids], dtype=object)
    vectors = TfidfVectorizer(analyzer="char", ngram_range=(1, 3), sublinear_tf=True, max_features=20_000)
    grams = vectors.fit_transform(texts)
    size = min(TOPICS, *(length - 1 for length in grams.shape))
    points = (
        TruncatedSVD(max(size, 1), random_state=seed).fit_transform(grams) if size > 0 else grams.toarray()
    )
    means = normalize(np.stack([points[who == name].mean(axis=0) for name in writers]))
    return KMeans(n_styles, n_init=4, random_state=seed).fit_predict(means)
