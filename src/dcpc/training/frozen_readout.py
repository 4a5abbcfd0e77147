"""Fitting the cross-layer readout: in closed form before training, weighed against the adapter after it.

1. Before the first step: a ridge regression from the frozen base model's pooled states to the judgements, the
   ridge chosen by cross-validation on the training judgements. It is convex and has no seed.
2. During training the readout is off, so that the adapter learns the judgements by itself. Trained on what the
   readout leaves over, it would learn little but the noise of labels.
3. After training: logits = b · adapter + a · readout, with the (a, b) of a small grid that is most probable given the
   held-out judgements and a normal prior around one half; without any, both count half. The readout keeps the two,
   and both are one half in checkpoints, so that what is saved predicts what was validated.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import product

import numpy as np
import torch
from scipy.special import log_softmax
from torch import Tensor, nn

from dcpc.baselines.probe.logistic import fit_logistic
from dcpc.errors import TrainingError
from dcpc.training.rule import Batch, tokens_of, votes_of
from dcpc.training.step import dcpc_tuner, item_log_probabilities, judged_loss
from dcpc.tuner import DCPCModel

RIDGES = tuple(10.0 ** (k / 2) for k in range(12, -1, -1))
"""λ for standardised states, from strong to weak; the loss is summed over items."""
FOLDS = 4
MOST_ITEMS, MOST_NUMBERS, MOST_DIRECTIONS = 20_000, 2**27, 1_024
"""Of more items, or more numbers in their states, a part is read (2²⁷ numbers are 1 GiB in double precision, of which
a fit needs a few), and of more directions of the states the widest: enough for a linear map."""
SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Factors that are tried for the readout and for the adapter."""
PRIOR_STD = 0.25
"""Of the factors around one half: a few hundred noisy judgements say too little to switch one side off."""


