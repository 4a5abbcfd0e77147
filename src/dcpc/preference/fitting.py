"""Raters' effects at the maximum of their posterior, given the margins of a reward model: few convex steps.

    maximise over τ, s, u, … :   Σ_j log p(vote_j | m, rater_j) − ½ Σ_a |(effects_a − prior mean_a) / std|²

With margins that stay as they are, thresholds and sides have one maximum. A training starts from it, and raters whom
a training did not see are learned from a few votes by it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid

from dcpc.data import Annotations
from dcpc.preference.raters import Comparison, RaterModel

STEPS = 60


@dataclass(frozen=True)
class RaterPrior:
    """A normal prior of every rater's effects.

    Attributes:
        mean: [A, E].
        precision: inverse covariance of each [A, E, E].
    """

    mean: Tensor
    precision: Tensor

    @classmethod
    def of(cls, model: RaterModel) -> RaterPrior:
        """What a model takes of raters before any vote."""
        effects = model.effects
        assert effects is not None
        n, size = effects.mean.shape
        unit = torch.eye(size, device=effects.mean.device) / effects.prior_std**2
        return cls(effects.prior_mean().expand(n, size), unit.expand(n, size, size))

    def energy(self, effects: Tensor) -> Tensor:
        """½ Σ_a (e_a − mean_a)ᵀ Λ_a (e_a − mean_a), a scalar."""
        away = effects - self.mean
        return torch.einsum("ae,aef,af->", away, self.precision, away) / 2


def log_likelihood(
    model: RaterModel,
    pairs: Comparison,
    votes: Tensor,
    raters: Tensor,
    item_index: Tensor | None,
    weights: Tensor | None = None,
) -> Tensor:
    """Of the votes, summed: a scalar."""
    found = model(pairs, raters, item_index).gather(1, votes[:, None])[:, 0]  # [J]
    return found.sum() if weights is None else (found * weights).sum()


def fit_raters(
    model: RaterModel,
    pairs: Comparison,
    votes: Tensor,
    raters: Tensor,
    item_index: Tensor | None = None,
    *,
    pool: bool = True,
    prior: RaterPrior | None = None,
    weights: Tensor | None = None,
) -> RaterModel:
    """Fit the effects of the votes' raters in place, by L-BFGS; raters without a vote stay at their prior's mean.

    Args:
        model: whose effects, and with `pool` thresholds, are fitted; all else stays.
        pairs: P pairs.
        votes: position of each vote in the labels [J].
        raters: number of each vote's rater [J], see `RaterModel.index`.
        item_index: pair of each vote [J]; None where J = P, in the same order.
        pool: whether the pool's thresholds move too.
        prior: of the effects; None for the model's own, N(the group's or 0, prior_std²).
        weights: what each vote counts for [J], as its share of a pair; None for all alike.

    Returns:
        The model.
    """
    effects = model.effects
    moving: list[nn.Parameter] = [] if effects is None else [effects.mean]
    moving += [model.thresholds] if pool and model.scale.n_cutpoints else []
    if not moving or not len(votes):
        return model
    n_votes = len(votes) if weights is None else float(weights.sum())
    training, held = model.training, {id(p): p.requires_grad for p in model.parameters()}
    model.eval()  # effects are their means: nothing is sampled or dropped
    for parameter in model.parameters():
        parameter.requires_grad_(any(parameter is each for each in moving))
    optimizer = torch.optim.LBFGS(
        moving, max_iter=STEPS, line_search_fn="strong_wolfe", tolerance_change=1e-7
    )

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = -log_likelihood(model, pairs, votes, raters, item_index, weights)
        if effects is not None:
            loss = loss + (RaterPrior.of(model) if prior is None else prior).energy(effects.mean)
        loss = loss / n_votes
        loss.backward()
        return loss

    optimizer.step(closure)
    for parameter in model.parameters():
        parameter.requires_grad_(held[id(parameter)])
        parameter.grad = None
    return model.train(training)


def start_raters(model: RaterModel, annotations: Annotations) -> RaterModel:
    """Set raters, before a training, to what votes say of them without any reward.

    Who calls ties and who leans to a side comes from votes between responses as if all were equal; who errs from how
    raters agree. In a training of some hundred steps those with few votes would else hardly leave the pool.

    Args:
        model: untrained.
        annotations: the votes to train on.
    """
    n_votes = annotations.n_judgements
    model.start(annotations.counts.sum(axis=0).tolist())
    features = None if model.config.tastes == 0 else torch.zeros(n_votes, model.n_features or 0)
    who = annotations.table["annotator_id"].tolist() if annotations.has_annotators else [""] * n_votes
    votes, raters = torch.from_numpy(annotations.label_codes.astype(np.int64)), model.index(who)
    shares = None if annotations.weights is None else torch.tensor(annotations.weights).float()
    fit_raters(model, Comparison(torch.zeros(n_votes), features), votes, raters, weights=shares)
    if model.error_log_odds is not None and shares is None:  # shares tell nothing of who agrees with whom
        start_errors(model, votes, raters, torch.from_numpy(annotations.item_codes.astype(np.int64)))
    return model


def start_errors(model: RaterModel, votes: Tensor, raters: Tensor, item_index: Tensor) -> None:
    """Set error rates to those under which raters would agree as they do, whatever the responses are.

        maximise Σ_pairs log ½ Σ_z Π_j p(vote_j | better side z, ε_rater) − ½ Σ_a (effect_a / std)²

    The model of one coin per rater (Dawid and Skene 1979, Applied Statistics 28:20-28), from votes for a side.

    Args:
        model: with errors.
        votes: position of each vote in the labels [J].
        raters: number of each vote's rater [J].
        item_index: pair of each vote [J].
    """
    assert model.error_log_odds is not None
    sign = torch.tensor(model.scale.sign)[votes]
    sided = sign != 0
    sign, raters, item_index = sign[sided], raters[sided], item_index[sided]
    std, n_known = model.config.errors or 0.0, len(model.raters)
    pool = nn.Parameter(model.error_log_odds.detach().clone())
    own = nn.Parameter(torch.zeros(n_known))
    known = (raters >= 0) & (raters < n_known)
    optimizer = torch.optim.LBFGS([pool, own], max_iter=STEPS, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        effect = torch.where(known, own[raters.clamp(0, max(n_known - 1, 0))], 0.0) if n_known else 0.0
        odds = pool + std * effect  # [J]
        right, wrong = logsigmoid(-odds).expand(len(sign)), logsigmoid(odds).expand(len(sign))
        sums = [
            odds.new_zeros(int(item_index.max()) + 1).index_add(
                0, item_index, torch.where(sign == side, right, wrong)
            )
            for side in (1, -1)
        ]  # log-probability of a pair's votes where a, or b, is better
        loss = -torch.logaddexp(*sums).sum() + own.square().sum() / 2
        loss.backward()
        return loss

    if len(sign):
        optimizer.step(closure)
    with torch.no_grad():
        # All rates and their complements explain the agreement alike: most votes are taken to be right.
        odds = (
            pool + std * own[raters.clamp(0, max(n_known - 1, 0))] * known
            if n_known
            else pool.expand(len(sign))
        )
        if len(sign) and odds.sigmoid().mean() > 0.5:
            pool, own = nn.Parameter(-pool), nn.Parameter(-own)
        model.error_log_odds.copy_(pool)
        if std > 0 and model.effects is not None:
            column = sum(value > 0 for value in (model.config.ties, model.config.sides))
            model.effects.mean[:, column] = own
