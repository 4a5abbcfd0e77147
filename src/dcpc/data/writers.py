"""Writers of the long table where other tools expect it; each file appears whole or not at all."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from dcpc.data.annotations import ITEM_COLUMNS, Annotations
from dcpc.errors import UsageError
from dcpc.files import atomic_file, check_output_file


def write_long(annotations: Annotations, path: str | Path) -> Path:
    """Write the long table, all columns, as CSV, TSV, JSON Lines or Parquet by the suffix of `path`.

    Raises:
        UsageError: if the suffix is none of .csv, .tsv, .jsonl, .parquet, or the folder cannot be written to.
    """
    return write_table(annotations.table, Path(path))


def write_crowdkit(annotations: Annotations, path: str | Path, *, texts: bool = True) -> Path:
    """Write crowd-kit's `task, worker, label`, by the suffix of `path`.

    Args:
        texts: also write the columns of the item (`text`, ...): crowd-kit leaves them alone, and reading the
            file back needs them.

    Raises:
        UsageError: if judgements do not say who gave them, or as in `write_long`.
    """
    if not annotations.has_annotators:
        raise UsageError("crowd-kit needs to know the annotators.", where=annotations.source)
    names = {"item_id": "task", "annotator_id": "worker", "label": "label"}
    items = [name for name in (*ITEM_COLUMNS, "split") if name in annotations.table] if texts else []
    return write_table(annotations.table[[*names, *items]].rename(columns=names), Path(path))


def write_argilla(
    annotations: Annotations,
    path: str | Path,
    *,
    question: str = "label",
    suggestions: Mapping[str, str] | np.ndarray | None = None,
    agent: str = "dcpc",
) -> Path:
    """Write Argilla 2 records as JSON: judgements as responses, a consensus as suggestions.

    Read them back with `rg.Dataset.records.from_json`, or with `read_annotations`.

    Args:
        question: the label question's name.
        suggestions: what to suggest: item id → label, or distributions [I, C] in the order of `item_ids`
            and `labels`, of which the most likely label is suggested with its probability as the score.
        agent: who suggests.

    Raises:
        UsageError: if the distributions do not fit the items and labels, or the folder cannot be written to.
    """
    if annotations.weights is not None:
        raise UsageError(
            "Argilla's records hold responses of people, and these data have shares of labels.",
            where=annotations.source,
            fix="Write the long table: name a .csv file.",
        )
    chosen = _suggestions(annotations, suggestions)
    answers = _responses_by_item(annotations)
    columns = [name for name in ITEM_COLUMNS if name in annotations.items]
    records = []
    for item in annotations.items.to_dict("records"):
        identity = str(item["item_id"])
        suggested = {question: {**chosen[identity], "agent": agent}} if identity in chosen else {}
        records.append(
            {
                "id": identity,
                "fields": {name: item[name] for name in columns},
                "metadata": {"split": item["split"]} if "split" in item else {},
                "suggestions": suggested,
                "responses": {question: answers[identity]},
                "vectors": {},
            }
        )
    target = Path(path)
    with atomic_file(target) as temporary, temporary.open("w", encoding="utf-8") as file:
        json.dump(records, file, ensure_ascii=False, indent=1)
    return target


def _responses_by_item(annotations: Annotations) -> dict[str, list[dict[str, Any]]]:
    table = annotations.table
    users = (
        table["annotator_id"]
        if annotations.has_annotators
        else pd.Series(None, index=table.index, dtype=object)
    )
    answers: dict[str, list[dict[str, Any]]] = {str(item): [] for item in annotations.item_ids}
    for item, user, label in zip(table["item_id"], users, table["label"], strict=True):
        answers[item].append(
            {"value": label, "user_id": None if pd.isna(user) else user, "status": "submitted"}
        )
    return answers


def _suggestions(
    annotations: Annotations, suggestions: Mapping[str, str] | np.ndarray | None
) -> dict[str, dict[str, Any]]:
    if suggestions is None:
        return {}
    if isinstance(suggestions, Mapping):
        return {item: {"value": label, "score": None} for item, label in suggestions.items()}
    if suggestions.shape != (annotations.n_items, annotations.n_classes):
        expected = f"[{annotations.n_items}, {annotations.n_classes}]"
        raise UsageError(f"suggestions of shape {expected} are needed, found {list(suggestions.shape)}.")
    best = suggestions.argmax(axis=1)  # [I]
    return {
        str(item): {"value": annotations.labels[label], "score": float(row[label])}
        for item, label, row in zip(annotations.item_ids, best, suggestions, strict=True)
    }


def check_table_output(path: Path, *, force: bool = False) -> None:
    """Refuse, before any work is done, a file that `write_table` could not write, or that is there already.

    Raises:
        UsageError: as `write_table`, or if the file exists while `force` is false.
    """
    _check_suffix(path)
    check_output_file(path, force=force)


def write_table(table: pd.DataFrame, path: Path) -> Path:
    """Write a table, whole or not at all, in the format that the file's name asks for.

    Raises:
        UsageError: a suffix other than .csv, .tsv, .jsonl and .parquet, or a place that cannot be written to.
    """
    with table_in_parts(path) as write:
        write(table)
    return path


@contextmanager
def table_in_parts(path: Path) -> Iterator[Callable[[pd.DataFrame], None]]:
    """Write a table whose rows come in parts; the file appears whole, when the block has succeeded, or not at all.

    Yields:
        A function that takes the next rows; all parts have the same columns, of the same types.

    Raises:
        UsageError, OutputError: as `write_table`.
    """
    suffix = _check_suffix(path)
    with atomic_file(path) as temporary, ExitStack() as stack:
        if suffix == ".parquet":
            yield _in_parquet(temporary, stack)
            return
        file = stack.enter_context(temporary.open("w", encoding="utf-8", newline=""))
        yield partial(_as_json_lines, file) if suffix == ".jsonl" else partial(_as_csv, file, suffix)


def _as_json_lines(file: TextIO, part: pd.DataFrame) -> None:
    if len(part):  # of none, pandas writes an empty line
        part.to_json(file, orient="records", lines=True, force_ascii=False)


def _as_csv(file: TextIO, suffix: str, part: pd.DataFrame) -> None:
    # Strings are quoted throughout: a lone carriage return in a text would else end the row.
    part.to_csv(
        file,
        index=False,
        header=file.tell() == 0,
        sep="\t" if suffix == ".tsv" else ",",
        lineterminator="\n",
        quoting=csv.QUOTE_NONNUMERIC,
    )


def _in_parquet(path: Path, stack: ExitStack) -> Callable[[pd.DataFrame], None]:
    writer: pq.ParquetWriter | None = None

    def write(part: pd.DataFrame) -> None:
        nonlocal writer
        table = pa.Table.from_pandas(
            part, schema=None if writer is None else writer.schema, preserve_index=False
        )
        if writer is None:
            writer = stack.enter_context(pq.ParquetWriter(path, table.schema, compression="zstd"))
        writer.write_table(table)

    return write


def _check_suffix(path: Path) -> str:
    suffix = path.suffix.lower()
    if suffix not in (".csv", ".tsv", ".jsonl", ".parquet"):
        raise UsageError(
            f'"{suffix}" is not a table that can be written.' if suffix else "the file's name has no ending.",
            where=path,
            fix="Use .csv, .tsv, .jsonl or .parquet.",
        )
    return suffix
