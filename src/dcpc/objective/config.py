"""Weights and switches of the objective, and its presets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from dcpc.errors import UsageError
from dcpc.settings import checked


@dataclass(frozen=True)
class ObjectiveConfig:
    """Which terms of equation 13 count, and how much. A weight of 0 switches a term off and saves its cost.

    Attributes:
        ambiguity_weight: λ1, weight of `L_amb`.
        alignment_weight: λ2, weight of `L_align`.
        preference_weight: λ3, weight of `L_KL`.
        similarity_threshold: τ_cos, least cosine of a pair in a layer.
        similarity_quantile: per-layer quantile that a pair's cosine must also reach; None for τ_cos alone.
        ambiguity_threshold: τ_amb, conflict score in nats from which a pair is corrected at all.
        depth_gamma: γ of `β = softmax(γ·l)`.
        detach_similarity: no gradient through the cosine, so that the loss lowers the divergence only.
        normalise_alignment: mean instead of sum of squares in `L_align`.
        batch_pairs: all pairs of different items in a batch are candidates.
        mined_pairs: conflict pairs that were mined from the training set (`dcpc.data.pairs`) are candidates, each
            with its posterior that preference explains the difference; their items share a batch. Presets then
            do without `batch_pairs` and `similarity_quantile` unless these are set too, as mined pairs have
            passed a gate of their own; and one that gives no pair term a weight then gives each `PAIR_WEIGHTS`.
        view_pairs: a second view of every input (other dropout, same preference noise) is its pair.
        only_conflicting: of the batch pairs, only those whose labels differ and come from different annotators.
        annotator_weight: weight of the annotators' KL to their prior, per judgement (1 is the evidence bound).
        target_correction: largest share of a target that moves to the running consensus; 0 switches it off.
        correction_start: epochs before targets are corrected.
        ema_decay: decay of the averaged adapter weights used at the end; 0 switches averaging off.
        one_pass: a training ends with a readout of the adapter's own states, so that a prediction takes one pass
            through the base model; without it the readout stays that of the frozen model, in a second pass.
    """

    ambiguity_weight: float = 0.0
    alignment_weight: float = 0.0
    preference_weight: float = 0.0
    similarity_threshold: float = 0.0
    similarity_quantile: float | None = None
    ambiguity_threshold: float = 0.0
    depth_gamma: float = 0.5
    detach_similarity: bool = True
    normalise_alignment: bool = True
    batch_pairs: bool = False
    mined_pairs: bool = False
    view_pairs: bool = False
    only_conflicting: bool = True
    annotator_weight: float = 1.0
    target_correction: float = 0.0
    correction_start: float = 1.0
    ema_decay: float = 0.0
    one_pass: bool = True

    @property
    def uses_pairs(self) -> bool:
        """Whether any term compares pairs."""
        return max(self.ambiguity_weight, self.alignment_weight, self.preference_weight) > 0

    @property
    def needs_correction(self) -> bool:
        """Whether any term compares what the correction module makes of the two sides of a pair."""
        return max(self.alignment_weight, self.preference_weight) > 0

    def __post_init__(self) -> None:
        for name, value in checked(type(self), vars(self)).items():
            object.__setattr__(self, name, value)
        for name in (
            "ambiguity_weight",
            "alignment_weight",
            "preference_weight",
            "annotator_weight",
            "correction_start",
        ):
            if getattr(self, name) < 0:
                raise UsageError(f"objective `{name}` must not be negative, found {getattr(self, name)}.")
        for name in ("target_correction", "ema_decay", "similarity_quantile"):
            if not 0 <= (getattr(self, name) or 0) <= 1:
                raise UsageError(f"objective `{name}` must lie in [0, 1], found {getattr(self, name)}.")

    @classmethod
    def preset(cls, name: str, **changes: Any) -> ObjectiveConfig:
        """A named configuration, with single fields changed.

        Args:
            name: `paper` (equations 3 to 13 as written), `default` (what is recommended), `none` (task loss).
            **changes: fields to set differently.

        Raises:
            UsageError: if there is no such preset or field, or a value is not of its field's type.
        """
        if name not in PRESETS:
            raise UsageError(f"there is no preset `{name}`.", fix=f"Presets are: {', '.join(PRESETS)}.")
        changes = checked(cls, changes)
        fields_of = dict(PRESETS[name])
        if changes.get("mined_pairs"):
            weights = {} if cls(**fields_of).uses_pairs else PAIR_WEIGHTS
            fields_of |= {"batch_pairs": False, "similarity_quantile": None, **weights}
        return cls(**{**fields_of, **changes})


PRESETS: dict[str, dict[str, Any]] = {
    "paper": {
        "ambiguity_weight": 1.0,
        "alignment_weight": 0.1,
        "preference_weight": 0.1,
        "similarity_threshold": 0.8,
        "detach_similarity": False,
        "normalise_alignment": False,
        "batch_pairs": True,
        "only_conflicting": False,
    },
    "default": {
        "similarity_threshold": 0.5,
        "similarity_quantile": 0.9,
        "batch_pairs": True,
        "one_pass": True,
    },
    "none": {"annotator_weight": 0.0},
}
"""In `default` no pair term has a weight: none was seen to do any good (docs/research.md, row 20). How pairs would be
found and gated stays, for those who give one a weight."""

PAIR_WEIGHTS: dict[str, Any] = {
    "ambiguity_weight": 0.1,
    "alignment_weight": 0.01,
    "preference_weight": 0.01,
}
"""Of the terms over mined pairs where the preset has none: small beside the task loss."""
