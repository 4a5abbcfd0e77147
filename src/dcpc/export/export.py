"""`export_adapter`: load an adapter, write it in another form, all or nothing."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dcpc.adapter import TrainedAdapter, load_adapter, quiet_libraries
from dcpc.errors import UsageError
from dcpc.export.card import export_card
from dcpc.export.lora import write_lora
from dcpc.export.merged import write_causal, write_merged
from dcpc.export.onnx import check_onnx, write_onnx
from dcpc.export.whose import Whose, whose
from dcpc.files import atomic_folder, check_output_folder
from dcpc.task import Task

FORMS = {
    "lora": write_lora,
    "merged": write_merged,
    "onnx": write_onnx,
    "gguf-ready": write_causal,
}
"""What writes each form into a folder; it gives the largest error of a probability and further notes."""

DESCRIPTION_FILE = "dcpc_export.json"
"""Labels, decision rule, and whom the export stands for; for programs."""


@dataclass(frozen=True)
class Exported:
    """What was exported.

    Attributes:
        whose: whom it stands for.
        largest_error: of a probability, against `adapter.predict`, over usual logits; 0 where it is exact.
        notes: to be shown to the user.
    """

    whose: str
    largest_error: float
    notes: list[str]


def export_adapter(
    adapter: str | Path,
    output: str | Path,
    form: str,
    *,
    annotator: str | None = None,
    group: str | None = None,
    force: bool = False,
    trust_remote_code: bool = False,
) -> Exported:
    """Write an adapter in a form that other software loads without `dcpc`.

    Args:
        adapter: folder that `dcpc train` or `TrainedAdapter.save` wrote; it is not changed.
        output: folder to write, new or empty unless `force`.
        form: `lora` (an ordinary PEFT LoRA with its head), `merged` (a transformers folder for
            `pipeline("text-classification")`), `onnx` (a graph for onnxruntime), or `gguf-ready` (a merged causal
            language model, for llama.cpp's converter).
        annotator: predict as this annotator; None for the consensus.
        group: predict as this group of annotators.
        force: replace an earlier export.
        trust_remote_code: run modelling code that the base model brings.

    Raises:
        UsageError: the adapter cannot take that form, with the reason and what to train instead; or the adapter does
            not know the annotator or group; or the output folder cannot be written.
        ModelError: the adapter or its base model cannot be loaded.
    """
    if form not in FORMS:
        raise UsageError(f"there is no form `{form}`.", fix=f"Forms are: {', '.join(FORMS)}.")
    check_output_folder(output, "export", force=force)
    folder = Path(adapter)
    _check_task(folder)
    if form == "onnx":
        check_onnx()
    loaded = load_adapter(folder, trust_remote_code=trust_remote_code)
    who = whose(loaded, annotator, group)
    with atomic_folder(output, "export", force=force) as unfinished:
        with quiet_libraries():
            largest_error, notes = FORMS[form](loaded, who, unfinished)
        described = description(loaded, form, who, largest_error)
        text = json.dumps(described, indent=2, ensure_ascii=False) + "\n"
        (unfinished / DESCRIPTION_FILE).write_text(text, encoding="utf-8")
        (unfinished / "README.md").write_text(export_card(described), encoding="utf-8")
    return Exported(who.name, largest_error, notes)


def description(adapter: TrainedAdapter, form: str, who: Whose, largest_error: float) -> dict[str, Any]:
    """What a program has to know of an export besides the model."""
    task = adapter.task
    return {
        "form": form,
        "base_model": task.base_model,
        "architecture": type(adapter.model.get_base_model()).__name__,  # type: ignore[operator]
        "method": task.method,
        "task": adapter.shape.name,
        "labels": task.labels,
        "scale": task.scale,
        "inputs": task.inputs or ["text"],
        "max_length": task.max_length,
        "whose": who.name,
        "largest_error": largest_error,
        "decides": task.how_it_decides,
        "offsets": None if task.decision is None else task.decision.offsets,
    }


def _check_task(folder: Path) -> None:
    """Refuse what gives no label, before its base model is loaded."""
    task = _named_task(folder)
    if task == "write":
        raise UsageError(
            "an adapter that was trained to write has no labels to export.",
            where=folder,
            fix="Load it with PEFT, merge it there, and save it: docs/export.md says how.",
        )
    shape = (Task.read(folder).shape or {}).get("name", "classify")
    if shape in ("choose", "prefer"):
        what = "scores candidates" if shape == "choose" else "compares the rewards of two responses"
        raise UsageError(
            f"the task `{shape}` {what}, which no other software's model class does.",
            where=folder,
            fix="Serve it with dcpc (examples/serving.py), or train with a head (--head) or label words.",
        )


def _named_task(folder: Path) -> str | None:
    try:
        content = json.loads((folder / "task.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None  # `Task.read` says what is wrong
    return content.get("task") if isinstance(content, dict) else None
