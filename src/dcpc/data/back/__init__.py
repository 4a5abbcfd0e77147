"""Predictions in the forms that annotation tools import: one file per tool, with `records` and `is_own`.

Where the items came from the tool's own export, each record is given back as it was, with the prediction in it, so
that ids, hashes and fields are those that the tool knows.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import pandas as pd

from dcpc.data.annotations import ITEM_COLUMNS
from dcpc.data.readers import ItemRows
from dcpc.errors import UsageError
from dcpc.files import atomic_file


@dataclass(frozen=True)
class ItemPrediction:
    """What was predicted for one item.

    Attributes:
        fields: the item's own columns (`text`, ...).
        item_id: None where the source has no ids.
        record: the tool's own record of the item; empty where the source is a table.
        label: the decided label.
        shares: label → the share of annotators expected to choose it; they sum to 1.
    """

    fields: Mapping[str, str]
    item_id: str | None
    record: Mapping[str, Any]
    label: str
    shares: Mapping[str, float]

    @property
    def score(self) -> float:
        """The decided label's share."""
        return self.shares[self.label]


class Writer(Protocol):
    """What the file of a tool has."""

    def records(self, predictions: Sequence[ItemPrediction], question: str | None) -> list[dict[str, Any]]:
        """From predictions and the name of the question (None: told from the records, else `label`) to records."""

    def is_own(self, record: Mapping[str, Any]) -> bool:
        """Whether a source's record is one of this tool's, and can be given back as it was."""


def predictions_of(rows: ItemRows, table: pd.DataFrame) -> list[ItemPrediction]:
    """One prediction per item or row.

    Args:
        rows: the items, with the records that they came from.
        table: what `TrainedAdapter.predict(rows, "distribution")` gives for them.
    """
    names = [name for name in ITEM_COLUMNS if name in table]
    labels = [name for name in table if str(name).startswith("p_")]
    codes = range(len(table)) if rows.has_ids else rows.codes
    return [
        ItemPrediction(
            {name: row[name] for name in names},
            str(row["item_id"]) if rows.has_ids else None,
            rows.records[code] if rows.records else {},
            str(row["label"]),
            {str(name).removeprefix("p_"): float(row[name]) for name in labels},
        )
        for code, row in zip(codes, table.to_dict("records"), strict=True)
    ]


def tool_writers() -> dict[str, Writer]:
    """Tool → its file."""
    from dcpc.data.back import argilla, doccano, label_studio, prodigy

    return {"label-studio": label_studio, "argilla": argilla, "prodigy": prodigy, "doccano": doccano}


TOOLS = ("label-studio", "argilla", "prodigy", "doccano")
SUFFIXES = {"label-studio": ".json", "argilla": ".json", "prodigy": ".jsonl", "doccano": ".jsonl"}


def check_tool_output(tool: str, path: Path) -> None:
    """Refuse, before any work is done, a tool that is not known or a file that it would not import.

    Raises:
        UsageError: naming the tools, or the ending.
    """
    if tool not in TOOLS:
        raise UsageError(f'"{tool}" is not a tool that takes predictions.', fix=f"Tools: {', '.join(TOOLS)}.")
    if path.suffix.lower() != SUFFIXES[tool]:
        raise UsageError(
            f"{tool} imports {SUFFIXES[tool]} files.",
            where=path,
            fix=f"Name the output {path.stem}{SUFFIXES[tool]}.",
        )


def write_predictions(
    predictions: Sequence[ItemPrediction], path: Path, tool: str, question: str | None = None
) -> Path:
    """Write predictions as a tool imports them: a JSON array, or JSON Lines.

    Args:
        predictions: of all items.
        path: the file, which appears whole or not at all.
        tool: one of `TOOLS`.
        question: the question or control that is answered; None tells it from the records, else `label`.

    Raises:
        UsageError: as `check_tool_output`, or if the file cannot be written.
    """
    check_tool_output(tool, path)
    writer = tool_writers()[tool]
    # What another tool calls its fields would be lost on this one, or read as something else.
    known = [one if writer.is_own(one.record) else replace(one, record={}) for one in predictions]
    made = writer.records(known, question)
    with atomic_file(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        if SUFFIXES[tool] == ".jsonl":
            file.writelines(json.dumps(record, ensure_ascii=False) + "\n" for record in made)
        else:
            json.dump(made, file, ensure_ascii=False, indent=1)
    return path
