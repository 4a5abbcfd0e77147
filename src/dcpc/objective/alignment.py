"""Cross-layer prefix alignment (equations 7 to 9).

Shapes: L layers, P pairs, m prefix length, W prefix width (keys and values side by side), H hidden width.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from dcpc.objective.pairs import Pairs, at_least_single


def crossed_context(prefix: Tensor, other_tokens: Tensor) -> Tensor:
    """One side's prefix joined to the other side's token states of the next layer, `C_A^l = P_A^l ⊕ T_B^{l+1}`.

    ⊕ joins the two (equation 7): only then does a gradient step on the prefixes scale their distance by
    `|1 − 4η|`, as equation 9 says. Two inputs have different numbers of tokens, so T is their mean.

    Args:
        prefix: `P^l` of one side [P, m, W].
        other_tokens: mean token state `T^{l+1}` of the other side [P, H].

    Returns:
        [P, m·W + H].
    """
    return torch.cat([prefix.flatten(1), other_tokens], dim=-1)


def alignment_loss(
    prefixes_a: Sequence[Tensor],
    prefixes_b: Sequence[Tensor],
    tokens_a: Tensor,
    tokens_b: Tensor,
    *,
    mean: bool,
) -> Tensor:
    """`L_align = 1/(L−1) Σ_l ‖C_A^l − C_B^l‖²` (equation 8) of every pair.

    Args:
        prefixes_a: `P_A^l` of every layer, L tensors [P, m, W].
        prefixes_b: `P_B^l` of every layer, L tensors [P, m, W].
        tokens_a: mean token states `T_A^l` of every layer [L, P, H].
        tokens_b: mean token states `T_B^l` of every layer [L, P, H].
        mean: divide each squared norm by its number of entries, so that the weight of this term does not
            depend on the sizes of the model; False is the equation as written.

    Returns:
        Squared distances ≥ 0, [P]; 0 where there is one layer only.
    """
    n_layers = len(prefixes_a)
    total = tokens_a.new_zeros(tokens_a.shape[1])
    for layer in range(n_layers - 1):
        context_a = crossed_context(prefixes_a[layer], tokens_b[layer + 1])
        context_b = crossed_context(prefixes_b[layer], tokens_a[layer + 1])
        squared = (context_a - context_b).square()
        total = total + (squared.mean(dim=-1) if mean else squared.sum(dim=-1))
    return total / max(n_layers - 1, 1)


def alignment_of_pairs(prefixes: Sequence[Tensor], tokens: Tensor, pairs: Pairs, *, mean: bool) -> Tensor:
    """`L_align` (equation 8) of pairs of the B inputs of a batch.

    `C_A − C_B` is the difference of two vectors of which each belongs to one input, `P^l ⊕ −T^{l+1}`. So all pairs
    of a batch take B vectors and their inner products, and not two vectors of every pair.

    Args:
        prefixes: `P^l` of every layer, L tensors [B, m, W].
        tokens: mean token states `T^l` of every layer [L, B, H].
        pairs: P of them.
        mean: as in `alignment_loss`.

    Returns:
        Squared distances ≥ 0, [P].
    """
    if not pairs.dense(tokens.shape[1]):
        of_a, of_b = ([prefix[side] for prefix in prefixes] for side in (pairs.a, pairs.b))
        return alignment_loss(of_a, of_b, tokens[:, pairs.a], tokens[:, pairs.b], mean=mean)
    n_layers = len(prefixes)
    total = tokens.new_zeros(len(pairs))
    for layer in range(n_layers - 1):
        contexts = at_least_single(crossed_context(prefixes[layer], -tokens[layer + 1]))  # [B, m·W + H]
        # Distances stay as they are, and what two inputs share does not swallow the digits in which they differ.
        contexts = contexts - contexts.mean(dim=0)
        products = contexts @ contexts.T  # [B, B]
        norms = products.diagonal()
        squared = (norms[pairs.a] + norms[pairs.b] - 2 * products[pairs.a, pairs.b]).clamp_min(0)
        total = total + (squared / contexts.shape[1] if mean else squared)
    return total / max(n_layers - 1, 1)


def step_contraction(learning_rate: float) -> float:
    """Factor by which one gradient step on `‖P_A − P_B‖²` scales the prefix distance, `|1 − 4η|` (equation 9).

    It contracts for 0 < η < 1/2, jumps to the meeting point at η = 1/4, and grows from η = 1/2 on.
    """
    return abs(1 - 4 * learning_rate)
