"""Raters' effects at the maximum of their posterior, given the margins of a reward model: few convex steps.

    maximise over τ, s, u, … :   Σ_j log p(vote_j | m, rater_j) − ½ Σ_a |(effects_a − prior mean_a) / std|²

With margins that stay as they are, thresholds and sides have one maximum. A training starts from it, and raters whom
a training did not see are learned from a few votes by it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from dcpc.errors import UsageError
from dcpc.preference.raters import Comparison, RaterModel

STEPS = 60
ROWS = ("mean", "log_std")
"""Tensors of `AnnotatorEffects` with a row per rater."""


def fit_raters(
    model: RaterModel,
    pairs: Comparison,
    votes: Tensor,
    raters: Tensor,
    item_index: Tensor | None = None,
    *,
    pool: bool = True,
) -> RaterModel:
    """Fit the effects of the votes' raters in place, by L-BFGS; raters without a vote stay at their prior's mean.

    Args:
        model: whose effects, and with `pool` thresholds, are fitted; all else stays.
        pairs: P pairs.
        votes: position of each vote in the labels [J].
        raters: number of each vote's rater [J], see `RaterModel.index`.
        item_index: pair of each vote [J]; None where J = P, in the same order.
        pool: whether the pool's thresholds move too.

    Returns:
        The model.
    """
    effects = model.effects
    moving: list[nn.Parameter] = [] if effects is None else [effects.mean]
    moving += [model.thresholds] if pool and model.scale.n_cutpoints else []
    if not moving or not len(votes):
        return model
    training, held = model.training, {id(p): p.requires_grad for p in model.parameters()}
    model.eval()  # effects are their means: nothing is sampled or dropped
    for parameter in model.parameters():
        parameter.requires_grad_(any(parameter is each for each in moving))
    optimizer = torch.optim.LBFGS(
        moving, max_iter=STEPS, line_search_fn="strong_wolfe", tolerance_change=1e-7
    )

    def closure() -> Tensor:
        optimizer.zero_grad()
        log_p = model(pairs, raters, item_index)  # [J, C]
        loss = -log_p.gather(1, votes[:, None]).sum()
        if effects is not None:
            loss = loss + (effects.mean - effects.prior_mean()).square().sum() / (2 * effects.prior_std**2)
        loss = loss / len(votes)
        loss.backward()
        return loss

    optimizer.step(closure)
    for parameter in model.parameters():
        parameter.requires_grad_(held[id(parameter)])
        parameter.grad = None
    return model.train(training)


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
        names: ids of the new raters; those without a vote stay at the prior's mean.
        pairs: P pairs with margins of the trained reward model.
        votes: position of each vote in the labels [J].
        raters: id of each vote's rater, J of them, all of `names`.
        item_index: pair of each vote [J]; None where J = P, in the same order.
        groups: groups of the new raters, of those that training knew; others are left out.

    Raises:
        UsageError: a rater is known already or twice in `names`, or the trained raters have no effects.
    """
    known = set(model.raters) & set(names) or {name for name in names if list(names).count(name) > 1}
    if known:
        raise UsageError(
            f'the rater "{min(known)}" is known already.', fix="Give the ids of new raters only."
        )
    if model.effects is None:
        raise UsageError(
            "the raters have no effects, so there is nothing to learn of new ones.",
            fix="Train with ties or sides above 0, and at least two raters.",
        )
    of_groups = set(model.groups.values())
    merged = {**model.groups, **{who: group for who, group in (groups or {}).items() if group in of_groups}}
    device = model.thresholds.device
    state = model.state_dict()

    def like(ids: Sequence[str]) -> RaterModel:
        return RaterModel(ids, model.scale, merged, model.config, model.n_features).to(device)

    fresh = like(names)
    rows = {f"effects.{name}" for name in ROWS}
    fresh.load_state_dict({**fresh.state_dict(), **{k: v for k, v in state.items() if k not in rows}})
    assert fresh.effects is not None
    with torch.no_grad():
        fresh.effects.mean.copy_(fresh.effects.prior_mean())
    fit_raters(fresh, pairs, votes, fresh.index(raters), item_index, pool=False)
    both, own = like([*model.raters, *names]), fresh.state_dict()
    both.load_state_dict({k: torch.cat([v, own[k]]) if k in rows else v for k, v in state.items()})
    return both.eval()
