"""Annotators as random effects: what each prefers, shrunk towards the group where evidence is thin."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from dcpc.errors import UsageError

NULL_ANNOTATOR = -1
# Standard deviation of a fresh posterior, as a fraction of the prior's.
INITIAL_STD_FRACTION = 0.1
STYLE_EFFECT_INIT_STD = 0.1


class AnnotatorEffects(nn.Module):
    """Variational random effects u_a ∈ R^K of the annotators, with priors around their groups' means.

    Indices: 0..A-1 are annotators, A..A+G-1 the means of the groups, those after them annotators that were adapted to
    after the training, -1 is the null annotator (u = 0), which stands for the dominant preference.

    What is known of an annotator who was adapted to is a few points: the average over them of what each predicts is
    the prediction (`dcpc.adaptation`). They count neither for the population nor for the prior.

    Args:
        annotators: ids of the A annotators.
        annotator_groups: group by annotator id; may hold ids that `annotators` does not.
        num_styles: K.
        num_labels: C where preferences act on the logits (mode `output`), else None.
        dropout: probability, in training, that an annotator is replaced by the null annotator.
        prior_std: standard deviation of the prior.

    Attributes:
        held: whether the preferences stay as they are while the rest trains.
        group_of: index of each annotator's group, -1 for none, A of them.
        adapted: points [N,P,K] of the annotators that were adapted to; None for none.
    """

    adapted: Tensor | None

    def __init__(
        self,
        annotators: Sequence[str],
        annotator_groups: dict[str, str] | None,
        num_styles: int,
        num_labels: int | None,
        dropout: float,
        prior_std: float,
    ) -> None:
        super().__init__()
        groups = annotator_groups or {}
        group_names = sorted(set(groups.values()))
        self.size, self.dropout, self.prior_std = len(annotators), dropout, prior_std
        self.held = False
        self._index = {name: position for position, name in enumerate(annotators)}
        group_index = {name: self.size + position for position, name in enumerate(group_names)}
        self._fallback = {name: group_index[group] for name, group in groups.items()}
        self.group_of = [self._fallback.get(name, NULL_ANNOTATOR) for name in annotators]
        self.mean = nn.Parameter(torch.zeros(self.size, num_styles))  # [A,K]
        initial = math.log(INITIAL_STD_FRACTION * prior_std)
        self.log_std = nn.Parameter(torch.full((self.size, num_styles), initial))  # [A,K]
        self.group_mean = nn.Parameter(torch.zeros(len(group_names), num_styles)) if group_names else None
        self.register_buffer("adapted", None)
        self.style_effect: nn.Parameter | None = None
        self.direct_effect: nn.Parameter | None = None
        if num_labels is not None:
            # D starts at the scale at which a preference drawn from a unit prior moves a logit by about one: much
            # smaller, the prior itself would say that annotators hardly differ.
            direct_std = num_styles**-0.5
            style_effect = STYLE_EFFECT_INIT_STD * torch.randn(num_styles, num_labels)
            self.style_effect = nn.Parameter(style_effect)  # E [K,C]
            self.direct_effect = nn.Parameter(direct_std * torch.randn(num_styles, num_labels))  # D [K,C]

    def adapt(self, ids: Sequence[str], points: Tensor) -> None:
        """Know further annotators, whom training did not see, instead of those that were adapted to before.

        Args:
            ids: of all N of them.
            points: [N,P,K] preferences that stand for each.
        """
        first = self.size + (0 if self.group_mean is None else len(self.group_mean))
        self._index = {name: number for name, number in self._index.items() if number < self.size}
        self._index |= {name: first + position for position, name in enumerate(ids)}
        self.adapted = points.to(self.mean)

    def hold(self, held: bool = True) -> None:
        """Keep the preferences as they are while the rest trains: no gradient, no sampling, no dropout."""
        self.held = held
        self.requires_grad_(not held)

    def index(self, ids: Sequence[str]) -> Tensor:
        """Indices [J] of annotator ids; an unknown id falls back to its group, then to the null annotator."""
        known = [self._index.get(name, self._fallback.get(name, NULL_ANNOTATOR)) for name in ids]
        return torch.tensor(known, dtype=torch.long, device=self.mean.device)

    def forward(self, annotator_ids: Tensor) -> Tensor:
        """Preferences u_a: a sample of q(u_a) = N(mean_a, std_a²) in training, the mean otherwise or while held.

        Args:
            annotator_ids: [J] indices.

        Returns:
            [J,K] preferences, 0 for the null annotator.

        Raises:
            UsageError: an index is out of range.
        """
        annotator_ids = annotator_ids.to(self.mean.device)
        adapted = None if self.adapted is None else self.adapted.mean(dim=1)  # [N,K]
        parts = [part for part in (self.mean, self.group_mean, adapted) if part is not None]
        table = torch.cat(parts)  # [A+G+N,K]
        # A graph that is traced cannot hang on values; what is traced was looked up by `index`.
        wrong = (annotator_ids < NULL_ANNOTATOR) | (annotator_ids >= len(table))
        if not torch.compiler.is_compiling() and bool(wrong.any()):
            raise UsageError(
                f"An annotator index is outside -1 to {len(table) - 1}.",
                fix="Get indices from annotator_index(ids).",
            )
        known = annotator_ids >= 0
        sampling = self.training and not self.held
        if sampling and self.dropout > 0:
            known = known & (torch.rand_like(annotator_ids, dtype=torch.float32) >= self.dropout)
        rows = annotator_ids.clamp(min=0)
        preference = table[rows]  # [J,K]
        if sampling:
            std = self.log_std.exp()[rows.clamp(max=self.size - 1)]  # [J,K]
            sampled = preference + std * torch.randn_like(std)
            preference = torch.where((rows < self.size).unsqueeze(-1), sampled, preference)
        return torch.where(known.unsqueeze(-1), preference, preference.new_zeros(()))

    def points_of(self, annotator_ids: Tensor) -> tuple[Tensor, Tensor] | None:
        """Which of J indices are annotators that were adapted to, and points of each; None where nobody was.

        Shapes hang on no value, so that a model can be traced with it.

        Args:
            annotator_ids: [J] indices.

        Returns:
            a mask [J], and points [J,P,K], which mean nothing outside of it.
        """
        if self.adapted is None:
            return None
        first = self.size + (0 if self.group_mean is None else len(self.group_mean))
        return annotator_ids >= first, self.adapted[(annotator_ids - first).clamp(min=0)]

    def effect(self, mean: Tensor, preference: Tensor) -> Tensor:
        """Effect of an annotator on an item's logits: (softmax(μ̄_i + u_a) − softmax(μ̄_i)) E + u_a D.

        Args:
            mean: [...,K] style logits μ̄_i of the item.
            preference: [...,K] u_a.

        Returns:
            [...,C], zero for u_a = 0.
        """
        if self.style_effect is None or self.direct_effect is None:
            raise UsageError(
                "The annotator preferences of this adapter act on the prefix, not on the logits.",
                fix="Pass annotator_ids to forward, or train with annotator_mode='output'.",
            )
        shift = (mean + preference).softmax(dim=-1) - mean.softmax(dim=-1)  # [...,K]
        return shift @ self.style_effect + preference @ self.direct_effect

    def kl(self) -> Tensor:
        """KL of the posteriors to their priors N(group mean or 0, prior_std²), summed over annotators.

        Σ_a Σ_k log(s_p / s) + (s² + (mean − prior mean)²) / (2 s_p²) − 1/2

        Returns:
            a scalar, in nats.
        """
        difference = self.mean - self.prior_mean()  # [A,K]
        prior_log_std = math.log(self.prior_std)
        ratio = (2 * (self.log_std - prior_log_std)).exp() + (difference / self.prior_std) ** 2
        return (prior_log_std - self.log_std + (ratio - 1) / 2).sum()

    def prior_mean(self) -> Tensor:
        """[A,K] mean of each annotator's prior: that of the group, 0 where there is none."""
        if self.group_mean is None:
            return torch.zeros_like(self.mean)
        group = torch.tensor(self.group_of, device=self.mean.device)  # [A]
        rows = (group - self.size).clamp(min=0)
        return torch.where((group >= 0).unsqueeze(-1), self.group_mean[rows], self.mean.new_zeros(()))
