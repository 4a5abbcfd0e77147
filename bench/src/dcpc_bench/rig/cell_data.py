"""From a data set and a condition to the judgements that a cell trains, selects and is tested on."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from dcpc.data.annotations import Annotations
from dcpc.errors import DataError, UsageError
from dcpc_bench.rig.conditions import Condition, Groups
from dcpc_bench.rig.sources import Source
from dcpc_bench.rig.suite import Caps, Dataset, Suite
from dcpc_bench.shifts import POOLS, CleanItems, ShiftReport, simulate
from dcpc_bench.shifts.calibration import calibrate
from dcpc_bench.source_tasks.writing import written
from dcpc_bench.statistics.splits import Split, draw_budget, split_by_item


@dataclass(frozen=True)
class CellData:
    """What one cell works on.

    Attributes:
        split: training and validation judgements as the condition shows them, and the test judgements: all of
            them, those of a group, or where annotators are simulated the clean labels or theirs.
        train_noise: share of the training judgements that differ from the clean label, where that is known.
        strength: dial of the simulated pool.
    """

    split: Split
    train_noise: float | None = None
    strength: float | None = None


def cell_data(source: Source, dataset: Dataset, condition: str, seed: int, suite: Suite) -> CellData:
    """The split of a cell. It depends on the seed, not on the method; the items not on the condition either.

    Raises:
        UsageError: a group that the data set does not have.
        DataError: too few items, a budget or group of a data set without annotators, or a pool that does not
            reach the asked-for noise.
    """
    asked = Condition.parse(condition)
    if asked.budget is None and asked.groups is None:
        return _simulated(source.items, asked, seed, suite)
    if source.annotations is None:
        raise DataError(
            f"{dataset.name} has gold labels and no annotators, so there is no budget or group of annotations.",
            fix="Use the conditions clean and pool=NAME@NOISE for it.",
        )
    whole = split_by_item(source.annotations, seed)
    split = cap(whole, suite.caps if asked.items is None else _sized(whole, asked.items, suite.caps), seed)
    if asked.groups is not None:
        return CellData(_of_groups(split, asked.groups))
    assert asked.budget is not None  # the third kind of condition
    return CellData(
        split._replace(
            train=draw_budget(split.train, asked.budget, seed),
            validation=draw_budget(split.validation, asked.budget, seed),
        )
    )


VALIDATION_SHARE = 0.3
"""Validation items for each training item where a condition names a size: who has few items has few for both."""


def _sized(split: Split, items: int, caps: Caps) -> Caps:
    """The caps of a condition that names the number of training items."""
    if split.train.n_items < items:
        raise DataError(
            f"{items:,} training items were asked for, and {split.train.n_items:,} remain beside validation and "
            "test.",
            where=split.train.source,
            fix=f"Use a smaller size, e.g. budget=1@{split.train.n_items}.",
        )
    most = math.ceil(VALIDATION_SHARE * items)
    return Caps(train=items, validation=min(most, caps.validation or most), test=caps.test)


def cap(split: Split, caps: Caps, seed: int) -> Split:
    """The split with at most so many items on each side, drawn at random."""
    rng = np.random.default_rng([seed, 1])
    sides = []
    for side, most in zip(split, (caps.train, caps.validation, caps.test), strict=True):
        order = rng.permutation(side.n_items)
        chosen = side if most is None else side.of_items(side.item_ids[np.sort(order[:most])])
        sides.append(chosen)
    return Split(*sides)


def _of_groups(split: Split, asked: Groups) -> Split:
    """Training and validation by one group of annotators, test by another."""

    def of(side: Annotations, group: str) -> Annotations:
        if asked.column not in side.table:
            raise UsageError(
                f"there is no column `{asked.column}` to group annotators by.",
                where=side.source,
                fix=f"Columns are: {', '.join(side.table.columns)}.",
            )
        values = side.table[asked.column].astype("str")
        if not (values == group).any():
            raise UsageError(
                f"nobody of the group `{group}` judged the items of one side of the split.",
                where=side.source,
                fix=f"Groups in `{asked.column}` are: {', '.join(sorted(values.dropna().unique())[:20])}.",
            )
        return side.where((values == group).to_numpy())

    return Split(of(split.train, asked.train), of(split.validation, asked.train), of(split.test, asked.test))


def _simulated(items: CleanItems, asked: Condition, seed: int, suite: Suite) -> CellData:
    own = [c for c in items.table.columns if c not in ("annotator_id", "label")]
    table = items.table[own].assign(label=np.array(items.labels, dtype=object)[items.codes])
    clean = cap(split_by_item(Annotations(table, items.labels, items.scale), seed), suite.caps, seed)
    # Without a shift of the test its items take no part, so that the training judgements do not hang on them.
    sides = clean[:2] if asked.shifted == "train" else clean
    judged = _subset(
        items, items.table["item_id"].isin([i for side in sides for i in side.item_ids]).to_numpy()
    )
    size = {"n_annotators": suite.annotators, "labels_per_item": suite.labels_per_item, "seed": seed}
    shifted, report = _judge(judged, asked, suite, size)
    seen = _judge(judged, Condition.parse("clean"), suite, size)[0] if asked.shifted == "test" else shifted
    train = seen.of_items(clean.train.item_ids)
    wrong = float((train.table["label"] != train.table["clean_label"]).mean())
    shown = (train, seen.of_items(clean.validation.item_ids))
    test = clean.test if asked.shifted == "train" else shifted.of_items(clean.test.item_ids)
    return CellData(Split(*map(_without_gold, (*shown, test))), wrong, report.strength)


def _judge(
    items: CleanItems, asked: Condition, suite: Suite, size: dict[str, int]
) -> tuple[Annotations, ShiftReport]:
    """Judgements of a condition's annotators."""
    if asked.pool is None:
        judged, report = simulate(items, POOLS["confusion"](strength=0.0), **size)
        return (judged if asked.written is None else written(judged, asked.written, size["seed"])), report
    settings = dict(suite.pools.get(asked.pool, {}))
    make = POOLS[settings.pop("pool", asked.pool)]
    try:
        make(1.0, **settings)
    except TypeError as error:
        raise UsageError(f"the settings of the pool {asked.pool} do not fit: {error}") from error
    return calibrate(partial(make, **settings), items, asked.noise, **size)


def _without_gold(side: Annotations) -> Annotations:
    return replace(side, table=side.table.drop(columns="clean_label", errors="ignore"))


def _subset(items: CleanItems, chosen: np.ndarray) -> CleanItems:
    return replace(
        items,
        table=items.table[chosen].reset_index(drop=True),
        codes=items.codes[chosen],
        scores=None if items.scores is None else items.scores[chosen],
        features=None if items.features is None else items.features[chosen],
    )
