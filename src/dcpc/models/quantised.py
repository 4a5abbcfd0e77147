"""Base models whose weights are quantised while they are loaded: a fraction of the memory, for a slower pass.

Models that were saved quantised (GPTQ, AWQ, FP8, …) need nothing of this: their configuration says so, and
transformers loads them with the package that it names.
"""

from __future__ import annotations

import logging
from importlib.util import find_spec
from typing import Any, Literal, get_args

import torch
from torch.nn.parallel import DistributedDataParallel
from transformers import BitsAndBytesConfig, PretrainedConfig, TorchAoConfig

from dcpc.errors import ModelError, UsageError
from dcpc.names import check_name

Quantise = Literal["bnb-4bit", "bnb-8bit", "torchao-int8"]
"""bitsandbytes' NF4 with double quantisation and LLM.int8, and torchao's weights of eight bits."""

KERNEL_SWITCH = "support_avx512bf16_for_cpu"
"""Of a four-bit layer of bitsandbytes: whether its weights are packed for a kernel without a gradient."""
_HEADS = ["classifier", "score", "lm_head", "pre_classifier"]
"""Layers that stay as they are: those that are trained, and language heads."""


def quantising(how: str | None) -> dict[str, Any]:
    """Arguments of `from_pretrained` that quantise a base model; none for None.

    Raises:
        UsageError: an unknown way, or its package is not installed.
    """
    if how is None:
        return {}
    check_name(how, get_args(Quantise), "way to quantise")
    package = "torchao" if how == "torchao-int8" else "bitsandbytes"
    if find_spec(package) is None:
        raise UsageError(
            f"quantise={how} needs the package {package}, which is not installed.",
            fix="pip install 'dcpc[quantised]'",
        )
    return {"quantization_config": _config(how)}


def require_packages(config: PretrainedConfig, name: str) -> None:
    """Refuse a base model that was saved as GPTQ or AWQ where what reads it is not installed.

    Raises:
        ModelError: naming the packages, and the command that installs them.
    """
    saved = getattr(config, "quantization_config", None)
    method = str(saved.get("quant_method")) if isinstance(saved, dict) else ""
    missing = [package for package in _READERS.get(method, ()) if find_spec(package) is None]
    if missing:
        raise ModelError(
            f"the base model was saved quantised ({method.upper()}), which needs {' and '.join(missing)}.",
            where=name,
            fix=f"pip install {' '.join(missing)}",
        )


_READERS = {"gptq": ("optimum", "gptqmodel"), "awq": ("optimum", "gptqmodel")}
"""What transformers reads such a model with; of `awq` it is PEFT that asks for optimum, beside gptqmodel."""


def _config(how: str) -> Any:
    if how == "bnb-8bit":
        # It says at every layer of every pass that states are rounded to sixteen bits, which is what was asked for.
        logging.getLogger("bitsandbytes.autograd._functions").setLevel(logging.ERROR)
        return BitsAndBytesConfig(load_in_8bit=True, llm_int8_skip_modules=_HEADS)
    if how == "bnb-4bit":
        return BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=torch.bfloat16 if torch.cuda.is_available() else torch.float32,
            llm_int8_skip_modules=_HEADS,
        )
    from torchao.quantization import Int8WeightOnlyConfig

    return TorchAoConfig(Int8WeightOnlyConfig(), modules_to_not_convert=_HEADS)


def keep_trainable(model: torch.nn.Module) -> None:
    """Keep bitsandbytes from packing four-bit weights anew in the first pass without gradients.

    On processors with AVX-512 it would, for a kernel that has no gradient and wants widths that 64 divides; and what
    it has packed is not unpacked for training.
    """
    for module in model.modules():
        if hasattr(module, KERNEL_SWITCH):
            setattr(module, KERNEL_SWITCH, False)


def refuse_full_training(model: torch.nn.Module) -> None:
    """Refuse to train a quantised model itself: rounded weights take no gradient.

    Raises:
        UsageError: the model is quantised and has no adapter.
    """
    if getattr(model, "is_quantized", False) and not hasattr(model, "peft_config"):
        raise UsageError(
            "the base model is quantised, so its own weights cannot be trained.",
            fix="Train an adapter (--method dcpc or lora), or load the base model unquantised.",
        )


def send_no_frozen_weights(model: torch.nn.Module) -> None:
    """Have DistributedDataParallel leave the frozen weights of a quantised base model alone.

    It would send the first process's to the others, which have loaded the same; and cannot, where a tensor is packed
    (torchao's).
    """
    if getattr(model, "is_quantized", False):
        frozen = [name for name, tensor in model.named_parameters() if not tensor.requires_grad]
        DistributedDataParallel._set_params_and_buffers_to_ignore_for_model(model, frozen)
