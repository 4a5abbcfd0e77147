"""Preference-sensitive similarity: inputs that mean the same and are predicted apart (equations 3 to 6).

Shapes: L layers, P pairs, H hidden width, C classes. The two sides of a pair are called A and B.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity, normalize

from dcpc.objective.pairs import Pairs, at_least_single


def layer_similarity(states_a: Tensor, states_b: Tensor) -> Tensor:
    """Cosine of the pooled states in every layer, `s^l = cos(e_A^l, e_B^l)` (equation 3).

    Args:
        states_a: pooled hidden states of side A [L, P, H].
        states_b: pooled hidden states of side B [L, P, H].

    Returns:
        Similarities in [−1, 1], [L, P].
    """
    return cosine_similarity(states_a, states_b, dim=-1)


def similarity_of_pairs(states: Tensor, pairs: Pairs) -> Tensor:
    """`s^l` (equation 3) of pairs of the B inputs of a batch: of many pairs as products of vectors of length one.

    Args:
        states: pooled hidden states [L, B, H].
        pairs: P of them.

    Returns:
        Similarities in [−1, 1], [L, P].
    """
    if not pairs.dense(states.shape[1]):
        return layer_similarity(states[:, pairs.a], states[:, pairs.b])
    directions = normalize(at_least_single(states), dim=-1, eps=1e-8)  # [L, B, H]
    return (directions @ directions.mT)[:, pairs.a, pairs.b]


def prediction_divergence(log_p_a: Tensor, log_p_b: Tensor) -> Tensor:
    """Symmetric divergence of the predictions, `d = (KL(p_A‖p_B) + KL(p_B‖p_A)) / 2` (equation 4).

    Args:
        log_p_a: log-probabilities of side A [P, C].
        log_p_b: log-probabilities of side B [P, C].

    Returns:
        Divergences in nats, ≥ 0, [P].
    """
    return 0.5 * ((log_p_a.exp() - log_p_b.exp()) * (log_p_a - log_p_b)).sum(dim=-1)


def layer_weights(n_layers: int, gamma: float, *, device: torch.device | None = None) -> Tensor:
    """Weights that grow with depth, `β = softmax(γ·l)`, l = 1 … L (equation 5).

    Args:
        n_layers: L.
        gamma: how fast they grow; 0 weighs all layers alike.
        device: where the weights are needed.

    Returns:
        Weights that sum to 1, [L].
    """
    depth = torch.arange(1, n_layers + 1, dtype=torch.float32, device=device)
    return torch.softmax(gamma * depth, dim=0)


def similarity_gate(similarity: Tensor, threshold: float, quantile: float | None) -> Tensor:
    """Which pairs mean the same, layer by layer: `1[s^l ≥ τ_cos]`.

    Cosines fall with depth, so that one fixed τ_cos silences the deep layers that β weighs most. A quantile
    keeps the same share of pairs in every layer, and never a pair below the fixed threshold.

    Args:
        similarity: `s^l` [L, P].
        threshold: τ_cos.
        quantile: share of pairs in [0, 1) below the gate of a layer; None for the fixed threshold alone.

    Returns:
        0 or 1, [L, P].
    """
    gate = similarity >= threshold
    if quantile is not None:
        gate &= similarity >= torch.quantile(similarity.float(), quantile, dim=1, keepdim=True)
    return gate.to(similarity.dtype)


def ambiguity(similarity: Tensor, divergence: Tensor, gate: Tensor, weights: Tensor) -> Tensor:
    """Conflict of every pair, `Σ_l β^l α^l` with `α^l = 1[s^l ≥ τ_cos] · s^l · d` (equation 6).

    Args:
        similarity: `s^l` [L, P]; detach it, or minimising the conflict lowers the similarity instead of the
            divergence.
        divergence: `d` [P].
        gate: `1[s^l ≥ τ_cos]` [L, P].
        weights: `β` [L].

    Returns:
        Conflict scores ≥ 0 (for non-negative τ_cos), [P]. Their mean over pairs is `L_amb`.
    """
    return (weights[:, None] * gate * similarity).sum(dim=0) * divergence
