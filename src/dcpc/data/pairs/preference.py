"""Whose difference is it: the posterior that preference, not noise, explains a conflict."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dcpc.data.annotations import Annotations

PRIOR = 0.5
SHRINKAGE = 10.0
SMOOTHING = 1.0
_MOST_CELLS = 20_000_000
"""Numbers in one array: 160 MB."""


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

    Where C×C matrices of all annotators would not fit into memory, habits are label shares instead: one content.

    An annotator with few judgements has Π ≈ R: the posterior stays near ρ. The confusion model is that of
    Dawid & Skene (1979), with the leave-one-out vote in place of their latent truth.

    Args:
        annotations: all J judgements, with annotators.
        first: judgement positions, int [P].
        second: judgement positions, int [P], of other annotators.

    Returns:
        float [P] in (0, 1).
    """
    habits = _Habits.of(annotations)
    step = max(1, _MOST_CELLS // habits.content.shape[1])
    parts = [habits.posterior(first[i : i + step], second[i : i + step]) for i in range(0, len(first), step)]
    return np.concatenate([np.empty(0), *parts])


def preference_evidence(annotations: Annotations) -> np.ndarray:
    """How much better each judgement fits its annotator's habit than the pool's, in nats, float [J].

    With q, Π and R as in `preference_posterior`: ln Σ_c q_j(c) Π^{a∖j}_{c y} − ln Σ_c q_j(c) R_{c y}. One number for
    each judgement, so that the best pair of an item is found without comparing them all.
    """
    habits, rows = _Habits.of(annotations), np.arange(annotations.n_judgements)
    own = (habits.content * habits.left_out(rows)).sum(axis=1)
    return np.log(own) - np.log((habits.content * habits.pooled(rows)).sum(axis=1))


@dataclass(frozen=True)
class _Habits:
    """What every annotator says to every content; K = C, or 1 where C×C matrices would not fit into memory.

    Attributes:
        annotators: of every judgement [J].
        labels: of every judgement [J].
        content: q, what the others of its item say of each judgement's content [J, K].
        counts: N^a [A, K, C].
        totals: N^a over labels [A, K].
        pool: R [K, C].
        shares: of the contents [K].
    """

    annotators: np.ndarray
    labels: np.ndarray
    content: np.ndarray
    counts: np.ndarray
    totals: np.ndarray
    pool: np.ndarray
    shares: np.ndarray

    @classmethod
    def of(cls, annotations: Annotations) -> _Habits:
        labels, annotators = annotations.label_codes, annotations.annotator_codes  # [J]
        n_classes, n_annotators = annotations.n_classes, len(annotations.annotators)
        shares = np.bincount(labels, minlength=n_classes) + 1.0
        shares = shares / shares.sum()  # [C]
        if max(n_annotators * n_classes, len(labels)) * n_classes > _MOST_CELLS:
            content, of_content = np.ones((len(labels), 1)), np.ones(1)
        else:
            content, of_content = _others_consensus(annotations, shares), shares
        counts = np.zeros((n_annotators, content.shape[1], n_classes))
        np.add.at(counts.transpose(0, 2, 1), (annotators, labels), content)
        pool = counts.sum(axis=0) + shares  # [K, C]
        pool /= pool.sum(axis=1, keepdims=True)
        return cls(annotators, labels, content, counts, counts.sum(axis=2), pool, of_content)

    def posterior(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """The posterior of pairs of judgements [P]."""
        content = self.content[first] * self.content[second] / self.shares  # [P, K]
        content /= content.sum(axis=1, keepdims=True)
        preference = (content * self.left_out(first) * self.left_out(second)).sum(axis=1)
        noise = (content * self.pooled(first) * self.pooled(second)).sum(axis=1)
        return PRIOR * preference / (PRIOR * preference + (1 - PRIOR) * noise)

    def pooled(self, rows: np.ndarray) -> np.ndarray:
        """How likely anybody gives each row's label for each content, [P, K]."""
        return self.pool[:, self.labels[rows]].T  # [P, K]

    def left_out(self, rows: np.ndarray) -> np.ndarray:
        """How likely each row's annotator gives its label for each content, without that row, [P, K]."""
        annotator, own = self.annotators[rows], self.content[rows]
        given = self.counts[annotator, :, self.labels[rows]] - own + SHRINKAGE * self.pooled(rows)
        return given / (self.totals[annotator] - own + SHRINKAGE)


def _others_consensus(annotations: Annotations, shares: np.ndarray) -> np.ndarray:
    q = annotations.counts[annotations.item_codes] + SMOOTHING * shares  # [J, C]
    q[np.arange(len(q)), annotations.label_codes] -= 1.0
    return q / q.sum(axis=1, keepdims=True)
