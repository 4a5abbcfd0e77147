"""Raters whom the training did not see, from a few of their votes, and again when more of them are there.

What is known of such a rater is the mode of a posterior and its curvature (Laplace's approximation):

    e_a = argmax log p(votes_a | e) − ½ (e − μ_a)ᵀ Λ_a (e − μ_a),    Λ_a ← Λ_a − ∂² log p(votes_a | e_a) / ∂e²

Before any vote μ and Λ are the prior's. Later votes start from what the earlier ones left: (e_a, Λ_a) is their prior.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from dcpc.errors import UsageError
from dcpc.preference.fitting import RaterPrior, fit_raters, log_likelihood
from dcpc.preference.raters import Comparison, RaterModel

ROWS = ("mean", "log_std")
"""Tensors of `AnnotatorEffects` with a row per rater."""


def with_new_raters(
    model: RaterModel,
    names: Sequence[str],
    pairs: Comparison,
    votes: Tensor,
    raters: Sequence[str],
    item_index: Tensor | None = None,
    groups: Mapping[str, str] | None = None,
) -> RaterModel:
    """A model that also knows raters whom training did not see, from a few of their votes; the others stay.

    Args:
        model: trained; it is left as it is.
        names: ids of the raters; those that are new and without a vote stay at the prior's mean, those that were
            learned before go on from there.
        pairs: P pairs with margins of the trained reward model.
        votes: position of each vote in the labels [J].
        raters: id of each vote's rater, J of them, all of `names`.
        item_index: pair of each vote [J]; None where J = P, in the same order.
        groups: groups of the new raters, of those that training knew; others are left out.

    Raises:
        UsageError: training knew a rater, one is twice in `names`, or the trained raters have no effects.
    """
    trained = set(model.raters[: model.n_trained]) & set(names)
    if wrong := trained or {name for name in names if list(names).count(name) > 1}:
        raise UsageError(
            f'the rater "{min(wrong)}" is known from the training, or named twice.',
            fix="Give each id once, of raters whom the training did not know.",
        )
    if model.effects is None:
        raise UsageError(
            "the raters have no effects, so there is nothing to learn of new ones.",
            fix="Train with ties or sides above 0, and at least two raters.",
        )
    of_groups = set(model.groups.values())
    merged = {**model.groups, **{who: group for who, group in (groups or {}).items() if group in of_groups}}
    own = _alone(model, names, merged)
    prior = _before(model, own)
    assert own.effects is not None
    with torch.no_grad():
        own.effects.mean.copy_(prior.mean)
    who = own.index(raters)
    fit_raters(own, pairs, votes, who, item_index, pool=False, prior=prior)
    precision = prior.precision + _curvature(own, pairs, votes, who, item_index)
    return _joined(model, own, precision, merged)


def _alone(model: RaterModel, names: Sequence[str], groups: Mapping[str, str]) -> RaterModel:
    """A model of some raters alone, with everything that is not of single raters."""
    alone = RaterModel(names, model.scale, groups, model.config, model.n_features)
    shared = {name: value for name, value in model.state_dict().items() if name not in _of_raters()}
    alone.load_state_dict({**alone.state_dict(), **shared})
    return alone.to(model.thresholds.device)


def _before(model: RaterModel, own: RaterModel) -> RaterPrior:
    """The prior of each rater of `own`, which for those that were learned before is what is known of them."""
    assert model.effects is not None
    fresh = RaterPrior.of(own)
    mean, precision = fresh.mean.detach().clone(), fresh.precision.clone()
    for row, name in enumerate(own.raters):
        if name in model.raters:
            place = model.raters.index(name)
            mean[row] = model.effects.mean.detach()[place]
            precision[row] = model.precision[place - model.n_trained]
    return RaterPrior(mean, precision)


def _curvature(
    own: RaterModel, pairs: Comparison, votes: Tensor, raters: Tensor, item_index: Tensor | None
) -> Tensor:
    """−∂² log p(votes) / ∂e² of every rater [A, E, E]; raters do not hang together, so E passes do for all."""
    assert own.effects is not None
    mean = own.effects.mean
    own.eval()
    if not len(votes):
        return mean.new_zeros(*mean.shape, mean.shape[1])
    (slope,) = torch.autograd.grad(
        -log_likelihood(own, pairs, votes, raters, item_index), mean, create_graph=True
    )
    rows = [torch.autograd.grad(column.sum(), mean, retain_graph=True)[0] for column in slope.unbind(dim=1)]
    return torch.stack(rows, dim=1)


def _joined(model: RaterModel, own: RaterModel, precision: Tensor, groups: Mapping[str, str]) -> RaterModel:
    """The raters of both; those of `own` take the place of what was known of them."""
    assert model.effects is not None
    assert own.effects is not None
    kept = [place for place, name in enumerate(model.raters) if name not in own.raters]
    names = [*(model.raters[place] for place in kept), *own.raters]
    both = RaterModel(names, model.scale, groups, model.config, model.n_features, model.n_trained)
    state, other = model.state_dict(), own.state_dict()
    for name in (f"effects.{row}" for row in ROWS):
        state[name] = torch.cat([state[name][kept], other[name]])
    earlier = [place - model.n_trained for place in kept if place >= model.n_trained]
    state["precision"] = torch.cat([model.precision[earlier], precision.detach()])
    both.load_state_dict(state)
    return both.to(model.thresholds.device).eval()


def _of_raters() -> set[str]:
    return {"precision", *(f"effects.{row}" for row in ROWS)}
