"""Each annotator against the other annotators of the same items, and how much of the differences that explains."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from dcpc.inspection.judgements import Judgements, count_pairs, shuffled_within_items

_MOST_CONFUSION_CELLS = 2_000_000

_VARIANCE_WEIGHT = 10.0
"""Judgements that the pooled variance counts for."""

FEWEST_ITEMS = 5
"""Shared items below which nothing is said of preference: an interval would claim what it cannot know."""

_EXACT = 50_000_000
"""Judgements times annotators up to which the second moment of the decomposition is exact, not estimated."""

MODEL = (
    "label score = item (fixed) + annotator (random) + residual (random); variances by Henderson's method 3 "
    "(moments of the item-centred scores)"
)


@dataclass(frozen=True)
class AnnotatorBias:
    """One annotator against the consensus of the others on the same items.

    Attributes:
        annotator: the id.
        judgements: judgements of items that someone else judged too.
        agreement: mean share of the others who gave the same label.
        chance: the agreement that independent labels would give, used as often as this annotator and as the others
            of these items used them: Σ_c own_c · others_c.
        leaning: the label whose use exceeds the others' the most.
        excess: by how much, as a share of the annotator's judgements.
        z: that excess over its standard error if the annotator were like the others; the variance of few
            judgements is shrunk to that of all annotators.
        constant: whether all judgements are the same label.
        leniency: ordinal labels only: mean own position less that of the others, in steps (their threshold).
        extremity: ordinal labels only: spread of own positions over that of the others' positions on the same
            items (their scale); above 1 uses the ends more.
        own, others: how often each label was given, by this annotator and (soft, the same sum) by the others, [C].
        confusion: rows the others' label (soft), columns the own label, [C, C]; None with very many classes.
    """

    annotator: str
    judgements: int
    agreement: float
    chance: float
    leaning: str
    excess: float
    z: float
    constant: bool
    leniency: float | None
    extremity: float | None
    own: np.ndarray
    others: np.ndarray
    confusion: np.ndarray | None


def measure_bias(
    judgements: Judgements, annotators: Sequence[str], labels: Sequence[str]
) -> list[AnnotatorBias]:
    """The bias of every annotator who shares items with others; most judgements first.

    Args:
        judgements: see `shared_judgements`.
        annotators: the A annotator ids.
        labels: the C labels.
    """
    if not len(judgements):
        return []
    given, who = judgements.labels, judgements.annotators
    n_annotators, n_classes = judgements.n_annotators, judgements.n_classes
    counts, others_there = judgements.counts(), (judgements.sizes - 1)[judgements.items]
    own = count_pairs(who, given, n_annotators, n_classes)  # [A, C]
    others = np.zeros((n_annotators, n_classes))  # Σ over own judgements of the others' distribution
    squares = np.zeros((n_annotators, n_classes))  # Σ (own − others)²
    same = np.zeros(len(judgements))  # the others' share of the own label, [J']
    confusion = None
    if n_annotators * n_classes**2 <= _MOST_CONFUSION_CELLS:
        confusion = np.zeros((n_annotators, n_classes, n_classes))
    for label in range(n_classes):
        mine = given == label
        share = (counts[judgements.items, label] - mine) / others_there  # [J']
        same[mine] = share[mine]
        others[:, label] = np.bincount(who, weights=share, minlength=n_annotators)
        squares[:, label] = np.bincount(who, weights=(mine - share) ** 2, minlength=n_annotators)
        if confusion is not None:
            cells = who.astype(np.int64) * n_classes + given
            confusion[:, label] = np.bincount(
                cells, weights=share, minlength=n_annotators * n_classes
            ).reshape(n_annotators, n_classes)
    return _rows(
        annotators, labels, own, others, squares, np.bincount(who, same, n_annotators), confusion, judgements
    )


def _rows(
    annotators: Sequence[str],
    labels: Sequence[str],
    own: np.ndarray,
    others: np.ndarray,
    squares: np.ndarray,
    agreed: np.ndarray,
    confusion: np.ndarray | None,
    judgements: Judgements,
) -> list[AnnotatorBias]:
    n = own.sum(axis=1)  # [A]
    there = np.flatnonzero(n)
    own, others, squares, agreed, n = own[there], others[there], squares[there], agreed[there], n[there]
    excess = (own - others) / n[:, None]
    top = excess.argmax(axis=1)
    rows = np.arange(len(there))
    # Two or three judgements that all differ have no spread of their own: shrink to everyone's.
    pooled = squares.sum(axis=0) / n.sum()  # [C]
    square = squares[rows, top] + _VARIANCE_WEIGHT * pooled[top]
    error = np.sqrt(square / (n + _VARIANCE_WEIGHT) / n)
    z = np.divide(excess[rows, top], error, out=np.zeros(len(there)), where=error > 0)
    chance = (own * others).sum(axis=1) / n**2
    steps = np.arange(judgements.n_classes)
    leniency = excess @ steps
    extremity = _spread_ratio(own / n[:, None], others / n[:, None], steps)
    result = [
        AnnotatorBias(
            annotator=str(annotators[int(position)]),
            judgements=int(n[row]),
            agreement=float(agreed[row] / n[row]),
            chance=float(chance[row]),
            leaning=labels[top[row]],
            excess=float(excess[row, top[row]]),
            z=float(z[row]),
            constant=bool((own[row] > 0).sum() == 1),
            leniency=float(leniency[row]) if judgements.ordinal else None,
            extremity=float(extremity[row]) if judgements.ordinal and np.isfinite(extremity[row]) else None,
            own=own[row],
            others=others[row],
            confusion=None if confusion is None else confusion[position],
        )
        for row, position in enumerate(there)
    ]
    return sorted(result, key=lambda bias: (-bias.judgements, bias.annotator))


def _spread_ratio(own: np.ndarray, others: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """Standard deviation of positions under `own` over that under `others`, distributions [A, C]; NaN without one."""
    own_sd, others_sd = (np.sqrt(np.maximum(p @ steps**2 - (p @ steps) ** 2, 0)) for p in (own, others))
    return np.divide(own_sd, others_sd, out=np.full(len(own), np.nan), where=others_sd > 1e-6)


@dataclass(frozen=True)
class Decomposition:
    """Shares of the variance of labels inside items.

    Attributes:
        preference: share of the annotators' own, constant leanings, 0 to 1; None where it cannot be told.
        low, high: 95 % interval, jackknife over 20 groups of items.
        chance: the largest share that 95 % of the shuffles inside items stay below; a share under it is not
            distinguishable from none.
        reason: why it cannot be told, where it cannot.
    """

    preference: float | None
    low: float | None
    high: float | None
    chance: float | None
    reason: str = ""
    model: str = MODEL


def decompose(
    judgements: Judgements, *, shuffles: int = 39, blocks: int = 20, seed: int = 0
) -> Decomposition:
    """The share of within-item variance that is each annotator's own leaning.

    Assumption: a preference is a leaning that an annotator shows on all items alike. Tastes about some items only
    count as noise here, and so do slips; only asking the same person twice could tell these two apart.
    """
    if not len(judgements):
        return Decomposition(None, None, None, None, "no item was judged by two named annotators")
    if judgements.n_items < FEWEST_ITEMS:
        reason = f"annotators share fewer than {FEWEST_ITEMS} items"
        return Decomposition(None, None, None, None, reason)
    rng = np.random.default_rng(seed)
    moments = _Moments.of(judgements, rng)
    share = moments.share()
    if share is None:
        reason = "annotators judged too few items each, or never differed, to show a leaning"
        return Decomposition(None, None, None, None, reason)
    null = [
        moments.with_labels(judgements.labels[shuffled_within_items(judgements.items, rng)]).share() or 0.0
        for _ in range(shuffles)
    ]
    block_of_item = rng.integers(0, blocks, size=judgements.n_items)
    replicates = [moments.without(block_of_item == block).share() for block in range(blocks)]
    known = np.array([value for value in replicates if value is not None])
    n = max(len(known), 1)
    error = float(np.sqrt((n - 1) / n * np.sum((known - known.mean()) ** 2))) if len(known) else 1.0
    return Decomposition(
        preference=share,
        low=max(share - 1.96 * error, 0.0),
        high=min(share + 1.96 * error, 1.0),
        chance=float(np.quantile(null, 0.95)),
    )


@dataclass(frozen=True)
class _Moments:
    """What Henderson's method needs, as sums over items, so that leaving items out is a subtraction.

    With Z the incidence of annotators, M the centring inside items and Y the scores φ of the labels.

    Attributes:
        judgements: what the sums are over.
        expected: how often each annotator would give each label by the shares of their items, [A, C].
        sums: ZᵀMY, [A, D].
        total: tr(YᵀMY).
        degrees: J − I.
        trace: tr(ZᵀMZ).
        probes: random signs V [A, m] (or the A unit vectors, if A is small), to have ‖ZᵀMZ‖² ≈ ‖ZᵀMZ V‖² / `scale`
            without the A × A matrix (Hutchinson 1990).
        probed: ZᵀMZ V, [A, m].
        scale: m for random signs, 1 for unit vectors.
    """

    judgements: Judgements
    expected: np.ndarray
    sums: np.ndarray
    total: float
    degrees: int
    trace: float
    probes: np.ndarray
    probed: np.ndarray
    scale: float

    @classmethod
    def of(cls, judgements: Judgements, rng: np.random.Generator) -> _Moments:
        """The moments of all judgements."""
        n_annotators = judgements.n_annotators
        if n_annotators * len(judgements) <= _EXACT:
            return _moments(judgements, judgements.scores(), np.eye(n_annotators), 1.0)
        number = int(np.clip(_EXACT // len(judgements), 8, 64))  # the relative error is about 3 / (A √m)
        probes = rng.choice([-1.0, 1.0], (n_annotators, number))
        return _moments(judgements, judgements.scores(), probes, float(number))

    def with_labels(self, labels: np.ndarray) -> _Moments:
        """The same with other labels [J'] that leave each item's counts as they are: only ZᵀMY changes."""
        judgements = self.judgements
        own = count_pairs(judgements.annotators, labels, judgements.n_annotators, judgements.n_classes)
        return replace(self, sums=(own - self.expected) @ judgements.scores())

    def without(self, left_out: np.ndarray) -> _Moments:
        """The same without some items, a mask [I']."""
        gone_rows = left_out[self.judgements.items]
        if not gone_rows.any():
            return self
        columns = ("rows", "items", "annotators", "labels")
        part = replace(
            self.judgements, **{name: getattr(self.judgements, name)[gone_rows] for name in columns}
        )
        gone = _moments(part, self.judgements.scores(), self.probes, self.scale)
        return replace(
            self,
            sums=self.sums - gone.sums,
            total=self.total - gone.total,
            degrees=self.degrees - gone.degrees,
            trace=self.trace - gone.trace,
            probed=self.probed - gone.probed,
        )

    def share(self) -> float | None:
        """σ²_annotator / (σ²_annotator + σ²_residual) of `MODEL`, clipped to [0, 1]; None if not determined.

        The two moments tr(YᵀMY) = σ²_a tr(ZᵀMZ) + σ²_e (J − I) and ‖ZᵀMY‖² = σ²_a ‖ZᵀMZ‖² + σ²_e tr(ZᵀMZ) are
        solved for the two variances (Searle, Casella and McCulloch 1992, *Variance Components*, ch. 5).
        """
        square = float((self.probed**2).sum() / self.scale)
        system = np.array([[self.trace, self.degrees], [square, self.trace]])
        if abs(np.linalg.det(system)) < 1e-6 * self.trace**2 or self.total <= 1e-9:
            return None
        between, residual = np.linalg.solve(system, [self.total, float((self.sums**2).sum())])
        if between + residual <= 0:
            return None
        return float(np.clip(between / (between + residual), 0, 1))


def _moments(judgements: Judgements, phi: np.ndarray, probes: np.ndarray, scale: float) -> _Moments:
    """The sums of `_Moments` over judgements, with the scores φ of labels [C, D]; items without any add nothing."""
    items, who, sizes = judgements.items, judgements.annotators, judgements.sizes
    n_annotators, n_classes = judgements.n_annotators, judgements.n_classes
    counts = judgements.counts()
    shares = counts / np.maximum(sizes, 1)[:, None]  # [I', C]
    expected = np.empty((n_annotators, n_classes))
    for label in range(n_classes):
        expected[:, label] = np.bincount(who, weights=shares[items, label], minlength=n_annotators)
    probed = np.empty_like(probes)
    for column, probe in enumerate(probes.T):
        values = probe[who]
        means = np.bincount(items, weights=values, minlength=len(sizes)) / np.maximum(sizes, 1)
        probed[:, column] = np.bincount(who, weights=values - means[items], minlength=n_annotators)
    own = count_pairs(who, judgements.labels, n_annotators, n_classes)
    return _Moments(
        judgements=judgements,
        expected=expected,
        sums=(own - expected) @ phi,
        total=float((counts @ (phi**2).sum(axis=1)).sum() - ((counts @ phi) * (shares @ phi)).sum()),
        degrees=len(judgements) - int((sizes > 0).sum()),
        trace=float((1 - 1 / sizes[items]).sum()),
        probes=probes,
        probed=probed,
        scale=scale,
    )
