"""From a data set's name to the judgements that a cell trains, selects and is tested on."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd

from dcpc.benchmark.calibration import calibrate
from dcpc.benchmark.conditions import Condition
from dcpc.benchmark.suite import Caps, Dataset, Suite
from dcpc.data.annotations import Annotations
from dcpc.data.readers import read_annotations
from dcpc.data.shift import POOLS, CleanItems, simulate
from dcpc.errors import DataError, UsageError
from dcpc.evaluation.splits import Split, draw_budget, split_by_item

GENERATED = "generated-reviews"
"""The data set that needs no file: the demo's reviews, judged by its twelve annotators, three per review."""
GENERATED_ITEMS = 300


@dataclass(frozen=True)
class Source:
    """A data set as read.

    Attributes:
        annotations: real judgements; None for a task with gold labels only.
        items: items with a clean label (gold, or the majority), for simulated annotators.
    """

    annotations: Annotations | None
    items: CleanItems


@dataclass(frozen=True)
class Case:
    """What one cell works on.

    Attributes:
        split: training and validation judgements as the condition shows them, and all test judgements (the
            clean labels where annotators are simulated).
        train_noise: share of the training judgements that differ from the clean label, where that is known.
        strength: dial of the simulated pool.
    """

    split: Split
    train_noise: float | None = None
    strength: float | None = None


def find_path(dataset: Dataset, data_folder: Path | None) -> Path | None:
    """Where a data set lies; None for the generated one and for those of the Hugging Face Hub.

    Raises:
        UsageError: it is not there; says how to name the folder.
    """
    if _is_generated(dataset) or dataset.format == "huggingface":
        return None
    name = Path(dataset.path or dataset.name).expanduser()
    path = name if name.is_absolute() or data_folder is None else data_folder / name
    if not path.exists():
        raise UsageError(
            f"the data set {dataset.name} is not there.",
            where=path,
            fix="Name the folder that holds the data sets with --data-folder or the variable DCPC_DATA.",
        )
    return path


def _is_generated(dataset: Dataset) -> bool:
    return dataset.name == GENERATED and dataset.path is None


def fingerprint(dataset: Dataset, data_folder: Path | None) -> str:
    """SHA-256 of a data set's files and of what the suite makes of them."""
    path = find_path(dataset, data_folder)
    digest = hashlib.sha256(dataset.model_dump_json(exclude={"path", "conditions"}).encode())
    for file in [] if path is None else sorted(path.rglob("*")) if path.is_dir() else [path]:
        if file.is_file():
            digest.update(file.read_bytes())
    return digest.hexdigest()


def load_source(dataset: Dataset, data_folder: Path | None) -> Source:
    """Read a data set and put its labels as the suite wants them.

    Raises:
        UsageError: the data set is not there.
        DataError: it cannot be read, or has none of the labels that the suite names.
    """
    from dcpc.data.tasks import clean_items, load_task
    from dcpc.data.tasks.labelled import sst2_p
    from dcpc.data.tasks.loaders import task_at

    if _is_generated(dataset):
        return _generated()
    path = find_path(dataset, data_folder)
    task = None if path is None or dataset.columns or dataset.format else task_at(path)
    if task in ("record", "alpaca"):
        raise DataError(f"task {task} has open answers, and the benchmark needs labels.", where=path)
    if path is not None and task is not None:
        table = load_task(task, path)
        # SST-2 brings how intense a sentence is, so that simulated annotators disagree on faint ones first.
        items = sst2_p(table, 1.0)[0] if task == "sst2" else clean_items(task, table)
        return Source(None, replace(items, scale="nominal" if items.n_classes == 2 else items.scale))
    annotations = read_annotations(
        path or dataset.path or dataset.name,
        format=dataset.format,
        columns=dataset.columns,
        scale=dataset.scale,
        labels=dataset.label_set,
    )
    annotations = relabel(annotations, dataset)
    return Source(annotations, CleanItems.from_annotations(annotations))


