"""Likelihoods of votes between two responses, given the margin of their rewards.

A margin is `reward(a) − reward(b)`. Every likelihood here has mirror symmetry: with the sides swapped, the margin and
the advantage of a side change their sign, and a vote's probability is that of its mirror image.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from dcpc.errors import UsageError

TIE = "tie"
GRADES = ("much", "", "slightly")
"""Strengths of a vote from strong to weak, as they stand before the side: `much a`, `a`, `slightly a`."""
SMALLEST_DISTANCE = 1e-2
"""Between cutpoints at the start, where hardly anybody gave the votes between them."""


@dataclass(frozen=True)
class PreferenceScale:
    """The C votes that a rater can give, in the order of the labels.

    Args:
        labels: `a` and `b`, perhaps `tie`; or graded, from the best for a to the best for b, as
            `("a", "slightly a", "tie", "slightly b", "b")`. With `heights`, any words or numbers.
        heights: how much each vote is for a, C of them: above 0 for a, below for b, 0 for neither, and each with its
            counterpart of the other sign. None tells it from the labels.

    Raises:
        UsageError: a vote has no mirror image, or is for no side.
    """

    labels: tuple[str, ...]
    heights: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        if self.heights is not None:
            self._check_heights(self.heights)
            return
        unknown = [label for label in self.labels if _side(label) is None]
        lonely = [label for label in self.labels if mirrored_label(label) not in self.labels]
        if unknown or lonely or len(set(self.labels)) < 2:
            bad = (unknown or lonely or list(self.labels))[0]
            raise UsageError(
                f'the votes {", ".join(self.labels)} make no preference scale: "{bad}" '
                + ("is a vote for neither side." if unknown else "has no counterpart for the other side."),
                fix="Votes are a, b and tie, or graded: much a, a, slightly a, tie, slightly b, b, much b.",
            )

    def _check_heights(self, heights: tuple[int, ...]) -> None:
        distinct = len(set(heights)) == len(heights) == len(set(self.labels)) == len(self.labels)
        if not distinct or len(heights) < 2 or {-height for height in heights} != set(heights):
            raise UsageError(
                f"the votes {', '.join(self.labels)} make no preference scale: not every one has a counterpart for "
                "the other side.",
                fix="Give as many grades for one side as for the other.",
            )

    @classmethod
    def ordered(cls, labels: Sequence[str], *, first_for: str = "a") -> PreferenceScale:
        """The scale of labels that stand in order, the outermost ones best for a side.

        Args:
            labels: C of them; where C is odd the middle one is a tie.
            first_for: the side that the first label is best for, `a` or `b`.
        """
        sign = 1 if first_for == "a" else -1
        n = len(labels)
        return cls(tuple(labels), tuple(sign * (n - 1 - 2 * rank) for rank in range(n)))

    @property
    def levels(self) -> tuple[int, ...]:
        """How much each vote is for a, C of them."""
        return self.heights or tuple(_height(label) for label in self.labels)

    @property
    def mirror(self) -> list[int]:
        """Position of each vote's mirror image, C of them."""
        levels = self.levels
        return [levels.index(-level) for level in levels]

    @property
    def sign(self) -> list[int]:
        """+1 for votes for a, −1 for votes for b, 0 for a tie; C of them."""
        return [(level > 0) - (level < 0) for level in self.levels]

    @property
    def graded(self) -> bool:
        """Whether votes say how much better a side is."""
        return len(self.labels) > 3

    @property
    def has_ties(self) -> bool:
        """Whether raters can call a tie."""
        return 0 in self.levels

    @property
    def n_cutpoints(self) -> int:
        """Positive thresholds of the ordinal likelihood: between a tie or the other side, and each grade."""
        return len(self.labels) // 2 if self.has_ties else len(self.labels) // 2 - 1

    @property
    def order(self) -> list[int]:
        """Positions of the votes from the best for b to the best for a."""
        return sorted(range(len(self.labels)), key=lambda code: self.levels[code])


def mirrored_label(label: str) -> str:
    """The vote that says the same when the sides are swapped."""
    grade, _, side = label.rpartition(" ")
    other = {"a": "b", "b": "a"}.get(side, side)
    return f"{grade} {other}".strip()


def _side(label: str) -> str | None:
    grade, _, side = label.rpartition(" ")
    fits = (side in ("a", "b") and grade in GRADES) or label == TIE
    return side if fits else None


def _height(label: str) -> int:
    grade, _, side = label.rpartition(" ")
    return {"a": 1, "b": -1, TIE: 0}[side] * (len(GRADES) - GRADES.index(grade))


def vote_log_probabilities(
    margin: Tensor, scale: PreferenceScale, thresholds: Tensor, *, ordinal: bool = False
) -> Tensor:
    """Log-probabilities of all votes.

    Args:
        margin: reward(a) − reward(b), with the advantage that a rater gives side a [...].
        scale: C votes.
        thresholds: [..., T]: of Davidson's model log ν, T = 1; of the ordinal one the logs of the distances between
            cutpoints, T = `scale.n_cutpoints`. Not read where votes are a and b alone.
        ordinal: take the ordinal model for three votes too. Graded votes have no other.

    Returns:
        [..., C], each row sums to 1 in probabilities.
    """
    if scale.graded or (ordinal and scale.has_ties):
        ordered = ordinal_log_probabilities(margin, thresholds, middle=scale.has_ties)
        return ordered[..., _inverse(scale.order)]
    logits = davidson_logits(margin, thresholds[..., 0] if scale.has_ties else None)  # a, b(, tie)
    return logits.log_softmax(dim=-1)[..., [{1: 0, -1: 1, 0: 2}[sign] for sign in scale.sign]]


