"""Readers: from the files that annotation tools and people write to the one long table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from dcpc.data.annotations import Annotations, Scale
from dcpc.data.raw import RawTable
from dcpc.data.readers.assemble import ItemRows, assemble, assemble_items
from dcpc.data.readers.detect import check_source, detect_format
from dcpc.data.readers.registry import FORMATS
from dcpc.errors import DataError, UsageError
from dcpc.names import did_you_mean

__all__ = ["FORMATS", "ItemRows", "read_annotations", "read_item_rows", "read_items"]


def read_annotations(
    source: str | Path,
    *,
    format: str | None = None,
    columns: Mapping[str, str] | None = None,
    scale: Scale | None = None,
    labels: Sequence[str] | None = None,
) -> Annotations:
    """Read judgements from a file, a folder or a Hugging Face data set, and check them.

    Args:
        source: path, or id of a data set on the Hugging Face Hub.
        format: a name in `FORMATS`; None tells it from the content.
        columns: our column name → the source's name, e.g. `{"text": "comment", "label": "rating"}`.
        scale: `nominal`, `ordinal` or `preference`; None tells it from labels and columns (see
            `dcpc.data.scales`).
        labels: the whole label set in its order (ordinal: low to high); None collects it. Declared labels may
            be unused, and rows may have one class only.

    Returns:
        The checked annotations; what was skipped or changed stands in `notes`.

    Raises:
        DataError: if the data cannot be used as they are; says where and how to mend it.
        UsageError: if `format`, `columns`, `scale` or `labels` make no sense.
    """
    return assemble(_read(source, format, columns), scale=scale, labels=labels)


def read_items(
    source: str | Path, *, format: str | None = None, columns: Mapping[str, str] | None = None
) -> pd.DataFrame:
    """Read only the items, e.g. to predict their labels; judgements may be missing.

    Args:
        source, format, columns: as for `read_annotations`.

    Returns:
        One row per item, I rows: `item_id`, `text` and, where there, `text_pair`, `response_a`, `response_b`,
        `split`.

    Raises:
        DataError: if a text is missing or an item has two texts.
    """
    return read_item_rows(source, format=format, columns=columns).items


def read_item_rows(
    source: str | Path, *, format: str | None = None, columns: Mapping[str, str] | None = None
) -> ItemRows:
    """Read the items and which rows they stand in, so that results can be given row by row.

    A wide table is read as it stands, so that rows without any label count too.

    Args:
        source, format, columns: as for `read_annotations`.

    Raises:
        DataError: if there is no row, a text is missing or an item has two texts.
    """
    return assemble_items(_read(source, format, columns, items_only=True))


def _read(
    source: str | Path,
    format: str | None,
    columns: Mapping[str, str] | None,
    *,
    items_only: bool = False,
) -> RawTable:
    if format is not None and format not in FORMATS:
        hint = did_you_mean(format, [f'"{known}"' for known in FORMATS], most=1)
        raise UsageError(
            f'"{format}" is not a format.', fix=f"{hint} Formats: {', '.join(FORMATS)}.".lstrip()
        )
    columns = dict(columns or {})
    try:
        check_source(str(source), hub=format in (None, "huggingface"))
        found = format or detect_format(str(source), columns)
        if items_only and found == "wide":
            found = "long"
            columns.pop("annotators", None)
        return FORMATS[found](str(source), columns)
    except OSError as error:
        raise DataError(
            f"cannot be read as {format or 'data'} ({error.strerror or error}).",
            where=str(source),
            fix="Check that it is a file of this format and that you may read it.",
        ) from error
