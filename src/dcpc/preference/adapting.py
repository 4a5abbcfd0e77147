"""New raters for a trained reward model, from a few votes of each; no weight of it changes, nor any known rater."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch

from dcpc.adapter import TrainedAdapter
from dcpc.data.annotations import Annotations
from dcpc.errors import UsageError
from dcpc.preference.new_raters import with_new_raters
from dcpc.preference.raters import Comparison
from dcpc.preference.rule import PreferRule


def add_raters(
    adapter: TrainedAdapter,
    few: Annotations,
    groups: Mapping[str, str],
    *,
    batch_size: int = 64,
    progress: bool = False,
) -> None:
    """Let a reward model know the raters of some votes, in memory.

    Args:
        adapter: trained on votes between responses.
        few: votes of raters whom its training did not know, any number each, with its labels. Raters whom it has
            learned since go on from what is known of them.
        groups: stand-in of a new rater's group, by rater; see `dcpc.training.groups`.
        batch_size: pairs per forward pass.
        progress: show a progress bar.

    Raises:
        UsageError: raters have no effects in it.
    """
    rule = adapter.rule
    assert isinstance(rule, PreferRule)
    raters = rule.raters
    if raters is None or raters.effects is None:
        raise UsageError(
            "raters have no effects in this adapter, so there is nothing to learn of new ones.",
            fix="Train with ties or sides above 0, on votes that name two raters or more (annotator_id).",
        )
    pairs = _compared(adapter, rule, few, batch_size, progress)
    more = with_new_raters(
        raters,
        list(few.annotators),
        pairs,
        torch.from_numpy(few.label_codes.astype(np.int64)).to(adapter.device),
        few.table["annotator_id"].tolist(),
        torch.from_numpy(few.item_codes.astype(np.int64)).to(adapter.device),
        {who: raters.groups[name] for who, name in groups.items() if name in raters.groups},
    )
    rule.take(more, adapter.model)


def trained_raters(adapter: TrainedAdapter) -> list[str]:
    """Ids of the raters whom the training of a reward model knew; empty where it tells none apart."""
    rule = adapter.rule
    assert isinstance(rule, PreferRule)
    return [] if rule.raters is None else rule.raters.raters[: rule.raters.n_trained]


@torch.no_grad()
def _compared(
    adapter: TrainedAdapter, rule: PreferRule, few: Annotations, batch_size: int, progress: bool
) -> Comparison:
    """Margins, and where tastes need them features, of all pairs [P]."""
    from dcpc.prediction.predict import batches

    margin, features = torch.zeros(few.n_items, device=adapter.device), None
    for rows, tokens in batches(adapter, few.items, batch_size, progress):
        found, at = rule.compared(adapter.model, tokens), torch.from_numpy(rows).to(adapter.device)
        margin[at] = found.margin
        if found.features is not None:
            if features is None:
                features = margin.new_zeros(few.n_items, found.features.shape[1])
            features[at] = found.features
    return Comparison(margin, features)