class FrozenReadout:
    """The readout of a DCPC adapter in training.

    Args:
        tuner: whose acting adapter has a readout.

    Attributes:
        fitted: whether `fit` has run.
        held_out: log-probabilities of the training items by regressions that did not see them [I,C], in the order
            of the data set; None before the fit, and where only a part of the items was read.
    """

    def __init__(self, tuner: DCPCModel) -> None:
        assert tuner.readout is not None  # callers ask `of`
        self.tuner, self.readout, self.fitted = tuner, tuner.readout, False
        self.held_out: np.ndarray | None = None
        self.readout.enabled = False
        self.readout.requires_grad_(False)

    @classmethod
    def of(cls, model: nn.Module) -> FrozenReadout | None:
        """The readout of a PEFT model; None where its adapter has none."""
        tuner = dcpc_tuner(model)
        return None if tuner is None or tuner.readout is None else cls(tuner)

    def fit(self, model: nn.Module, batches: Callable[[], Iterable[Batch]], n_items: int) -> None:
        """Regress the judgements of the training items on the frozen states.

        Args:
            model: in any mode; it comes back in training mode.
            batches: goes through the training items.
            n_items: I.

        Raises:
            TrainingError: a state is not a number.
        """
        n_classes, width = self.readout.weight.shape
        every = -(-n_items // min(MOST_ITEMS, max(1, MOST_NUMBERS // width)))
        states, votes, items = [], [], []
        model.eval()
        for number, batch in enumerate(batches()):
            if number % every == 0:
                states.append(self.tuner.frozen_states(through=model, **tokens_of(batch)).cpu().numpy())
                votes.append(votes_of(batch, n_classes).cpu().numpy())
                items.append(batch["items"].cpu().numpy())
        model.train()
        if not all(np.isfinite(part).all() for part in states):
            raise TrainingError(
                "the base model's states of some training items are not finite, so the readout cannot be fitted.",
                fix="Load the base model in float32 or bfloat16, or set readout=False.",
            )
        order = np.argsort(np.concatenate(items))  # in whatever order they were read
        found = fit_readout(np.concatenate(states)[order], np.concatenate(votes)[order])
        with torch.no_grad():
            for name in ("centre", "spread", "weight", "bias"):
                getattr(self.readout, name).copy_(torch.from_numpy(getattr(found, name)))
            self.readout.shares.fill_(0.5)
        self.fitted, self.held_out = True, found.held_out if every == 1 else None

    def item_log_probabilities(self, model: nn.Module, tokens: Batch) -> Tensor:
        """Log of the label distribution while neither is weighed: half adapter, half readout, [B,C]."""
        logits, read = self._both(model, tokens)
        return item_log_probabilities(self.tuner, 0.5 * logits + 0.5 * read)

    def weigh(self, model: nn.Module, held_out: Iterable[Batch] | None) -> tuple[float, float]:
        """Choose a and b, and switch the readout on; one that nothing was fitted for is left as it is.

        Args:
            model: trained.
            held_out: batches with noisy judgements; None for halves.

        Returns:
            (a, b).
        """
        # The weights decide, not `fitted`: a training that is resumed at its end has them from the checkpoint.
        if self.fitted or self.readout.weight.any():
            a, b = self._most_probable(model, held_out)
            with torch.no_grad():
                self.readout.shares.copy_(torch.tensor([b, a]))
        self.readout.enabled = True
        self.readout.requires_grad_(True)
        b, a = self.readout.shares.tolist()
        return a, b

    def _most_probable(self, model: nn.Module, held_out: Iterable[Batch] | None) -> tuple[float, float]:
        """The (a, b) of the grid that is most probable given held-out judgements and the prior."""
        grid = [pair for pair in product(SHARES, SHARES) if sum(pair) > 0]
        # From the log of the normal prior, so that held-out judgements have to make up for the distance.
        losses = ((np.array(grid) - 0.5) ** 2).sum(axis=1) / (2 * PRIOR_STD**2)
        model.eval()
        with torch.no_grad():
            for batch in held_out or ():
                losses += self._losses(model, batch, grid)
        return grid[int(losses.argmin())]

    def _losses(self, model: nn.Module, batch: Batch, grid: list[tuple[float, float]]) -> np.ndarray:
        """Cross-entropy of a batch for every (a, b), summed over items."""
        logits, read = self._both(model, tokens_of(batch))
        found = [
            judged_loss(item_log_probabilities(self.tuner, b * logits + a * read), batch) for a, b in grid
        ]
        return np.array([float(loss) * len(batch["items"]) for loss in found])

    def _both(self, model: nn.Module, tokens: Batch) -> tuple[Tensor, Tensor]:
        """Logits [B,C] of the adapter alone, and of the readout alone."""
        read = self.readout(self.tuner.frozen_states(through=model, **tokens))
        # Last, because predictions for annotators read the preferences of the latest forward pass.
        return model(**tokens).logits.float(), read


@dataclass(frozen=True)
class Regression:
    """A ridge regression of label distributions on standardised states, all in float32.

    Attributes:
        centre: c [D].
        spread: s [D].
        weight: W [C,D].
        bias: b [C].
        held_out: log-probabilities of the items by the regression of the other folds [I,C].
    """

    centre: np.ndarray
    spread: np.ndarray
    weight: np.ndarray
    bias: np.ndarray
    held_out: np.ndarray

    def logits(self, states: np.ndarray) -> np.ndarray:
        """[I,C] of states [I,D]."""
        return (states - self.centre) / self.spread @ self.weight.T + self.bias


def fit_readout(states: np.ndarray, votes: np.ndarray) -> Regression:
    """Fit, with the ridge that predicts held-out items best.

    Args:
        states: [I,D].
        votes: label distribution of each item's judgements [I,C].
    """
    centre, spread = states.mean(axis=0), states.std(axis=0) + 1e-6
    standardised = ((states - centre) / spread).astype(np.float64)
    # The ridge is the same in any rotated basis, and in that of the singular vectors there are at most I directions.
    _, _, basis = np.linalg.svd(standardised, full_matrices=False)
    basis = basis[:MOST_DIRECTIONS]  # [R,D]
    features = standardised @ basis.T  # [I,R]
    ridge, held_out = _choose_ridge(features, votes)
    weights, bias = _fit(features, votes, ridge)  # [R,C], [C]
    found = (centre, spread, weights.T @ basis, bias, held_out)
    return Regression(*(part.astype(np.float32) for part in found))


def _choose_ridge(features: np.ndarray, votes: np.ndarray) -> tuple[float, np.ndarray]:
    folds = np.random.default_rng(0).permutation(len(features)) % FOLDS
    # What nobody has learned anything about is uniform: the items of a training set of a single fold.
    best, best_loss, kept, worse = RIDGES[0], np.inf, np.zeros_like(votes), 0
    for ridge in RIDGES:
        log_p = np.full(votes.shape, -np.log(votes.shape[1]))
        for fold in np.unique(folds):
            inside = folds != fold
            if inside.any():
                weights, bias = _fit(features[inside], votes[inside], ridge)
                log_p[~inside] = log_softmax(features[~inside] @ weights + bias, axis=1)
        loss = -float((votes * log_p).sum())
        if loss < best_loss:
            best, best_loss, kept, worse = ridge, loss, log_p, 0
        else:
            worse += 1
        if worse == 2:  # the loss is convex along the path, and weak ridges are slow to fit
            break
    return best, kept


def _fit(features: np.ndarray, votes: np.ndarray, ridge: float) -> tuple[np.ndarray, np.ndarray]:
    nobody = np.full(len(features), -1)
    fitted = fit_logistic(features, votes, nobody, (1, votes.shape[1]), ridge)
    return fitted.weights, fitted.bias
