"""What predicted votes between two responses are worth: figures per vote, beside those per item."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from dcpc.evaluation.inputs import check_codes, check_probabilities
from dcpc.probabilities import SMALLEST


def vote_figures(probabilities: ArrayLike, votes: ArrayLike, signs: Sequence[int]) -> dict[str, float]:
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

    Raises:
        UsageError: a row is no distribution, or shapes do not fit.
    """
    p, sign = check_probabilities(probabilities), np.asarray(signs)
    given = check_codes(votes, len(p), p.shape[1], "votes")
    chosen = p[np.arange(len(p)), given]
    lead = p[:, sign > 0].sum(axis=1) - p[:, sign < 0].sum(axis=1)  # [J]
    towards = (lead * sign[given])[sign[given] != 0]
    right = (towards > 0) + (towards == 0) / 2
    return {
        "vote_accuracy": float((p.argmax(axis=1) == given).mean()),
        "vote_log_loss": float(-np.log(np.maximum(chosen, SMALLEST)).mean()),
        "side_accuracy": float(right.mean()) if len(right) else float("nan"),
        "tie_share": float((sign[given] == 0).mean()),
        "predicted_tie_share": float(p[:, sign == 0].sum(axis=1).mean()),
    }
