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
from dcpc.models.quiet import quiet_transformers
from dcpc.task import Task
from dcpc.tasks import Prefer

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
            `pipeline("text-classification")`, or a reward model's classifier with one output), `onnx` (a graph for
            onnxruntime), or `gguf-ready` (a merged causal language model, for llama.cpp's converter).
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
    _check_task(folder, form, annotator or group)
    if form == "onnx":
        check_onnx()
    loaded = load_adapter(folder, trust_remote_code=trust_remote_code)
    who = whose(loaded, annotator, group)
    with atomic_folder(output, "export", force=force) as unfinished:
        with quiet_libraries(), quiet_transformers():
            largest_error, notes = FORMS[form](loaded, who, unfinished)
        described = description(loaded, form, who, largest_error)
        text = json.dumps(described, indent=2, ensure_ascii=False) + "\n"
        (unfinished / DESCRIPTION_FILE).write_text(text, encoding="utf-8")
        (unfinished / "README.md").write_text(export_card(described), encoding="utf-8")
    return Exported(who.name, largest_error, notes)


def description(adapter: TrainedAdapter, form: str, who: Whose, largest_error: float) -> dict[str, Any]:
    """What a program has to know of an export besides the model."""
    task, shape = adapter.task, adapter.shape
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
        **({"chat": bool(shape.chat), "template": shape.template} if isinstance(shape, Prefer) else {}),
    }


def _check_task(folder: Path, form: str, somebody: str | None) -> None:
    """Refuse what has no such form, before its base model is loaded."""
    task = _named_task(folder)
    if task == "write":
        raise UsageError(
            "an adapter that was trained to write has no labels to export.",
            where=folder,
            fix="Load it with PEFT, merge it there, and save it: docs/export.md says how.",
        )
    read = Task.read(folder)
    if read.quantise is not None and form != "lora":
        raise UsageError(
            f"the adapter was trained on a base model quantised to {read.quantise}, whose weights the form `{form}` "
            "does not hold.",
            where=folder,
            fix="Use --as lora, which leaves the base model as it is, or train without --set quantise.",
        )
    shape = (read.shape or {}).get("name", "classify")
    if shape == "choose":
        raise UsageError(
            "the task `choose` scores candidates, which no other software's model class does.",
            where=folder,
            fix="Serve it with dcpc (examples/serving.py), or train with a head (--head) or label words.",
        )
    if shape == "prefer" and form != "merged":
        raise UsageError(
            f"a reward model, which has one output and no labels, has no form `{form}`.",
            where=folder,
            fix="Use --as merged.",
        )
    if shape == "prefer" and somebody is not None:
        raise UsageError(
            "raters act on votes, and a reward model gives rewards, which need none of them.",
            where=folder,
            fix="Leave --annotator and --group out; dcpc reward --as annotators gives a rater's own rewards.",
        )


def _named_task(folder: Path) -> str | None:
    try:
        content = json.loads((folder / "task.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None  # `Task.read` says what is wrong
    return content.get("task") if isinstance(content, dict) else None
