"""Argilla 2 records with a suggestion each: the decided label, its share as the score, `dcpc` as the agent.

Read them with `Dataset.records.from_json`. A record keeps its id, fields, metadata and responses. All shares are in
`metadata` as `p_LABEL`: the data set needs metadata properties of these names, or `allow_extra_metadata`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dcpc.data.back import ItemPrediction


def records(predictions: Sequence[ItemPrediction], question: str | None) -> list[dict[str, Any]]:
    """Records to import."""
    asked = {name: None for one in predictions for name in _questions(one.record.get("responses"))}
    name = question or (next(iter(asked)) if len(asked) == 1 else "label")
    return [_record(prediction, name) for prediction in predictions]


def is_own(record: Mapping[str, Any]) -> bool:
    """Whether a record is an Argilla record: its fields lie in `fields`."""
    return isinstance(record.get("fields"), dict)


def _questions(responses: Any) -> list[str]:
    return list(responses) if isinstance(responses, dict) else []


def _record(prediction: ItemPrediction, question: str) -> dict[str, Any]:
    record = prediction.record
    responses, metadata = record.get("responses"), record.get("metadata")
    shares = {f"p_{label}": share for label, share in prediction.shares.items()}
    identity = record.get("id", prediction.item_id)
    return {
        **({} if identity is None else {"id": identity}),
        "fields": record.get("fields") or dict(prediction.fields),
        "metadata": {**(metadata if isinstance(metadata, dict) else {}), **shares},
        "suggestions": {question: {"value": prediction.label, "score": prediction.score, "agent": "dcpc"}},
        "responses": responses if isinstance(responses, dict) else {},
        "vectors": record.get("vectors") or {},
    }
