"""New annotators for a trained adapter: what each prefers, from a few judgements, with everything else as it is.

The judged items go through the model once; what is then known of an annotator is a posterior
(`dcpc.tuner.annotator_posterior`), kept as points in the adapter. A later file of judgements goes on from there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from dcpc.adapter import TrainedAdapter
from dcpc.data.annotations import Annotations
from dcpc.data.equality import same_ids
from dcpc.errors import UsageError
from dcpc.names import first_of
from dcpc.prediction.evaluate import with_labels_of
from dcpc.prediction.predict import batches
from dcpc.training.groups import stand_ins
from dcpc.training.step import annotator_mode
from dcpc.tuner import DCPCModel
from dcpc.tuner.acting import dcpc_tuner
from dcpc.tuner.annotator_posterior import Prior, posterior_points, precise


@dataclass(frozen=True)
class Adapted:
    """What an adaptation did.

    Attributes:
        annotators: ids of those that were adapted to, now or again.
        judgements: how many of each were used.
        notes: what was left out, to be shown to the user.
    """

    annotators: list[str]
    judgements: list[int]
    notes: list[str]


def adapt(
    adapter: TrainedAdapter,
    few: Annotations,
    *,
    group_column: str | None = None,
    exact: bool = False,
    batch_size: int = 64,
    progress: bool = False,
) -> Adapted:
    """Let an adapter know the annotators of `few` whom it does not know yet.

    The adapter changes in memory: it knows more annotators, and no other number of it is another one. Annotators of
    the training stay as they are, and the population, whose mean the distribution of an item is, is still theirs.

    Args:
        adapter: trained by DCPC with annotators, mode `output`; or on votes between responses with raters.
        few: judgements of new annotators, any number each, with their registers where the adapter has any. Those of
            annotators whom the training knew are left out, and counted. Judgements that an earlier adaptation had
            must not come again: they would count twice.
        group_column: column of `few` with the group of its annotators, from which a new one starts; None for the
            column of the training, where `few` has it.
        exact: an annotator is known only where the id is written as in training; else `1.0` is also `1`.
        batch_size: items per forward pass.
        progress: show a progress bar.

    Raises:
        UsageError: the adapter knows no annotators, or in another way; the judgements name none, or only known ones;
            there is no such group column, or the adapter knows no groups, or none of those in it.
        LabelError: a label that the adapter does not know.
        DataError: a judgement does not say its register.
    """
    if adapter.shape.name == "prefer":
        from dcpc.preference.adapting import add_raters, trained_raters

        few, notes = _of_new_annotators(adapter, few, exact, trained_raters(adapter), adapter.annotators)
        groups = group_stand_ins(adapter, few, group_column)
        add_raters(adapter, few, groups, batch_size=batch_size, progress=progress)
        return Adapted(list(few.annotators), np.bincount(few.annotator_codes).tolist(), notes)
    tuner = _adaptable(adapter)
    effects, config = tuner.annotators, tuner.active_config
    assert config is not None  # `_adaptable`
    few, notes = _of_new_annotators(adapter, few, exact, config.annotators or [], config.known_annotators)
    logits, means = _pass(adapter, few, batch_size, progress)
    judged = torch.from_numpy(adapter.shape.judged(few).astype(np.int64))  # [J]
    names = list(few.annotators)
    earlier = config.adapted_annotators or []
    prior = Prior.of(effects)
    if prior.rank == 0:
        raise UsageError(
            "the annotators of the training do not differ in anything that this adapter knows, so new ones cannot be "
            "told apart.",
            fix="Predict the consensus or the distribution, or train on judgements of more annotators.",
        )
    points = {} if effects.adapted is None else dict(zip(earlier, precise(effects.adapted), strict=True))
    group_of = _groups(tuner, group_stand_ins(adapter, few, group_column))
    for number, name in enumerate(names):
        chosen = torch.from_numpy(np.flatnonzero(few.annotator_codes == number))
        own = prior.after(points[name]) if name in points else prior.around(effects, group_of.get(name))
        items = torch.from_numpy(few.item_codes)[chosen]
        points[name] = posterior_points(effects, own, logits[items], means[items], judged[chosen])
    ids = list(points)
    config.adapted_annotators, config.adapted_points = ids, 2 * prior.rank
    effects.adapt(ids, torch.stack([points[name] for name in ids]))
    counts = np.bincount(few.annotator_codes[few.annotator_codes >= 0], minlength=len(names))
    return Adapted(names, counts.tolist(), notes)


def _adaptable(adapter: TrainedAdapter) -> DCPCModel:
    """The tuner, where new annotators can be told from judgements alone."""
    tuner = dcpc_tuner(adapter.model)
    mode = "none" if tuner is None else annotator_mode(tuner)
    if tuner is None or mode == "none":
        raise UsageError(
            f"this adapter ({adapter.task.method}) knows no annotators, so there is nothing to adapt.",
            fix="Train with --method dcpc, an annotator_mode other than none (the preset paper has none), and data "
            "with an annotator_id column.",
        )
    if mode == "prefix":
        raise UsageError(
            "this adapter's annotators act inside the model (annotator_mode=prefix), so that a new one cannot be "
            "learned from the logits.",
            fix="Train with --set annotator_mode=output, or train again with the new annotators' judgements.",
        )
    return tuner


def _of_new_annotators(
    adapter: TrainedAdapter, few: Annotations, exact: bool, trained: Sequence[str], spelt_as: Sequence[str]
) -> tuple[Annotations, list[str]]:
    """The judgements of annotators whom training did not know, with the adapter's labels; and notes on the rest.

    Args:
        adapter: trained.
        few: judgements.
        exact: ids are the same only where they are written alike.
        trained: annotators whose judgements are left out.
        spelt_as: annotators whose spelling others with an equal id take.
    """
    few = with_labels_of(adapter, few)
    if not few.has_annotators or few.table["annotator_id"].isna().all():
        raise UsageError(
            "the judgements name no annotators.",
            where=few.source,
            fix="Name the column of their ids: --columns annotator_id=YOUR_COLUMN.",
        )
    ids = few.table["annotator_id"]
    spelt = {} if exact else same_ids(ids.dropna().unique(), set(spelt_as))
    if spelt:
        few = replace(few, table=few.table.assign(annotator_id=ids.replace(spelt)))
        ids = few.table["annotator_id"]
    known = ids.isin(list(trained)).to_numpy()
    nameless = ids.isna().to_numpy()
    notes = []
    if known.any():
        who = first_of(sorted(ids[known].unique()), 3)
        notes.append(
            f"{known.sum():,} judgements of annotators whom the training knew were left out, and these stay as they "
            f"are: {who}."
        )
    if nameless.any():
        notes.append(f"{nameless.sum():,} judgements name no annotator and were left out.")
    kept = ~known & ~nameless
    if not kept.any():
        raise UsageError(
            "every judgement is by an annotator whom the adapter knows from its training.",
            where=few.source,
            fix="Train again to learn more of them; adapting is for new annotators.",
        )
    return few.where(kept), notes


@torch.no_grad()
def _pass(
    adapter: TrainedAdapter, few: Annotations, batch_size: int, progress: bool
) -> tuple[Tensor, Tensor]:
    """Logits [I,C] and style logits [I,K] of the items, on the CPU in double precision.

    With G registers C is the number of labels in registers.
    """
    tuner = dcpc_tuner(adapter.model)
    assert tuner is not None
    n_styles = tuner.annotators.mean.shape[1]
    logits = torch.zeros(few.n_items, len(adapter.task.logit_names), dtype=torch.double)
    means = torch.zeros(few.n_items, n_styles, dtype=torch.double)
    for rows, tokens in batches(adapter, few.items, batch_size, progress):
        scored = adapter.rule.scored(adapter.model, tokens)
        logits[rows] = scored.logits.cpu().double()
        if scored.styles is not None:
            means[rows] = scored.styles.mean[-1].cpu().double()
    return logits, means


def group_stand_ins(adapter: TrainedAdapter, few: Annotations, column: str | None) -> dict[str, str]:
    """Stand-in, as the training named it, of the group of every new annotator that has one.

    Args:
        adapter: trained with groups, or without.
        few: judgements of new annotators.
        column: of `few`, with their groups; None for the column of the training.

    Raises:
        UsageError: `column` is not there, the adapter knows no groups, or none of those in it.
    """
    trained = adapter.task.group_column
    if column is None:
        return stand_ins(few, trained)
    if trained is None:
        raise UsageError(
            "the adapter was trained without groups, so a group says nothing of a new annotator.",
            fix="Leave --group-column out, or train with --group-column.",
        )
    if column not in few.table:
        raise UsageError(
            f"there is no group column `{column}`.",
            where=few.source,
            fix=f"Columns are: {', '.join(map(str, few.table.columns))}.",
        )
    table = few.table.drop(columns=trained, errors="ignore").assign(**{trained: few.table[column]})
    named = stand_ins(replace(few, table=table), trained)
    if not set(named.values()) & set(_known_groups(adapter)):
        given = sorted(few.table[column].dropna().astype(str).unique()) or ["nothing"]
        raise UsageError(
            f"the training knew no group of the column `{column}`; it says {first_of(given, 5)}.",
            where=few.source,
            fix=f"Write the groups as in the training's column `{trained}`, or leave --group-column out.",
        )
    return named


def _known_groups(adapter: TrainedAdapter) -> list[str]:
    """Stand-ins of the groups of the training."""
    if adapter.shape.name == "prefer":
        from dcpc.preference.rule import PreferRule

        raters = adapter.rule.raters if isinstance(adapter.rule, PreferRule) else None
        return list(raters.groups) if raters is not None else []
    tuner = dcpc_tuner(adapter.model)
    config = None if tuner is None else tuner.active_config
    return list((config.annotator_groups or {}) if config is not None else {})


def _groups(tuner: DCPCModel, named: Mapping[str, str]) -> dict[str, int]:
    """Index of the group of each new annotator whose group the adapter knows, by the groups' stand-ins."""
    numbers = tuner.annotator_index(list(named.values())).tolist()
    return {who: number for who, number in zip(named, numbers, strict=True) if number >= 0}
