"""Readers: from the files that annotation tools and people write to the one long table."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from dcpc.data.annotations import Annotations, Scale
from dcpc.data.raw import RawTable
from dcpc.data.readers.assemble import ItemRows, assemble, assemble_items
from dcpc.data.readers.detect import check_source, detect_format, has_to_be_unpacked
from dcpc.data.readers.packed import read_packed
from dcpc.data.readers.registry import FORMATS
from dcpc.data.reading import Reading, Repeats
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
    range: tuple[float, float] | None = None,
    exact: bool = False,
    repeats: Repeats = "latest",
    where: str | None = None,
    leave_out: Sequence[str] = (),
    min_trust: float | None = None,
    ignore_labels: Sequence[str] = (),
    skip_blank: bool = False,
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
        range: lowest and highest value of a slider, all of whose steps are labels (see `dcpc.data.sliders`).
        exact: keep ids, labels and texts as they are written (see `dcpc.data.equality`).
        repeats: which judgements count where an annotator judged an item more than once: `latest`, `first`, `all`, or
            `refuse` the data.
        where: which rows to keep, as `trust >= 0.7` (see `dcpc.data.row_filter`).
        leave_out: marked rows to leave out: `rejected`, `golden`, `tainted` (see `dcpc.data.marks`).
        min_trust: leave out rows of workers with a lower trust score.
        ignore_labels: labels that are no judgement; their rows are left out.
        skip_blank: leave out rows with a blank text instead of refusing them.

    Returns:
        The checked annotations; what was skipped or changed stands in `notes`.

    Raises:
        DataError: if the data cannot be used as they are; says where and how to mend it.
        UsageError: if an option makes no sense.
    """
    reading = Reading(
        scale=scale, labels=labels, range=range, exact=exact, repeats=repeats, where=where, leave_out=leave_out,
        min_trust=min_trust, ignore_labels=ignore_labels, skip_blank=skip_blank,
    )  # fmt: skip
    raw = _read(source, format, columns)
    return assemble(raw, reading, own_label="label" in (columns or {}))


def read_items(
    source: str | Path,
    *,
    format: str | None = None,
    columns: Mapping[str, str] | None = None,
    **options: Any,
) -> pd.DataFrame:
    """Read only the items, e.g. to predict their labels; judgements may be missing.

    Args:
        source: as for `read_annotations`.
        format: as there.
        columns: as there.
        options: `exact`, `where`, `leave_out`, `min_trust` and `skip_blank`, as there.

    Returns:
        One row per item, I rows: `item_id`, `text` and, where there, `text_pair`, `response_a`, `response_b`,
        `split`.

    Raises:
        DataError: if a text is missing or an item has two texts.
    """
    return read_item_rows(source, format=format, columns=columns, **options).items


def read_item_rows(
    source: str | Path,
    *,
    format: str | None = None,
    columns: Mapping[str, str] | None = None,
    exact: bool = False,
    where: str | None = None,
    leave_out: Sequence[str] = (),
    min_trust: float | None = None,
    skip_blank: bool = False,
) -> ItemRows:
    """Read the items and which rows they stand in, so that results can be given row by row.

    A wide table is read as it stands, so that rows without any label count too.

    Args:
        source, format, columns, exact, where, leave_out, min_trust, skip_blank: as for `read_annotations`.

    Raises:
        DataError: if there is no row, a text is missing or an item has two texts.
    """
    reading = Reading(
        exact=exact, where=where, leave_out=leave_out, min_trust=min_trust, skip_blank=skip_blank
    )
    return assemble_items(_read(source, format, columns, items_only=True), reading)


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
        if has_to_be_unpacked(str(source), format):
            return read_packed(str(source), lambda path: _read(path, format, columns, items_only=items_only))
        found = format or detect_format(str(source), columns)
        if items_only and found == "people":
            raise UsageError(
                "items are the columns here, and results are given by row.",
                where=str(source),
                fix="Write one row per judgement first: "
                f"dcpc convert {shlex.quote(str(source))} long.csv --format people.",
            )
        if items_only and found == "wide":
            found = "long"
            columns.pop("annotators", None)
        raw = FORMATS[found](str(source), columns)
        return raw.of_all_records() if items_only else raw
    except OSError as error:
        raise DataError(
            f"cannot be read as {format or 'data'} ({error.strerror or error}).",
            where=str(source),
            fix="Check that it is a file of this format and that you may read it.",
        ) from error
