"""What annotators add to an item's logits (mode `output`): the half of the tuner that judges, after the pass.

p(label | item, annotator a) = softmax(logits + effect_a)
p(label | item)              = mean over the known annotators of p(label | item, a)
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor

from dcpc.tuner.annotators import AnnotatorEffects
from dcpc.tuner.forward_pass import Styles


class AnnotatorLogits:
    """Logits and distributions of annotators, for a tuner that knows some."""

    @property
    @abstractmethod
    def annotators(self) -> AnnotatorEffects:
        """The acting adapter's annotators; a UsageError where it knows none."""

    def annotator_index(self, ids: Sequence[str]) -> Tensor:
        """Indices [J] of annotator ids; unknown ids fall back to their group's mean, else to -1."""
        return self.annotators.index(ids)

    def annotator_kl(self) -> Tensor:
        """KL of the annotators' posteriors to their priors, summed over annotators: a scalar, in nats."""
        return self.annotators.kl()

    def annotator_logits(
        self, logits: Tensor, annotator_ids: Tensor, item_index: Tensor, styles: Styles | None = None
    ) -> Tensor:
        """Logits of judgements: an item's logits plus its annotator's effect (mode `output`).

        In training, effects are sampled and some annotators dropped; in evaluation they are the means. Of annotators
        that were adapted to it is the log of the mean prediction over their points.

        Args:
            logits: [B,C] of a pass that ran without annotators.
            annotator_ids: [J] annotator of each judgement, -1 for unknown.
            item_index: [J] row of each judgement's item in `logits`.
            styles: of that pass, from its `PassRecord`; None without correction.

        Returns:
            [J,C].
        """
        annotators = self.annotators
        mean = self._style_mean(logits, styles)[item_index]
        effect = annotators.effect(mean, annotators(annotator_ids))  # [J,C]
        found = logits[item_index] + effect.to(logits.dtype)
        adapted = annotators.points_of(annotator_ids)
        if adapted is not None:
            is_adapted, points = adapted
            each = annotators.effect(mean.unsqueeze(1), points)  # [J,P,C]
            shares = (logits[item_index].unsqueeze(1) + each.to(logits.dtype)).softmax(dim=-1).mean(dim=1)
            found = torch.where(is_adapted.unsqueeze(1), shares.clamp_min(1e-12).log(), found)
        return found

    def population_probabilities(self, logits: Tensor, styles: Styles | None = None) -> Tensor:
        """Mean label distribution over all known annotators, in probability space (mode `output`).

            1/A Σ_a softmax(z + v_a)_c  =  exp z_c · 1/A Σ_a exp v_ac / (exp z · exp v_a)

        The right side is two matrix products, [B,C] by [C,A] and back, where v_a is the same for all items.

        Args:
            logits: [B,C] of a pass that ran without annotators.
            styles: of that pass, from its `PassRecord`; None without correction.

        Returns:
            [B,C], rows sum to 1.
        """
        annotators = self.annotators
        if styles is not None:
            effect = annotators.effect(
                self._style_mean(logits, styles).unsqueeze(1), annotators.mean
            )  # [B,A,C]
            return (logits.unsqueeze(1) + effect.to(logits.dtype)).softmax(dim=-1).mean(dim=1)
        effect = annotators.effect(torch.zeros_like(annotators.mean), annotators.mean).double()  # [A,C]
        of_items = (logits.double() - logits.double().amax(dim=1, keepdim=True)).exp()  # [B,C]
        weighted = torch.zeros_like(of_items)
        for part in effect.split(MOST_AT_ONCE):
            of_annotators = (part - part.amax(dim=1, keepdim=True)).exp()
            weighted = weighted + (of_items @ of_annotators.T).reciprocal() @ of_annotators
        return (of_items * weighted / len(effect)).to(logits.dtype)

    def _style_mean(self, logits: Tensor, styles: Styles | None) -> Tensor:
        """[B,K] μ̄, the last layer's mean; 0 without correction."""
        annotators = self.annotators
        if styles is None:
            return logits.new_zeros(logits.shape[0], annotators.mean.shape[1], dtype=annotators.mean.dtype)
        return styles.mean[-1]


MOST_AT_ONCE = 65_536
"""Annotators over whom a mean is taken in one piece: with 64 items that is 32 MiB."""
