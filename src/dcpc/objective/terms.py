"""The pair terms of the objective, weighted and summed (equation 13).

    L = L_task + λ1 L_amb + λ2 L_align + λ3 L_KL

`L_task`, which the paper leaves unwritten, is the cross-entropy that the trainer computes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from dcpc.objective.alignment import alignment_of_pairs
from dcpc.objective.config import ObjectiveConfig
from dcpc.objective.correction import preference_divergence
from dcpc.objective.pairs import Pairs
from dcpc.objective.similarity import (
    ambiguity,
    layer_weights,
    prediction_divergence,
    similarity_gate,
    similarity_of_pairs,
)
from dcpc.pooling import mean_of_tokens


@dataclass(frozen=True)
class BatchState:
    """What the pair terms need of one forward pass over B inputs.

    Attributes:
        states: pooled hidden states of the L layers [L, B, H].
        log_probabilities: predicted log-probabilities [B, C].
        styles: p_pref, preference styles [L', B, K]; None without a correction module.
        prefixes: corrected prefixes of the L' adapted layers, tensors [B, m, W]; None without a correction module.
        prefix_states: pooled hidden states of those layers [L', B, H].
    """

    states: Tensor
    log_probabilities: Tensor
    styles: Tensor | None = None
    prefixes: Sequence[Tensor] | None = None
    prefix_states: Tensor | None = None


def pool_layers(hidden_states: Sequence[Tensor], attention_mask: Tensor) -> Tensor:
    """Mean of the real tokens' states in every layer.

    Args:
        hidden_states: the L+1 hidden states of a forward pass [B, n, H]; the first, the embeddings, is left out.
        attention_mask: 1 for real tokens [B, n].

    Returns:
        [L, B, H] in at least float32.
    """
    return torch.stack([mean_of_tokens(states, attention_mask) for states in hidden_states[1:]])


def pair_terms(state: BatchState, pairs: Pairs, config: ObjectiveConfig) -> dict[str, Tensor]:
    """The weighted terms λ1 L_amb, λ2 L_align and λ3 L_KL over pairs that conflict.

    A pair counts when its conflict score exceeds τ_amb, and every term is the mean over those pairs, weighted
    by how far preference explains their difference. A batch without such a pair gives zeros, and its
    task loss alone trains.

    Args:
        state: of the batch.
        pairs: candidates, P of them; all are computed at once.
        config: weights, thresholds and switches.

    Returns:
        `ambiguity`, `alignment` and `preference`, scalars that are already weighted; zero where switched off.
    """
    zero = state.log_probabilities.new_zeros(())
    terms = {"ambiguity": zero, "alignment": zero, "preference": zero}
    if len(pairs) == 0:
        return terms
    similarity = similarity_of_pairs(state.states, pairs)  # [L, P]
    gate = similarity_gate(similarity.detach(), config.similarity_threshold, config.similarity_quantile)
    if config.detach_similarity:
        similarity = similarity.detach()
    divergence = prediction_divergence(state.log_probabilities[pairs.a], state.log_probabilities[pairs.b])
    beta = layer_weights(len(similarity), config.depth_gamma, device=similarity.device)
    score = ambiguity(similarity, divergence, gate, beta)  # [P]
    corrected = ((score.detach() > config.ambiguity_threshold) & (pairs.weight > 0)).to(score.dtype)
    weight = corrected * pairs.weight
    total = weight.sum().clamp_min(1e-12)
    terms["ambiguity"] = config.ambiguity_weight * (weight * score).sum() / total
    keep = weight > 0
    if not keep.any():
        return terms
    chosen = pairs.where(keep)
    if config.preference_weight > 0 and state.styles is not None:
        kl = preference_divergence(state.styles[:, chosen.a], state.styles[:, chosen.b])
        terms["preference"] = config.preference_weight * (chosen.weight * kl).sum() / total
    if config.alignment_weight > 0 and state.prefixes is not None:
        tokens = state.states if state.prefix_states is None else state.prefix_states  # [L', B, H]
        distance = alignment_of_pairs(state.prefixes, tokens, chosen, mean=config.normalise_alignment)
        terms["alignment"] = config.alignment_weight * (chosen.weight * distance).sum() / total
    return terms
