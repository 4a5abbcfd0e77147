"""Target correction: a label that conflicts with its own item's running consensus is moved toward it."""

from __future__ import annotations

import torch
from torch import Tensor


class RunningConsensus:
    """The model's own prediction for every item, averaged over training (a memory bank, no second pass).

    Args:
        n_items: I.
        n_classes: C.
        momentum: weight of the past; 0.9 by default, so that about ten visits count.
    """

    def __init__(self, n_items: int, n_classes: int, momentum: float = 0.9) -> None:
        self.momentum = momentum
        self.predictions = torch.full((n_items, n_classes), 1.0 / n_classes)
        self.visits = torch.zeros(n_items, dtype=torch.long)

    def update(self, items: Tensor, probabilities: Tensor) -> Tensor:
        """Add the newest predictions and return the running consensus of these items.

        Args:
            items: positions of the items [B].
            probabilities: predicted label distributions [B, C].

        Returns:
            Running consensus [B, C], on the device of `probabilities`.
        """
        index, fresh = items.cpu(), probabilities.detach().float().cpu()
        first = (self.visits[index] == 0)[:, None]
        mixed = self.momentum * self.predictions[index] + (1 - self.momentum) * fresh
        self.predictions[index] = torch.where(first, fresh, mixed)
        self.visits[index] += 1
        return self.predictions[index].to(probabilities.device)

    def state_dict(self) -> dict[str, Tensor]:
        """What a checkpoint must hold for an exact resume."""
        return {"predictions": self.predictions, "visits": self.visits}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Take up a checkpoint's state."""
        self.predictions, self.visits = state["predictions"].clone(), state["visits"].clone()


def corrected_targets(targets: Tensor, consensus: Tensor, strength: float) -> Tensor:
    """Move label distributions toward the running consensus, `(1 − w)·y + w·q` with `w = strength · conflict`.

    The conflict is the total-variation distance `½ Σ_c |y − q|` in [0, 1]: a label that the consensus shares
    stays as it is.

    Args:
        targets: label distributions [J, C].
        consensus: running consensus of each judgement's item [J, C].
        strength: largest share of the target that can move, in [0, 1].

    Returns:
        Corrected label distributions [J, C].
    """
    conflict = 0.5 * (targets - consensus).abs().sum(dim=-1, keepdim=True)
    weight = strength * conflict
    return (1 - weight) * targets + weight * consensus