def relabel(annotations: Annotations, dataset: Dataset) -> Annotations:
    """The judgements with their labels merged or binned as the data set's settings say.

    Raises:
        DataError: a label to be merged does not occur, or a label to be binned is no number.
    """
    old = annotations.table["label"]
    if dataset.labels is not None:
        known = set(annotations.labels)
        unknown = [label for members in dataset.labels.values() for label in members if label not in known]
        if unknown:
            raise DataError(
                f'the suite merges the label "{unknown[0]}", which does not occur.',
                where=annotations.source,
                fix=f"Labels are: {', '.join(annotations.labels)}.",
            )
        merged = {member: new for new, members in dataset.labels.items() for member in members}
        new, labels = old.map(merged), tuple(dataset.labels)
    elif dataset.bins is not None:
        values = pd.to_numeric(old, errors="coerce")
        if values.isna().any():
            raise DataError("labels that are no numbers cannot be binned.", where=annotations.source)
        labels = _bin_names(dataset.bins)
        new = pd.Series(np.array(labels)[np.searchsorted(dataset.bins, values)], index=old.index)
    else:
        return annotations
    kept = new.notna()
    table = annotations.table[kept].assign(label=new[kept].astype("str")).reset_index(drop=True)
    nominal = dataset.scale or (
        "ordinal" if len(labels) > 2 and annotations.scale == "ordinal" else "nominal"
    )
    return Annotations(table, labels, nominal, annotations.source, annotations.notes)


def _bin_names(edges: list[float]) -> tuple[str, ...]:
    between = [f"above {low:g} to {high:g}" for low, high in pairwise(edges)]
    return (f"up to {edges[0]:g}", *between, f"above {edges[-1]:g}")


def _generated() -> Source:
    from dcpc.demo.data import DemoData

    data = DemoData.generate(GENERATED_ITEMS, 0, test_items=0)
    judged, _ = simulate(
        data.train_items, data.pool, n_annotators=len(data.pool.groups), labels_per_item=3, seed=0
    )
    table = judged.table.drop(columns="clean_label")
    return Source(Annotations(table, judged.labels, "nominal", GENERATED), data.train_items)


def make_case(source: Source, dataset: Dataset, condition: str, seed: int, suite: Suite) -> Case:
    """The split of a cell. It depends on the seed, not on the method; the items not on the condition either.

    Raises:
        DataError: too few items, a budget of a data set without annotators, or a pool that does not reach the
            asked-for noise.
    """
    asked = Condition.parse(condition)
    if asked.budget is None:
        return _simulated(source.items, asked, seed, suite)
    if source.annotations is None:
        raise DataError(
            f"{dataset.name} has gold labels and no annotators, so there is no budget of annotations.",
            fix="Use the conditions clean and pool=NAME@NOISE for it.",
        )
    split = cap(split_by_item(source.annotations, seed), suite.caps, seed)
    return Case(
        split._replace(
            train=draw_budget(split.train, asked.budget, seed),
            validation=draw_budget(split.validation, asked.budget, seed),
        )
    )


def cap(split: Split, caps: Caps, seed: int) -> Split:
    """The split with at most so many items on each side, drawn at random."""
    rng = np.random.default_rng([seed, 1])
    sides = []
    for side, most in zip(split, (caps.train, caps.validation, caps.test), strict=True):
        order = rng.permutation(side.n_items)
        chosen = side if most is None else side.of_items(side.item_ids[np.sort(order[:most])])
        sides.append(chosen)
    return Split(*sides)


def _simulated(items: CleanItems, asked: Condition, seed: int, suite: Suite) -> Case:
    own = [c for c in items.table.columns if c not in ("annotator_id", "label")]
    table = items.table[own].assign(label=np.array(items.labels, dtype=object)[items.codes])
    clean = cap(split_by_item(Annotations(table, items.labels, items.scale), seed), suite.caps, seed)
    shown = [*clean.train.item_ids, *clean.validation.item_ids]
    judged = _subset(items, items.table["item_id"].isin(shown).to_numpy())
    size = {"n_annotators": suite.annotators, "labels_per_item": suite.labels_per_item, "seed": seed}
    if asked.pool is None:
        annotations, report = simulate(judged, POOLS["confusion"](strength=0.0), **size)
    else:
        settings = dict(suite.pools.get(asked.pool, {}))
        make = POOLS[settings.pop("pool", asked.pool)]
        try:
            make(1.0, **settings)
        except TypeError as error:
            raise UsageError(f"the settings of the pool {asked.pool} do not fit: {error}") from error
        annotations, report = calibrate(partial(make, **settings), judged, asked.noise, **size)
    train = annotations.of_items(clean.train.item_ids)
    wrong = float((train.table["label"] != train.table["clean_label"]).mean())
    annotations = replace(annotations, table=annotations.table.drop(columns="clean_label"))
    split = Split(
        annotations.of_items(clean.train.item_ids),
        annotations.of_items(clean.validation.item_ids),
        clean.test,
    )
    return Case(split, wrong, report.strength)


def _subset(items: CleanItems, chosen: np.ndarray) -> CleanItems:
    return replace(
        items,
        table=items.table[chosen].reset_index(drop=True),
        codes=items.codes[chosen],
        scores=None if items.scores is None else items.scores[chosen],
        features=None if items.features is None else items.features[chosen],
    )
