"""Whose difference is it: the posterior that preference, not noise, explains a conflict."""

from __future__ import annotations

import numpy as np

from dcpc.data.annotations import Annotations

PRIOR = 0.5
SHRINKAGE = 10.0
SMOOTHING = 1.0


def preference_posterior(annotations: Annotations, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    r"""The posterior that annotator preference rather than noise explains each pair of judgements.

    For judgement j (item i, annotator a, label y_j), with n_ic the item's label counts and π the pool's label
    shares, the consensus of the others (κ = SMOOTHING) is

        q_j(c) = (n_ic − [y_j = c] + κ π_c) / (n_i − 1 + κ).

    Confusions against it, of the pool and of each annotator, the latter shrunk to the pool by a Dirichlet
    prior of S = SHRINKAGE counts and without the judgement in question:

        N^a_ck = Σ_{j by a, y_j = k} q_j(c),     R_ck = (Σ_a N^a_ck + π_k) / (Σ_a Σ_k N^a_ck + 1)
        Π^{a∖j}_ck = (N^a_ck − q_j(c)[y_j = k] + S R_ck) / (Σ_k N^a_ck − q_j(c) + S)

    Under *preference* each label comes from its annotator's own habit Π, under *noise* both annotators are
    the pool's average R and differ by chance, given the same content c ~ q ∝ q_j q_j' / π:

        L_pref = Σ_c q(c) Π^{a∖j}_{c y} Π^{b∖j'}_{c z},     L_noise = Σ_c q(c) R_{c y} R_{c z}
        posterior = ρ L_pref / (ρ L_pref + (1 − ρ) L_noise),   ρ = PRIOR

    An annotator with few judgements has Π ≈ R: the posterior stays near ρ. The confusion model is that of
    Dawid & Skene (1979), with the leave-one-out vote in place of their latent truth.

    Args:
        annotations: all J judgements, with annotators.
        first: judgement positions, int [P].
        second: judgement positions, int [P], of other annotators.

    Returns:
        float [P] in (0, 1).
    """
    labels = annotations.label_codes  # [J]
    shares = np.bincount(labels, minlength=annotations.n_classes) + 1.0
    shares = shares / shares.sum()  # [C]
    q = _others_consensus(annotations, shares)  # [J, C]
    counts = np.zeros((len(annotations.annotators), len(shares), len(shares)))  # [A, C, C]
    np.add.at(counts.transpose(0, 2, 1), (annotations.annotator_codes, labels), q)
    pool = counts.sum(axis=0) + shares  # [C, C]
    pool /= pool.sum(axis=1, keepdims=True)

    own_first = _left_out_habit(annotations, first, q, counts, pool)  # [P, C]
    own_second = _left_out_habit(annotations, second, q, counts, pool)  # [P, C]
    content = q[first] * q[second] / shares  # [P, C]
    content /= content.sum(axis=1, keepdims=True)
    preference = (content * own_first * own_second).sum(axis=1)
    noise = (content * pool[:, labels[first]].T * pool[:, labels[second]].T).sum(axis=1)
    return PRIOR * preference / (PRIOR * preference + (1 - PRIOR) * noise)


def _others_consensus(annotations: Annotations, shares: np.ndarray) -> np.ndarray:
    q = annotations.counts[annotations.item_codes] + SMOOTHING * shares  # [J, C]
    q[np.arange(len(q)), annotations.label_codes] -= 1.0
    return q / q.sum(axis=1, keepdims=True)


def _left_out_habit(
    annotations: Annotations, rows: np.ndarray, q: np.ndarray, counts: np.ndarray, pool: np.ndarray
) -> np.ndarray:
    """How likely each row's annotator gives its label for each content, without that row, float [P, C]."""
    annotator, label = annotations.annotator_codes[rows], annotations.label_codes[rows]
    given = counts[annotator, :, label] - q[rows] + SHRINKAGE * pool[:, label].T  # [P, C]
    return given / (counts.sum(axis=2)[annotator] - q[rows] + SHRINKAGE)
