"""Prodigy tasks of its choice interface with the decided option accepted beforehand: JSON Lines for any recipe.

A task keeps its fields, options and hashes, but not the answer. `meta` shows the score, and `cats` holds all shares,
as spaCy's text classifiers write them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dcpc.data.back import ItemPrediction

_GIVEN = ("answer", "accept", "_annotator_id", "_session_id", "_timestamp")


def records(predictions: Sequence[ItemPrediction], question: str | None) -> list[dict[str, Any]]:
    """Tasks to annotate."""
    return [_task(prediction) for prediction in predictions]


def is_own(record: Mapping[str, Any]) -> bool:
    """Whether a record is a Prodigy task: hashed, or a bare text without a list of labels."""
    return "_input_hash" in record or (
        isinstance(record.get("text"), str) and not isinstance(record.get("label"), list)
    )


def _task(prediction: ItemPrediction) -> dict[str, Any]:
    kept = {name: value for name, value in prediction.record.items() if name not in _GIVEN}
    task: dict[str, Any] = kept or dict(prediction.fields)
    meta = task.get("meta")
    own = {} if prediction.item_id is None or kept else {"item_id": prediction.item_id}
    options = task.get("options") or [{"id": label, "text": label} for label in prediction.shares]
    # An option's id, not its text, is what Prodigy accepts.
    ids = {str(option.get("text")): option.get("id") for option in options}
    ids |= {str(option.get("id")): option.get("id") for option in options}
    return {
        **task,
        "options": options,
        "accept": [ids.get(prediction.label, prediction.label)],
        "cats": dict(prediction.shares),
        "meta": {**(meta if isinstance(meta, dict) else {}), **own, "score": round(prediction.score, 4)},
    }
