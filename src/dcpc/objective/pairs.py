"""Which inputs of a batch are compared: the pairs of the objective."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Pairs:
    """P pairs of positions in a batch, with weights.

    Attributes:
        a: positions of side A [P].
        b: positions of side B [P].
        weight: how far preference explains the difference between the sides, in [0, 1], [P].
    """

    a: Tensor
    b: Tensor
    weight: Tensor

    def __len__(self) -> int:
        return len(self.a)

    def dense(self, n_inputs: int) -> bool:
        """Whether they are so many of B inputs that what all pairs take costs less than what each of these does."""
        return len(self) >= 2 * n_inputs

    @classmethod
    def of(cls, a: Tensor, b: Tensor, weight: Tensor | None = None) -> Pairs:
        """Pairs of weight 1 unless said otherwise."""
        return cls(a, b, torch.ones(len(a), device=a.device) if weight is None else weight)

    def joined(self, other: Pairs) -> Pairs:
        """These pairs and the others."""
        return Pairs(
            torch.cat([self.a, other.a]), torch.cat([self.b, other.b]), torch.cat([self.weight, other.weight])
        )

    def where(self, keep: Tensor) -> Pairs:
        """The pairs selected by a boolean mask [P]."""
        return Pairs(self.a[keep], self.b[keep], self.weight[keep])


def batch_pairs(n_inputs: int, device: torch.device) -> Pairs:
    """All B·(B−1)/2 unordered pairs of different inputs of a batch."""
    a, b = torch.triu_indices(n_inputs, n_inputs, offset=1, device=device)
    return Pairs.of(a, b)


def at_least_single(values: Tensor) -> Tensor:
    """In single precision where it was less: a product of bfloat16 hides what two inputs differ in."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


def view_pairs(n_inputs: int, device: torch.device) -> Pairs:
    """Input i and its second view at position B + i, for a batch that holds every input twice."""
    first = torch.arange(n_inputs, device=device)
    return Pairs.of(first, first + n_inputs)


def conflict_weight(
    pairs: Pairs, labels: Tensor, annotators: Tensor, item_index: Tensor, n_inputs: int, n_classes: int
) -> Tensor:
    """Share of the cross judgements of a pair that differ in label *and* come from different annotators.

    A difference within one annotator is a difference between the items, and is kept; only a difference between
    annotators is suspect. Judgements without an annotator count as coming from different ones.

    Args:
        pairs: P candidate pairs of positions in the batch.
        labels: label of each judgement [J].
        annotators: annotator of each judgement [J], −1 where unknown.
        item_index: position in the batch of each judgement's item [J].
        n_inputs: B.
        n_classes: C.

    Returns:
        Weights in [0, 1], [P].
    """
    judgements = torch.zeros(n_inputs, len(labels), device=labels.device)  # [B, J]
    judgements[item_index, torch.arange(len(labels), device=labels.device)] = 1
    one_hot = torch.nn.functional.one_hot(labels, n_classes).float()  # [J, C]
    differ = 1 - one_hot @ one_hot.T  # [J, J]
    known = (annotators[:, None] >= 0) & (annotators[None, :] >= 0)
    other_annotator = 1 - ((annotators[:, None] == annotators[None, :]) & known).float()
    suspect = judgements @ (differ * other_annotator) @ judgements.T  # [B, B]
    counts = judgements.sum(dim=1)
    return suspect[pairs.a, pairs.b] / (counts[pairs.a] * counts[pairs.b]).clamp_min(1)
