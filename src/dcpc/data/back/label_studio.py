"""Label Studio tasks with a prediction each (labelstud.io/guide/predictions).

A task keeps its `id`, `data` and annotations. The control and what it shows (`from_name`, `to_name`, its type) are
told from annotations in the same export. Without any they are `label`, `text` and choices, or what the question says:
`CONTROL`, or `CONTROL:SHOWN`, as in the labelling interface's `name` and `toName`. The score is the label's
share, and the result's `meta` lists the shares of all labels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dcpc.data.back import ItemPrediction

_KINDS = {"choices": "choices", "rating": "rating", "number": "number", "pairwise": "selected"}
"""A control's type → the name of its value."""
_SIDES = {"a": "left", "b": "right"}


def records(predictions: Sequence[ItemPrediction], question: str | None) -> list[dict[str, Any]]:
    """Tasks to import."""
    control = _control([prediction.record for prediction in predictions], question)
    return [_task(prediction, control) for prediction in predictions]


def is_own(record: Mapping[str, Any]) -> bool:
    """Whether a record is a Label Studio task: its fields lie in `data`."""
    return isinstance(record.get("data"), dict)


def _control(tasks: Sequence[Mapping[str, Any]], question: str | None) -> tuple[str, str, str]:
    """Name, what it shows, and type of the control that is answered."""
    asked, _, shown = (question or "").partition(":")
    for task in tasks:
        for annotation in task.get("annotations") or task.get("completions") or ():
            for answer in annotation.get("result") or ():
                name, kind = answer.get("from_name"), answer.get("type")
                if kind in _KINDS and asked in ("", name):
                    return name, shown or answer.get("to_name", "text"), kind
    return asked or "label", shown or "text", "choices"


def _task(prediction: ItemPrediction, control: tuple[str, str, str]) -> dict[str, Any]:
    name, shown, kind = control
    value: Any = prediction.label
    if kind == "choices":
        value = [value]
    elif kind in ("rating", "number"):
        value = float(value) if kind == "number" else round(float(value))
    elif kind == "pairwise":
        value = _SIDES.get(value, value)
    shares = [f"{label}: {share:.4f}" for label, share in prediction.shares.items()]
    result = {
        "id": "dcpc",
        "from_name": name,
        "to_name": shown,
        "type": kind,
        "value": {_KINDS[kind]: value},
        "score": prediction.score,
        "meta": {"text": shares},
    }
    own = {key: prediction.record[key] for key in ("id", "annotations") if key in prediction.record}
    data = prediction.record.get("data") or {
        **prediction.fields,
        **({} if prediction.item_id is None else {"item_id": prediction.item_id}),
    }
    predicted = {"model_version": "dcpc", "score": prediction.score, "result": [result]}
    return {**own, "data": data, "predictions": [predicted]}
