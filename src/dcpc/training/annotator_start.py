"""Where annotators' effects start: at effects on the logits that a convex regression found.

The effects v_a are written in the tuner's terms, v_a ≈ u_a D: principal axes of the effects, scaled so that the u_a
have the spread of their prior. A group, which stands for its unknown members, starts at the mean of the known ones.
"""

from __future__ import annotations

import numpy as np
import torch

from dcpc.tuner.annotators import AnnotatorEffects

LEAST_SPREAD = 1e-2
"""Of an axis, in logits; along weaker ones annotators do not differ."""


@torch.no_grad()
def start_annotators(annotators: AnnotatorEffects, effects: np.ndarray) -> None:
    """Write effects into u and D, so that u_a D is the nearest to v_a that K axes can give.

    Args:
        annotators: of the adapter, mode `output`.
        effects: v [A,C] in the order of the adapter's annotators.
    """
    assert annotators.direct_effect is not None  # mode `output`
    assert annotators.style_effect is not None
    annotators.style_effect.zero_()  # the fitted effects do not depend on the text
    centred = effects - effects.mean(axis=1, keepdims=True)  # a constant over labels changes nothing
    _, _, axes = np.linalg.svd(centred, full_matrices=False)  # [R,C]
    axes = axes[: annotators.mean.shape[1]]  # [R,C], R ≤ K
    along = centred @ axes.T  # [A,R]
    spread = np.sqrt((along**2).mean(axis=0)) / annotators.prior_std  # [R]
    for k in np.flatnonzero(spread > LEAST_SPREAD):
        annotators.mean[:, k] = torch.from_numpy(along[:, k] / spread[k])
        annotators.direct_effect[k] = torch.from_numpy(axes[k] * spread[k])
    if annotators.group_mean is not None:
        groups = torch.tensor(annotators.group_of) - annotators.size  # [A]
        for group in groups[groups >= 0].unique():
            annotators.group_mean[group] = annotators.mean[groups == group].mean(dim=0)