def thresholds_of_shares(
    shares: Sequence[float], scale: PreferenceScale, *, ordinal: bool = False
) -> list[float]:
    """Thresholds of `vote_log_probabilities` under which votes between equal responses have given shares.

    Davidson: `log ν` with `P(tie) = ν / (2 + ν)`. Ordinal: the logs of the distances between the cutpoints `c_l`,
    with `P(|vote| ≤ l) = 2 σ(c_l) − 1`. Votes and their mirror images share what both have.

    Args:
        shares: of the C votes, above 0, in the order of the labels.
        scale: the votes.
        ordinal: as for `vote_log_probabilities`.

    Returns:
        T values.
    """
    if not scale.n_cutpoints:
        return []
    of_level = {level: share for level, share in zip(scale.levels, shares, strict=True)}
    total = sum(shares)
    if not (scale.graded or ordinal):
        tie = of_level[0] / total
        return [math.log(2 * tie / (1 - tie))]
    inner = of_level.get(0, 0.0)
    cuts: list[float] = []
    for level in sorted(level for level in of_level if level > 0):
        if inner > 0 and len(cuts) < scale.n_cutpoints:
            within = inner / total
            cuts.append(math.log((1 + within) / (1 - within)))  # σ(c) = (1 + within) / 2
        inner += of_level[level] + of_level[-level]
    distances = [after - before for before, after in pairwise([0.0, *cuts])]
    return [math.log(max(distance, SMALLEST_DISTANCE)) for distance in distances]


def davidson_logits(margin: Tensor, tie: Tensor | None) -> Tensor:
    """Logits of a, b and tie: (margin / 2, −margin / 2, log ν); Bradley and Terry's model where there is no tie.

    `P(tie) = ν √(π_a π_b) / (π_a + π_b + ν √(π_a π_b))` with `π = exp(reward)` (Davidson 1970, JASA 65:317-328).

    Args:
        margin: [...].
        tie: log ν, broadcast against the margin; None for votes without ties.

    Returns:
        [..., 3], or [..., 2] without ties.
    """
    half = margin / 2
    sides = [half, -half]
    if tie is not None:
        margin, tie = torch.broadcast_tensors(margin, tie)
        sides = [margin / 2, -margin / 2, tie]
    return torch.stack(sides, dim=-1)


def ordinal_log_probabilities(margin: Tensor, log_distances: Tensor, *, middle: bool = True) -> Tensor:
    """Log-probabilities of L ordered votes, from the best for b to the best for a.

    `P(vote ≤ l) = σ(c_l − margin)` with cutpoints that are symmetric about 0: `±d_1, ±(d_1 + d_2), …`, and 0 besides
    where there is no middle vote (Rao & Kupper 1967 for L = 3; Agresti 1992, Applied Statistics 41:287-297).

    Args:
        margin: [...].
        log_distances: [..., T], log d.
        middle: whether there is a vote for neither side: L = 2T + 1 with it, 2T + 2 without.

    Returns:
        [..., L].
    """
    positive = log_distances.exp().cumsum(dim=-1)  # [..., T]
    centre = [] if middle else [torch.zeros_like(positive[..., :1])]
    cuts = torch.cat([-positive.flip(-1), *centre, positive], dim=-1)  # [..., L-1]
    below = cuts - margin.unsqueeze(-1)  # [..., L-1]
    lowest, highest = logsigmoid(below[..., :1]), logsigmoid(-below[..., -1:])
    upper, lower = below[..., 1:], below[..., :-1]
    # log(σ(u) − σ(l)) = log σ(u) + log σ(−l) + log(1 − e^{l − u})
    between = logsigmoid(upper) + logsigmoid(-lower) + torch.log(-torch.expm1(lower - upper))
    return torch.cat([lowest, between, highest], dim=-1)


def with_errors(log_probabilities: Tensor, scale: PreferenceScale, log_odds: Tensor) -> Tensor:
    """Log-probabilities of votes that are with the probability ε the mirror image of what was meant.

    `(1 − ε) p(vote) + ε p(mirror)` (Crowd-BT: Chen et al. 2013, "Pairwise ranking aggregation in a crowdsourced
    setting", WSDM).

    Args:
        log_probabilities: of meant votes [..., C].
        scale: C votes.
        log_odds: log ε / (1 − ε), broadcast against [...].
    """
    odds = log_odds.unsqueeze(-1)
    meant = logsigmoid(-odds) + log_probabilities
    return torch.logaddexp(meant, logsigmoid(odds) + log_probabilities[..., scale.mirror])


def _inverse(order: Sequence[int]) -> list[int]:
    return [order.index(code) for code in range(len(order))]
