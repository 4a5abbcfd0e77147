"""From a data set's name to its judgements, with the labels that the suite wants."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd

from dcpc.data.annotations import Annotations
from dcpc.data.readers import read_annotations
from dcpc.errors import DataError, UsageError
from dcpc_bench.reviews import judged_reviews, review_items
from dcpc_bench.rig.suite import Dataset
from dcpc_bench.shifts import CleanItems

GENERATED = "generated-reviews"
"""The data set that needs no file; see `dcpc_bench.reviews`."""


@dataclass(frozen=True)
class Source:
    """A data set as read.

    Attributes:
        annotations: real judgements; None for a task with gold labels only.
        items: items with a clean label (gold, or the majority), for simulated annotators.
    """

    annotations: Annotations | None
    items: CleanItems


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
    # What was not given says nothing, so that stores keep their fingerprints when data sets get new fields.
    unused = {"path", "conditions"} | {name for name in ("settings", "task") if not getattr(dataset, name)}
    digest = hashlib.sha256(dataset.model_dump_json(exclude=unused).encode())
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
    from dcpc_bench.source_tasks import clean_items, load_task
    from dcpc_bench.source_tasks.labelled import copa_choices, record_choices, rte_e, sst2_p
    from dcpc_bench.source_tasks.loaders import task_at

    if _is_generated(dataset):
        items = review_items()
        return Source(judged_reviews(items, GENERATED), items)
    path = find_path(dataset, data_folder)
    task = None if path is None or dataset.columns or dataset.format else task_at(path)
    chooses = (dataset.task or {}).get("name") == "choose"
    if path is not None and task in ("copa", "record") and chooses:
        return Source(None, {"copa": copa_choices, "record": record_choices}[task](load_task(task, path)))
    if task in ("record", "alpaca"):
        raise DataError(
            f"task {task} has open answers, and the benchmark needs labels.",
            where=path,
            fix="For ReCoRD give the data set `task: {name: choose}`; for replies see docs/write.md.",
        )
    if path is not None and task is not None:
        table = load_task(task, path)
        # SST-2 brings how intense a sentence is, RTE how many words two sentences share, so that simulated annotators
        # disagree on faint items first.
        scored = {"sst2": sst2_p, "rte": rte_e}
        items = scored[task](table, 1.0)[0] if task in scored else clean_items(task, table)
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
