"""Doccano's JSONL for text classification: `text` and a list `label`; further columns become the example's meta.

The score is the label's share, and `shares` holds those of all labels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dcpc.data.back import ItemPrediction

_OWN = ("label", "labels", "Comments", "data")


def records(predictions: Sequence[ItemPrediction], question: str | None) -> list[dict[str, Any]]:
    """Examples to import."""
    return [_example(prediction) for prediction in predictions]


def is_own(record: Mapping[str, Any]) -> bool:
    """Whether a record is a doccano example: a text, under `text` or `data`, without the hashes of Prodigy."""
    return "_input_hash" not in record and any(isinstance(record.get(name), str) for name in ("text", "data"))


def _example(prediction: ItemPrediction) -> dict[str, Any]:
    kept = {name: value for name, value in prediction.record.items() if name not in _OWN}
    own = {} if prediction.item_id is None else {"id": prediction.item_id}
    text = "\n".join(prediction.fields.values())
    return {
        **(kept or own),
        "text": text,
        "label": [prediction.label],
        "score": prediction.score,
        "shares": dict(prediction.shares),
    }
