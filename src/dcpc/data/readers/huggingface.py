"""Hugging Face data sets: a folder written by `save_to_disk`, a local data set folder, or an id on the Hub.

All splits are read; the split's name goes into `split`. Class labels become their names. Rows that are records of a
tool (Argilla's exports, nested judgements, votes, preference pairs) and wide tables are told by their columns.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from dcpc.data.raw import RawTable, count, numbered
from dcpc.data.readers.assemble import rename
from dcpc.data.readers.formats import Peek
from dcpc.data.readers.records import Records
from dcpc.data.readers.tools import tool_formats
from dcpc.data.readers.wide import annotator_columns, check_shared_labels, lengthen
from dcpc.errors import DataError


def read_huggingface(source: str, columns: Mapping[str, str]) -> RawTable:
    """A Hugging Face data set.

    Raises:
        DataError: if it cannot be found or loaded.
    """
    splits = _load(source)
    frames = {name: _frame(split) for name, split in splits.items()}
    notes = (f"Read {count(len(frames), 'split')}: {', '.join(frames)}.",) if len(frames) > 1 else ()
    named = [f if "split" in f or len(frames) == 1 else f.assign(split=name) for name, f in frames.items()]
    raw = numbered(pd.concat(named, ignore_index=True), source, 1, notes=notes)
    if _has_nested_values(raw.frame):
        # Arrays as lists, and no more pandas: the readers of records take plain Python values.
        rows = [{name: _plain(value) for name, value in row.items()} for row in _rows(raw.frame)]
        peek = Peek(Path(source), "parquet", tuple(rows[:20]), tuple(map(str, raw.frame)))
        for tool in tool_formats().values():
            if tool.of_records is not None and tool.recognises(peek):
                records = Records(list(enumerate(rows, start=1)), "row")
                return tool.of_records(records, source, columns).with_notes(*notes)
    pattern = columns.get("annotators")
    raw = rename(raw, {ours: theirs for ours, theirs in columns.items() if ours != "annotators"})
    annotators = annotator_columns(list(raw.frame.columns), pattern)
    if annotators and (pattern or "label" not in raw.frame):
        if pattern is None:
            check_shared_labels(raw, annotators)
        return lengthen(raw, annotators)
    return raw


def is_saved_dataset(folder: Path) -> bool:
    """Whether the folder is what `save_to_disk` writes."""
    return any((folder / name).is_file() for name in ("state.json", "dataset_dict.json"))


def _load(source: str) -> dict[str, object]:
    import datasets

    datasets.disable_progress_bars() if Path(source).exists() else datasets.enable_progress_bars()
    try:
        loaded = (
            datasets.load_from_disk(source)
            if is_saved_dataset(Path(source))
            else datasets.load_dataset(source)
        )
    except Exception as error:  # the library raises many kinds; the user needs one message
        raise DataError(
            f"this data set cannot be loaded: {str(error).strip().splitlines()[0]}",
            where=source,
            fix="Check the path or id, that you may read it, and that you are online if it is on the Hub.",
        ) from error
    return dict(loaded) if isinstance(loaded, dict) else {"": loaded}


def _frame(split: object) -> pd.DataFrame:
    frame: pd.DataFrame = split.to_pandas()  # type: ignore[attr-defined]
    for name, feature in split.features.items():  # type: ignore[attr-defined]
        of_each: Any = getattr(feature, "feature", None)  # of a list
        if hasattr(feature, "int2str") and name in frame:
            frame[name] = frame[name].map(dict(enumerate(feature.names)))
        elif hasattr(of_each, "int2str") and name in frame:
            names = dict(enumerate(of_each.names))
            frame[name] = frame[name].map(lambda codes, names=names: [names.get(code) for code in codes])
    return frame


def _has_nested_values(frame: pd.DataFrame) -> bool:
    first = frame.head(1).to_dict("records")
    return any(isinstance(value, list | dict | np.ndarray) for row in first for value in row.values()) or {
        "chosen", "rejected"
    } <= set(frame)  # fmt: skip


def _rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(name): value for name, value in row.items()} for row in frame.to_dict("records")]


def _plain(value: Any) -> Any:
    """Arrays as lists, throughout; what is missing as None."""
    if isinstance(value, np.ndarray | list):
        return [_plain(one) for one in value]
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items()}
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and value != value else value
