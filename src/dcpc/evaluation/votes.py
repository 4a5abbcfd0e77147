"""What predicted votes between two responses are worth: figures per vote, beside those per item."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from dcpc.evaluation.inputs import check_codes, check_probabilities
from dcpc.probabilities import SMALLEST


def vote_figures(
    probabilities: ArrayLike, votes: ArrayLike, signs: Sequence[int], weights: ArrayLike | None = None
) -> dict[str, float]:
    """Figures of J votes.

    - `vote_accuracy`: share of votes that were the most probable ones.
    - `vote_log_loss`: mean of −ln p(vote), in nats.
    - `side_accuracy`: of the votes for a side, the share where that side is the more probable one; equal ones count
      half. This is what leaderboards of reward models call accuracy.
    - `tie_share`, `predicted_tie_share`: how often a tie was called, and how often that was expected.

    Args:
        probabilities: predicted for the rater of each vote, float [J, C].
        votes: position of the label given, int [J].
        signs: +1 for labels that vote for a, −1 for b, 0 for a tie; C of them.
        weights: what each vote counts for [J], as its share where a pair has shares of labels; None for all alike.

    Raises:
        UsageError: a row is no distribution, or shapes do not fit.
    """
    p, sign = check_probabilities(probabilities), np.asarray(signs)
    given = check_codes(votes, len(p), p.shape[1], "votes")
    counts = np.ones(len(p)) if weights is None else np.asarray(weights, dtype=np.float64)
    chosen = p[np.arange(len(p)), given]
    lead = p[:, sign > 0].sum(axis=1) - p[:, sign < 0].sum(axis=1)  # [J]
    sided, towards = sign[given] != 0, lead * sign[given]
    right = (towards > 0) + (towards == 0) / 2
    return {
        "vote_accuracy": _mean(p.argmax(axis=1) == given, counts),
        "vote_log_loss": _mean(-np.log(np.maximum(chosen, SMALLEST)), counts),
        "side_accuracy": _mean(right[sided], counts[sided]),
        "tie_share": _mean(~sided, counts),
        "predicted_tie_share": _mean(p[:, sign == 0].sum(axis=1), counts),
    }


def _mean(values: np.ndarray, counts: np.ndarray) -> float:
    return float((values * counts).sum() / counts.sum()) if counts.sum() > 0 else float("nan")
