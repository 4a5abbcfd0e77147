"""The batch that several ranks train on together, as one of them sees it.

Every rank passes its own items through the model. The loss of all of them is a mean over items, so that a rank's part
counts by its items; what compares items sees those of all ranks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from dcpc import ranks
from dcpc.objective import BatchState


@dataclass(frozen=True)
class Whole:
    """A batch of B items of which this rank has some.

    Attributes:
        fields: the judgements of all items, as `ItemCollator` makes them.
        sizes: items of every rank; None where the batch is this rank's alone.
    """

    fields: Mapping[str, Tensor]
    sizes: list[int] | None = None

    @classmethod
    def of(cls, batch: Mapping[str, Any]) -> Whole:
        """The whole that a batch is a part of; itself where nobody has another part."""
        whole = batch.get("whole")
        return cls(batch) if whole is None else cls(whole, whole["sizes"].tolist())

    @property
    def share(self) -> float:
        """What a mean over this rank's items counts for, so that the mean over the ranks is that over all items."""
        if self.sizes is None:
            return 1.0
        return self.sizes[ranks.number()] * len(self.sizes) / sum(self.sizes)

    @property
    def n_items(self) -> int:
        """B."""
        return len(self.fields["items"])

    def mine(self, rows: Tensor) -> Tensor:
        """Of rows that stand for all items [B, …] those of this rank's; the first where it has none."""
        if self.sizes is None:
            return rows
        first, size = sum(self.sizes[: ranks.number()]), self.sizes[ranks.number()]
        return rows[first : first + size] if size else rows[:1]

    def all_items(self, rows: Tensor) -> Tensor:
        """Of rows that stand for this rank's items those of all items [B, …], without gradients."""
        if self.sizes is None:
            return rows
        with torch.no_grad():
            return ranks.gathered(rows[: self.sizes[ranks.number()]], self.sizes)

    def noise(self, drawn: Tensor) -> Tensor:
        """Noise that is one for the whole batch: the first rank's."""
        return drawn if self.sizes is None else ranks.from_first(drawn)

    def all_states(self, state: BatchState, *, per_judgement: bool, n_views: int) -> BatchState:
        """What the pair terms need of the rows of all ranks: all of the first view, then all of the second.

        Args:
            state: of this rank's rows.
            per_judgement: a row is a judgement, not an item.
            n_views: passes over each row.
        """
        if self.sizes is None:
            return state
        counts = self._judgements() if per_judgement else self.sizes

        def joined(rows: Tensor) -> Tensor:  # [views · n, …]
            own = [view[: counts[ranks.number()]] for view in rows.chunk(n_views)]
            return torch.cat([ranks.gathered(view, counts) for view in own])

        return _on_rows(state, joined)

    def _judgements(self) -> list[int]:
        """Judgements of every rank."""
        assert self.sizes is not None
        rank_of = torch.repeat_interleave(torch.arange(len(self.sizes)), torch.tensor(self.sizes))
        given = rank_of[self.fields["item_index"].cpu()]
        return torch.bincount(given, minlength=len(self.sizes)).tolist()


def _on_rows(state: BatchState, joined: Callable[[Tensor], Tensor]) -> BatchState:
    """A state with other rows, made of those that it has."""

    def of_layers(tensor: Tensor) -> Tensor:  # [L, n, …]
        return joined(tensor.transpose(0, 1)).transpose(0, 1)

    return BatchState(
        of_layers(state.states),
        joined(state.log_probabilities),
        None if state.styles is None else of_layers(state.styles),
        None if state.prefixes is None else [joined(prefix) for prefix in state.prefixes],
        None if state.prefix_states is None else of_layers(state.prefix_states),
    )
