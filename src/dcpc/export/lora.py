"""The low-rank carrier as an ordinary PEFT LoRA with its head: loads with plain PEFT, without `dcpc`.

    W x + s · B A x    is LoRA with α = s · r (Hu et al. 2022, arXiv:2106.09685)

Files and names are those that PEFT's own LoRA writes. vLLM takes LoRA folders of language models (label words); of
classifiers it takes no head in a LoRA folder, so serve those from `--as merged`.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig
from peft.utils import ModulesToSaveWrapper
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import AutoModelForSequenceClassification
from transformers.pytorch_utils import Conv1D

from dcpc.adapter import TrainedAdapter
from dcpc.errors import UsageError
from dcpc.export.head import HEADS, bake, change_of, classifying_layer, said_of
from dcpc.export.whose import Whose
from dcpc.models import SentenceClassifier, loadable_path
from dcpc.models.quiet import quiet_transformers
from dcpc.task import WEIGHTS_FILE
from dcpc.tuner import DCPCConfig
from dcpc.tuner.acting import dcpc_tuner
from dcpc.tuner.low_rank import LowRankLayer

TRAIN_INSTEAD = "Train with --set rank=8 --set readout=false."


def write_lora(adapter: TrainedAdapter, who: Whose, folder: Path) -> tuple[float, list[str]]:
    """Write `adapter_config.json` and `adapter_model.safetensors`.

    Returns:
        The largest error of a probability, and notes.

    Raises:
        UsageError: the adapter is no low-rank update, or its base model is no class of transformers' own.
    """
    config = _checked(adapter)
    base = adapter.model.get_base_model()  # type: ignore[operator]
    names = {id(module): name for name, module in base.named_modules()}
    layers = {
        names[id(module)]: module
        for module in base.modules()
        if isinstance(module, LowRankLayer) and module.adapter is not None
    }
    tensors: dict[str, Tensor] = {}
    for name, layer in layers.items():
        assert layer.adapter is not None  # chosen so
        tensors[f"base_model.model.{name}.lora_A.weight"] = layer.dcpc_down[layer.adapter]
        tensors[f"base_model.model.{name}.lora_B.weight"] = layer.dcpc_up[layer.adapter]
    change_error, notes, saved = 0.0, [], []
    if adapter.shape.name == "classify":
        change = change_of(adapter, who)
        bake(change, classifying_layer(base, len(adapter.task.labels)))
        change_error, notes = change.largest_error, said_of(change, who)
        saved = _saved_modules(adapter, base)
        for name in saved:
            tensors |= {f"base_model.model.{name}.{key}": value for key, value in _state(base, name).items()}
    elif who.number is not None:
        raise UsageError(
            f"{who.name} is a bias on the logits of labels, and this adapter scores words, which have none.",
            fix="Leave --annotator and --group out, or train with a head (--head).",
        )
    LoraConfig(
        task_type="SEQ_CLS" if saved else "CAUSAL_LM",
        base_model_name_or_path=loadable_path(adapter.task.base_model),
        inference_mode=True,
        r=config.rank,
        lora_alpha=_whole(config.rank_scale * config.rank),
        target_modules=shortest_endings(layers, names.values()),
        modules_to_save=[name.rpartition(".")[2] for name in saved] or None,
        fan_in_fan_out=any(isinstance(layer.base_layer, Conv1D) for layer in layers.values()),
    ).save_pretrained(str(folder))
    whole = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    save_file(whole, folder / WEIGHTS_FILE, metadata={"format": "pt"})
    return change_error, notes


def _checked(adapter: TrainedAdapter) -> DCPCConfig:
    """The configuration of an adapter that is a LoRA."""
    tuner = dcpc_tuner(adapter.model)
    if tuner is None:
        raise UsageError(
            f"the adapter was trained with {adapter.task.method}, and is in PEFT's own form already.",
            fix="Load the folder with PEFT as it is, or use --as merged.",
        )
    config = tuner.active_config
    assert config is not None  # it is loaded, and acts
    reasons = {
        "it has no low-rank update": not config.rank,
        "its correction module depends on the input": config.correction,
        "its prefix is no update of a weight": config.num_virtual_tokens > 0,
        "its bottlenecks are not linear": bool(config.bottleneck),
        "its readout reads all layers": bool(config.readout),
    }
    other = [why for why, holds in reasons.items() if holds]
    if isinstance(adapter.model.get_base_model(), SentenceClassifier):  # type: ignore[operator]
        raise UsageError(
            f"{adapter.task.base_model} is a sentence encoder, and transformers has no classifier on the mean of its "
            "tokens for a LoRA to be loaded onto.",
            fix="Use --as onnx; --as merged, which brings that class along, needs another training: "
            f"{TRAIN_INSTEAD}"
            if other
            else "Use --as merged, which brings that class along, or --as onnx.",
        )
    if other:
        raise UsageError(
            f"the adapter is no LoRA: {', and '.join(other)}.",
            fix=f"{TRAIN_INSTEAD} Or use --as onnx, which takes any form of a classifier.",
        )
    return config


def shortest_endings(wanted: Collection[str], every: Collection[str]) -> list[str]:
    """The shortest name endings that PEFT matches to the wanted modules and to no others, sorted.

    Short ones (`q_proj`) are what vLLM and people expect.
    """
    found = set()
    for name in wanted:
        parts = name.split(".")
        for length in range(1, len(parts) + 1):
            ending = ".".join(parts[-length:])
            matched = {other for other in every if other == ending or other.endswith(f".{ending}")}
            if matched <= set(wanted):
                found.add(ending)
                break
    return sorted(found)


def _whole(number: float) -> float:
    return int(number) if float(number).is_integer() else number


def _saved_modules(adapter: TrainedAdapter, base: nn.Module) -> list[str]:
    """Modules that the LoRA must bring whole: trained heads, and what the base model's files lack."""
    heads = [name for name, module in base.named_modules() if isinstance(module, ModulesToSaveWrapper)]
    if not heads:
        heads = [name for name, _ in base.named_children() if name in HEADS]
    with quiet_transformers():
        _, report = AutoModelForSequenceClassification.from_pretrained(
            loadable_path(adapter.task.base_model),
            num_labels=len(adapter.task.labels),
            output_loading_info=True,
            ignore_mismatched_sizes=True,
            **adapter.task.base_options(),
        )
    missing = {key.rpartition(".")[0] for key in report["missing_keys"]}
    # `dcpc` draws these alike wherever it loads the model, and plain transformers draws them anew.
    lacking = [
        name
        for name in sorted(missing)
        if not any(name == head or name.startswith(f"{head}.") for head in heads)
    ]
    return [*heads, *lacking]


def _state(base: nn.Module, name: str) -> dict[str, Any]:
    module = base.get_submodule(name)
    if isinstance(module, ModulesToSaveWrapper):
        module = module.modules_to_save[module.active_adapters[0]]
    return {key: value for key, value in module.state_dict().items() if isinstance(value, torch.Tensor)}
