"""The parameter-efficient methods that PEFT ships, with the layers and head of the base model filled in.

LoRA (Hu et al. 2022), DoRA (Liu et al. 2024), AdaLoRA (Zhang et al. 2023), (IA)³ (Liu et al. 2022), prompt
tuning (Lester et al. 2021), P-Tuning v2 (Liu et al. 2022: a free prefix in every layer, no projection).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import peft
from transformers import PreTrainedModel

from dcpc.baselines.layers import attention_linears, feedforward_outputs, head_modules, key_value_linears
from dcpc.errors import UsageError
from dcpc.names import check_name

LORA_RANK = 8
"""Rank of the low-rank methods; scaling α is twice the rank."""
PREFIX_LENGTH = 16
"""Learned positions of P-Tuning v2 (in every layer) and of prompt tuning (in front of the input)."""


def _low_rank(model: PreTrainedModel) -> dict[str, Any]:
    return {"target_modules": attention_linears(model), "lora_alpha": 2 * LORA_RANK, "lora_dropout": 0.1}


def _lora(model: PreTrainedModel, **settings: Any) -> peft.PeftConfig:
    return peft.LoraConfig(**({"r": LORA_RANK} | _low_rank(model) | settings))


def _dora(model: PreTrainedModel, **settings: Any) -> peft.PeftConfig:
    return _lora(model, **({"use_dora": True} | settings))


def _adalora(model: PreTrainedModel, **settings: Any) -> peft.PeftConfig:
    if "total_step" not in settings:
        raise UsageError(
            "adalora divides its budget of ranks over the whole training and has to know its length",
            fix="Pass total_step, the number of optimizer steps.",
        )
    # Ranks start half as high again and are pruned to the rank of LoRA between a tenth and half of the steps.
    start, total = LORA_RANK * 3 // 2, settings["total_step"]
    schedule = {"init_r": start, "target_r": LORA_RANK, "tinit": total // 10, "tfinal": total // 2}
    return peft.AdaLoraConfig(**(schedule | _low_rank(model) | settings))


def _ia3(model: PreTrainedModel, **settings: Any) -> peft.PeftConfig:
    feedforward = feedforward_outputs(model)
    layers = {
        "target_modules": key_value_linears(model) + feedforward,
        "feedforward_modules": feedforward,
    }
    return peft.IA3Config(**(layers | settings))


def _prompt_tuning(model: PreTrainedModel, **settings: Any) -> peft.PeftConfig:
    return peft.PromptTuningConfig(**({"num_virtual_tokens": PREFIX_LENGTH} | settings))


def _p_tuning_v2(model: PreTrainedModel, **settings: Any) -> peft.PeftConfig:
    length = {"num_virtual_tokens": PREFIX_LENGTH, "prefix_projection": False}
    return peft.PrefixTuningConfig(**(length | settings))


CONFIGS: dict[str, Callable[..., peft.PeftConfig]] = {
    "lora": _lora,
    "dora": _dora,
    "adalora": _adalora,
    "ia3": _ia3,
    "prompt-tuning": _prompt_tuning,
    "p-tuning-v2": _p_tuning_v2,
}


def adapter_config(
    method: str, base_model: PreTrainedModel, labels: list[str], **overrides: Any
) -> peft.PeftConfig:
    """The PEFT configuration of `method` for a sequence classifier.

    Low-rank methods act on all linear layers of the attention modules; the model's classification head is
    trained in full and saved with the adapter.

    Args:
        method: one of `CONFIGS`.
        base_model: a model with a classification head, as `AutoModelForSequenceClassification` loads it.
        labels: the C labels that the head has to predict.
        overrides: any field of the method's PEFT configuration; `adalora` needs `total_step`.

    Raises:
        UsageError: an unknown method or field, or a head that does not have one output per label.
        ModelError: the model has no layers that the method could act on.
    """
    check_name(method, CONFIGS, "adapter method")
    n_outputs = base_model.config.num_labels
    if n_outputs != len(labels):
        raise UsageError(
            f"the head of {type(base_model).__name__} has {n_outputs} outputs for {len(labels)} labels",
            fix=f"Load the base model with num_labels={len(labels)}.",
        )
    shared = {"task_type": peft.TaskType.SEQ_CLS, "modules_to_save": head_modules(base_model)}
    try:
        return CONFIGS[method](base_model, **(shared | overrides))
    except TypeError as error:
        raise UsageError(f"{method} does not take these settings: {error}") from error
