"""Fitting the cross-layer readout: a convex regression before training, and again after it, where it is weighed.

1. Before the first step: a logistic ridge regression from the frozen base model's pooled states to the judgements,
   with an effect of every annotator where preferences act on the logits. What strict and lenient annotators differ in
   is then no noise to the states' weights. Cross-validation on the training judgements chooses the ridges. It is
   convex and has no seed.
2. During training the readout is off, so that the adapter learns the judgements by itself. Trained on what the
   readout leaves over, it would learn little but the noise of labels. Annotators keep the effects of the regression:
   the adapter learns what is left when these have explained who judges how. Trained beside it, most of hundreds of
   annotators would have a step or two for their few labels. They go on training where the data are too large to be
   read whole.
3. After training the readout is fitted a second time, to the states that the adapter's own pass goes through, so that
   a prediction takes one pass and not two. Annotators keep their effects. On real annotators this predicted as well
   as the readout of the frozen states; with the weights that those gave, adapted states say less (docs/research.md,
   row 40).
4. logits = β · adapter + α · readout, with the (β, α) to be expected given the held-out judgements
   and a normal prior around one half (the posterior mean over a grid: the most probable pair would jump with a few
   judgements); without any, both count half. The readout keeps the two, and both are one half in checkpoints, so
   that what is saved predicts what was validated.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from hashlib import blake2b
from itertools import product
from typing import Any

import numpy as np
import torch
from scipy.special import softmax
from torch import Tensor, nn

from dcpc import ranks
from dcpc.data import Annotations
from dcpc.errors import TrainingError
from dcpc.objective import slider_targets
from dcpc.regression.logistic import Judged
from dcpc.tasks import Scored
from dcpc.training.dataset import ItemDataset
from dcpc.training.predicted import Predicted, judged_loss, predicted
from dcpc.training.readout_regression import Regression, fit_readout
from dcpc.training.rule import Batch, tokens_of
from dcpc.training.sharding import is_sharded
from dcpc.training.step import annotator_mode
from dcpc.tuner import DCPCModel
from dcpc.tuner.acting import dcpc_tuner, recorded_pass
from dcpc.tuner.readout import Shares

MOST_ITEMS, MOST_NUMBERS = 20_000, 2**27
"""Of more items, or more numbers in their states, a part is read: enough for a linear map. 2²⁷ numbers are 1 GiB in
double precision, of which a fit needs a few."""
HALVES = Shares(0.5, 0.5)
"""While a training goes on."""
SHARES = np.linspace(0.0, 1.0, 9)
"""Factors that are weighed for the readout and for the adapter."""
PRIOR_STD = 0.25
"""Of the factors around one half: a few hundred noisy judgements say too little to switch one side off."""


class FrozenReadout:
    """The readout of a DCPC adapter in training.

    Args:
        tuner: whose acting adapter has a readout.
        data: the training set.
        shares: to use instead of weighing them.

    Attributes:
        every: how many items there are to each one that is read; 1 where all are.
        fitted: whether `fit` has run.
        effects: of the adapter's annotators on the logits [A,C]; None before the fit, and where it knew none.
    """

    def __init__(self, tuner: DCPCModel, data: ItemDataset, shares: Shares | None = None) -> None:
        assert tuner.readout is not None  # callers ask `of`
        self.tuner, self.readout, self.fitted, self.shares = tuner, tuner.readout, False, shares
        most = min(MOST_ITEMS, max(1, MOST_NUMBERS // self.readout.weight.shape[1]))
        self.every, self.shape = math.ceil(len(data) / most), data.shape
        self.effects: np.ndarray | None = None
        self._known: dict[bytes, Tensor] = {}
        self._hold(True)

    def _hold(self, held: bool) -> None:
        """Switch the readout off, and hold it and the annotators; or back."""
        self.readout.enabled = not held
        if held:
            self._read_states("frozen")
        self.readout.requires_grad_(not held)
        if annotator_mode(self.tuner) == "output":
            self.tuner.annotators.hold(held and self.every == 1)

    @classmethod
    def of(cls, model: nn.Module, data: ItemDataset, shares: Shares | None = None) -> FrozenReadout | None:
        """The readout of a PEFT model that is trained on these items; None where its adapter has none."""
        tuner = dcpc_tuner(model)
        return None if tuner is None or tuner.readout is None else cls(tuner, data, shares)

    def fit(self, model: nn.Module, batches: Callable[[], Iterable[Batch]], annotations: Annotations) -> None:
        """Regress the judgements of the training items on the frozen states.

        Args:
            model: in any mode; it comes back in training mode.
            batches: goes through the training items.
            annotations: their judgements.

        Raises:
            TrainingError: a state is not a number.
        """
        self.effects = self._fit(model, batches, annotations).effects
        self._set_shares(self.shares or HALVES)
        self.fitted = True

    def one_pass(
        self, model: nn.Module, batches: Callable[[], Iterable[Batch]], annotations: Annotations
    ) -> None:
        """Fit again, to the states of the trained adapter's own pass; for the weights that are kept.

        Args:
            model: trained.
            batches: goes through the training items.
            annotations: their judgements.
        """
        self._read_states("adapted")
        self._fit(model, batches, annotations)

    @property
    def acts(self) -> bool:
        """Whether it was ever fitted, here or before a training that is resumed at its end."""
        return self.fitted or bool(self.readout.weight.any())

    def _read_states(self, whose: str) -> None:
        """Read the states of the `frozen` model or of the `adapted` pass from here on."""
        config = self.tuner.active_config
        assert config is not None  # an adapter with a readout acts
        config.readout_states = whose

    def _fit(
        self, model: nn.Module, batches: Callable[[], Iterable[Batch]], annotations: Annotations
    ) -> Regression:
        model.eval()
        found = self._fitted(model, batches, annotations)
        model.train()
        with torch.no_grad():
            for name in ("centre", "spread", "weight", "bias"):
                getattr(self.readout, name).copy_(torch.from_numpy(getattr(found, name)))
        self._known.clear()
        return found

    def _fitted(
        self, model: nn.Module, batches: Callable[[], Iterable[Batch]], annotations: Annotations
    ) -> Regression:
        read = ranks.on_first(self._read(model, batches))
        reads_own = self._reads_own

        def fitted() -> Regression:
            assert read is not None  # on the first rank, where this runs
            states, items = (np.concatenate(parts) for parts in zip(*read, strict=True))
            if not np.isfinite(states).all():
                raise _not_finite(trained=reads_own)
            order = np.argsort(items)
            return fit_readout(self._judged(states[order], items[order], annotations))

        return ranks.once(fitted)

    def _read(
        self, model: nn.Module, batches: Callable[[], Iterable[Batch]]
    ) -> tuple[np.ndarray, np.ndarray]:
        """States [I',D] of all items or a part of them, this rank's share, and which they are, int [I']."""
        states, items = [np.empty((0, self.readout.weight.shape[1]), np.float32)], [np.empty(0, np.int64)]
        for (numbers, tokens), own in ranks.in_step(self._kept(batches())):
            found = self._states(model, tokens).cpu().numpy()
            if own:
                states.append(found)
                items.append(numbers.cpu().numpy())
        return np.concatenate(states), np.concatenate(items)

    def _kept(self, batches: Iterable[Batch]) -> Iterator[tuple[Tensor, Batch]]:
        """Of every batch the numbers of the items that are read, and their tokens."""
        for batch in batches:
            # By item: batches may be of another size in a resumed training.
            kept = batch["items"] % self.every == 0
            if kept.any():
                yield batch["items"][kept], {name: field[kept] for name, field in tokens_of(batch).items()}

    def _states(self, model: nn.Module, tokens: Batch) -> Tensor:
        """What the readout reads of B items [B,R]."""
        if self._reads_own:
            return self._own_pass(model, tokens)[1]
        return self.tuner.frozen_states(through=model, **tokens)

    @property
    def _reads_own(self) -> bool:
        config = self.tuner.active_config
        return config is not None and config.readout_states == "adapted"

    @torch.no_grad()
    def _own_pass(self, model: nn.Module, tokens: Batch) -> tuple[Scored, Tensor]:
        """The adapter's logits of B items without the readout, and what a readout reads on the way [B,R]."""
        output, styles = recorded_pass(model, tokens, output_hidden_states=True)
        return Scored(output.logits.float(), styles), self.tuner.states_read(
            output, tokens.get("attention_mask")
        )

    def _judged(self, states: np.ndarray, items: np.ndarray, annotations: Annotations) -> Judged:
        """The judgements of the items that were read, by the adapter's annotators."""
        numbers, size = np.full(len(annotations.annotators), -1), 0
        if annotator_mode(self.tuner) == "output":
            size = self.tuner.annotators.size
            numbers = self.tuner.annotator_index(list(annotations.annotators)).cpu().numpy()
            numbers = np.where(numbers < size, numbers, -1)  # a group is no annotator
        position = np.full(annotations.n_items, -1)
        position[items] = np.arange(len(items))
        rows = position[annotations.item_codes] >= 0
        return Judged(
            features=states,
            items=position[annotations.item_codes[rows]],
            labels=annotations.label_codes[rows],
            annotators=np.append(numbers, -1)[annotations.annotator_codes[rows]],  # code −1 reads the last
            n_annotators=size,
            n_classes=annotations.n_classes,
            targets=slider_targets(annotations),
            weights=None if annotations.weights is None else annotations.weights[rows],
        )

    def scored(self, model: nn.Module, tokens: Batch, **preference: Any) -> Scored:
        """A pass while neither is weighed: half adapter, half readout."""
        return self._joined(*self._both(model, tokens, **preference), self.shares or HALVES)

    def weigh(self, model: nn.Module, held_out: Iterable[Batch] | None) -> Shares:
        """Choose how much each counts, and switch the readout on; one that nothing was fitted for is left as it is.

        Args:
            model: trained.
            held_out: batches with noisy judgements; None for halves.
        """
        if self.acts:
            self._set_shares(self.shares or self._expected(model, held_out))
        self._hold(False)
        return Shares(*self.readout.shares.tolist())

    @torch.no_grad()
    def _set_shares(self, shares: Shares) -> None:
        self.readout.shares.copy_(torch.tensor(shares))

    def _expected(self, model: nn.Module, held_out: Iterable[Batch] | None) -> Shares:
        """Posterior mean of (β, α) over the grid, given held-out judgements and the prior."""
        grid = np.array(list(product(SHARES, SHARES)))  # [P,2]
        # Minus the logs of prior and likelihood, so that held-out judgements have to make up for the distance.
        prior = ((grid - 0.5) ** 2).sum(axis=1) / (2 * PRIOR_STD**2)
        losses = np.zeros(len(grid))
        model.eval()
        with torch.no_grad():
            for batch, own in ranks.in_step(held_out or ()):
                losses += own * self._losses(model, batch, grid)
        losses = prior + np.array(ranks.total(losses.tolist()))
        return Shares(*(softmax(-losses) @ grid).tolist())

    def _losses(self, model: nn.Module, batch: Batch, grid: np.ndarray) -> np.ndarray:
        """Cross-entropy of a batch for every (β, α) of a grid [P,2], summed over items, [P]."""
        tokens, who, item = tokens_of(batch), batch["annotator_ids"], batch["item_index"]
        inside = annotator_mode(self.tuner) == "prefix"
        if inside:  # annotators act inside the model: a pass for every judgement
            each = {name: field[item] for name, field in tokens.items()}
            of_judgements = self._both(model, each, annotator_ids=who)
        of_items = self._both(model, tokens)
        known = who if annotator_mode(self.tuner) == "output" else None
        found = []
        for shares in (Shares(*point) for point in grid):
            said = predicted(self.tuner, self._joined(*of_items, shares), known, item)
            if inside:
                own = self._joined(*of_judgements, shares).logits
                said = Predicted(said.items, own.log_softmax(dim=-1))
            found.append(float(judged_loss(said, batch)) * len(batch["items"]))
        return np.array(found)

    def _both(self, model: nn.Module, tokens: Batch, **preference: Any) -> tuple[Scored, Tensor]:
        """A pass of the adapter alone, and the logits [B,C] of the readout alone."""
        if self._reads_own:
            scored, states = self._own_pass(model, tokens)
            return scored, self.readout(states)
        return self.shape.forward(model, tokens, **preference), self._readout_logits(model, tokens)

    @staticmethod
    def _joined(adapter: Scored, readout: Tensor, shares: Shares) -> Scored:
        """β · adapter + α · readout."""
        return Scored(shares.adapter * adapter.logits + shares.readout * readout, adapter.styles)

    def _readout_logits(self, model: nn.Module, tokens: Batch) -> Tensor:
        """[B,C], computed once per batch: held-out batches come again every epoch, to the same frozen model.

        Not where a pass is work of all ranks: what one of them knows, others may not.
        """
        if is_sharded(model):
            return self.readout(self.tuner.frozen_states(through=model, **tokens))
        found = blake2b(digest_size=16)
        for name, field in tokens.items():
            found.update(f"{name} {tuple(field.shape)}".encode() + field.cpu().numpy().tobytes())
        key = found.digest()
        if key not in self._known:
            self._known[key] = self.readout(self.tuner.frozen_states(through=model, **tokens)).detach()
        return self._known[key]


def _not_finite(*, trained: bool) -> TrainingError:
    """The error about states that are no numbers, of the trained adapter or of the base model."""
    if trained:
        return TrainingError(
            "the training has diverged: states of some training items are not finite numbers.",
            fix="Lower learning_rate.",
        )
    return TrainingError(
        "the base model's states of some training items are not finite, so the readout cannot be fitted.",
        fix="Load the base model in float32 or bfloat16, or set readout=False.",
    )
