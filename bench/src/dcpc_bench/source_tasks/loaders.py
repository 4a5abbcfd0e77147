"""The six public tasks, from their files or the Hugging Face Hub, by their own field names."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from dcpc.data.readers.tables import read_csv
from dcpc.errors import DataError, UsageError

HUB = "hub"
"""As a source: load the task from the Hugging Face Hub."""


@dataclass(frozen=True)
class Task:
    """One public task.

    Attributes:
        name: short name.
        fields: the columns its published files have.
        hub: repository and configuration on the Hugging Face Hub.
        labels: what the label codes 0, 1, … of its published files mean; empty for open answers.
    """

    name: str
    fields: tuple[str, ...]
    hub: tuple[str, str | None]
    labels: tuple[str, ...] = ()


TASKS = {
    task.name: task
    for task in (
        Task("boolq", ("question", "passage", "label"), ("aps/super_glue", "boolq"), ("no", "yes")),
        Task(
            "copa",
            ("premise", "choice1", "choice2", "question", "label"),
            ("aps/super_glue", "copa"),
            ("a", "b"),
        ),
        Task("record", ("passage", "query", "answers"), ("aps/super_glue", "record")),
        Task("sst2", ("sentence", "label"), ("nyu-mll/glue", "sst2"), ("negative", "positive")),
        Task(
            "rte",
            ("premise", "hypothesis", "label"),
            ("aps/super_glue", "rte"),
            ("entailment", "not_entailment"),
        ),
        Task("alpaca", ("instruction", "input", "output"), ("tatsu-lab/alpaca", None)),
    )
}
_SUFFIXES = (".parquet", ".csv", ".jsonl", ".json")
_GLUE_NAMES = {"sentence1": "premise", "sentence2": "hypothesis"}


def load_task(name: str, source: str | Path) -> pd.DataFrame:
    """Load a task's rows, all splits.

    Args:
        name: a name in `TASKS`.
        source: a folder of Parquet / JSON Lines / CSV files, one such file, or `hub`.

    Returns:
        The task's own columns and `item_id` (`train-0`, …, counted within each split) and `split`; `label`
        is a string of `Task.labels`.

    Raises:
        UsageError: if there is no such task.
        DataError: if the source has no such rows, lacks a field, or has labels that the task does not know.
    """
    if name not in TASKS:
        raise UsageError(f'"{name}" is not a task.', fix=f"Tasks: {', '.join(TASKS)}.")
    task = TASKS[name]
    table = _from_hub(task) if str(source) == HUB else read_rows(source)
    table = table.rename(columns={k: v for k, v in _GLUE_NAMES.items() if v in task.fields})
    missing = [field for field in task.fields if field not in table]
    if missing:
        raise DataError(
            f"task {name} needs the field(s) {', '.join(missing)}.",
            where=source,
            fix=f"Its published files have {', '.join(task.fields)}; found {', '.join(map(str, table.columns))}.",
        )
    if "split" not in table:
        table["split"] = "train"
    number = table.groupby("split").cumcount().astype(str)
    table["item_id"] = table["split"].astype(str) + "-" + number
    if task.labels:
        table["label"] = _named_labels(table["label"], task, source)
        table = table[table["label"].notna()]
    return table.reset_index(drop=True)


def read_rows(source: str | Path) -> pd.DataFrame:
    """Read all rows of a file, or of the data files in a folder, in the order of their names.

    Raises:
        DataError: if there is no such file or it cannot be read.
    """
    path = Path(source)
    try:
        files = _data_files(path)
    except OSError as error:
        raise DataError(
            f"cannot be read ({error.strerror}).", where=path, fix="Check that you may read it."
        ) from error
    if not files:
        raise DataError(
            "no Parquet, JSON Lines or CSV file here.", where=path, fix="Name a task's folder or file."
        )
    tables = []
    for file in files:
        try:
            table = _read_file(file)
        except (ValueError, OSError) as error:
            raise DataError(f"cannot be read: {error}", where=file) from error
        if "split" not in table:
            table["split"] = file.stem
        tables.append(table)
    return pd.concat(tables, ignore_index=True)


def task_at(source: str | Path) -> str | None:
    """Which task's published files a file or folder holds, by their field names; None if no task's."""
    try:
        files = _data_files(Path(source))
        if not files:
            return None
        columns = set(pd.read_csv(files[0], nrows=0) if files[0].suffix == ".csv" else _read_file(files[0]))
    except (ValueError, OSError, DataError):
        return None  # whoever reads it next says what is wrong with it
    columns |= {ours for glue, ours in _GLUE_NAMES.items() if glue in columns}
    if "annotator_id" in columns:
        return None
    return next((task.name for task in TASKS.values() if columns >= set(task.fields)), None)


def _data_files(path: Path) -> list[Path]:
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    return [file for file in files if file.is_file() and file.suffix in _SUFFIXES]


def _read_file(file: Path) -> pd.DataFrame:
    if file.suffix == ".parquet":
        return pd.read_parquet(file)
    if file.suffix == ".csv":
        return read_csv(file, str(file)).frame
    return pd.read_json(file, lines=file.suffix == ".jsonl")


def _named_labels(labels: pd.Series, task: Task, source: str | Path) -> pd.Series:
    """Codes, booleans and names alike as the task's label names; −1 (a hidden test label) as missing."""
    names = {str(code): label for code, label in enumerate(task.labels)} | {"-1": None}
    names |= {"False": task.labels[0], "True": task.labels[1]} if task.name == "boolq" else {}
    names |= {label: label for label in task.labels}
    found = labels.astype(str)
    unknown = ~found.isin(names)
    if unknown.any():
        row = int(np.flatnonzero(unknown)[0])
        raise DataError(
            f'"{found.iloc[row]}" is not a label of task {task.name}.',
            where=f'{source}, row {row + 1}, column "label"',
            fix=f"Its labels are {', '.join(task.labels)}, or their positions.",
        )
    return found.map(names)


def _from_hub(task: Task) -> pd.DataFrame:
    import datasets

    repository, configuration = task.hub
    try:
        splits = datasets.load_dataset(repository, configuration)
    except (OSError, ValueError) as error:
        raise DataError(
            f"cannot be loaded from the Hugging Face Hub: {' '.join(str(error).split())[:200]}",
            where=repository,
            fix="Check the connection, or give a folder with the task's files.",
        ) from error
    tables = [split.to_pandas().assign(split=name) for name, split in splits.items()]
    return pd.concat(tables, ignore_index=True)
