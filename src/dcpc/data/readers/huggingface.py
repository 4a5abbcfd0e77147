"""Hugging Face data sets: a folder written by `save_to_disk`, a local data set folder, or an id on the Hub.

All splits are read; the split's name goes into `split`. Class labels become their names. Data sets that
Argilla exported, and wide ones, are told by their columns.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from dcpc.data.raw import RawTable, count, numbered
from dcpc.data.readers.argilla import is_flat_argilla, read_flat_argilla
from dcpc.data.readers.assemble import rename
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
    if is_flat_argilla(raw.frame):
        return read_flat_argilla(raw.frame, source, columns).with_notes(*notes)
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
        if hasattr(feature, "int2str") and name in frame:
            codes = frame[name]
            names = pd.Series(feature.names, dtype="str")
            frame[name] = codes.map(names.to_dict())
    return frame
