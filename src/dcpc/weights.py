"""What an adapter's weights must be: numbers, all there, and trained on the base model that they are loaded onto."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel, get_peft_model_state_dict
from safetensors import SafetensorError, safe_open
from torch import nn
from transformers import PreTrainedModel

from dcpc.errors import ModelError, TrainingError
from dcpc.names import first_of

SAMPLE = 256
"""Numbers of every tensor of the base model that its fingerprint looks at, evenly spread."""

SIZES = (
    "num_virtual_tokens",
    "rank",
    "r",
    "bottleneck",
    "num_styles",
    "correction_hidden",
    "num_layers",
    "token_dim",
)
"""Fields of adapter configurations that say how much memory the adapter takes."""

LARGEST_UNUSED = 1024
"""A size up to which a field may be without a tensor of that size, as that of a part which is off."""


def check_weights(model: nn.Module) -> None:
    """Every number that was trained must be one: a diverged adapter would predict the first label everywhere.

    Raises:
        TrainingError: naming the first tensor that has a value which is not finite.
    """
    trained = dict(model.named_parameters())
    if isinstance(model, PeftModel):
        # Without embeddings: PEFT would look up the base model's vocabulary, and warn of a name such as minilm.
        trained = get_peft_model_state_dict(model, save_embedding_layers=False)
    for name, tensor in trained.items():
        if not torch.isfinite(tensor).all():
            raise TrainingError(
                f"the training has diverged: {name} holds values that are not finite numbers.",
                fix="Lower learning_rate, or look for broken inputs; there is no adapter to save.",
            )


def check_file(path: Path, config: Mapping[str, Any]) -> list[str]:
    """Check a file of weights before anything is made from it; the names of its tensors.

    Args:
        path: of the file.
        config: the adapter's configuration, whose sizes must be those of some tensor: a mistaken one would take all
            memory before it is found not to fit.

    Raises:
        ModelError: the file is no safetensors file, or holds what is no number; or a size is not one of its tensors'.
    """
    largest = LARGEST_UNUSED
    try:
        with safe_open(path, "pt") as file:
            names = list(file.keys())
            for name in names:
                tensor = file.get_tensor(name)
                largest = max([largest, *tensor.shape])
                if not tensor.is_floating_point() or not torch.isfinite(tensor).all():
                    raise ModelError(
                        f"{name} holds values that are not finite numbers: the training diverged, or it is damaged.",
                        where=path,
                        fix="Restore the file, or train again with a lower learning_rate.",
                    )
    except (SafetensorError, OSError) as error:
        raise ModelError(
            f"is no whole safetensors file ({' '.join(str(error).split())[:200]}).",
            where=path,
            fix="Restore the file, or train again.",
        ) from error
    for field in SIZES:
        size = config.get(field)
        if isinstance(size, int | float) and size > largest:
            raise ModelError(
                f"`{field}` is {size:,}, but no tensor of the weights is that large.",
                where=path.parent,
                fix="Restore adapter_config.json, or train again.",
            )
    return names


def check_whole(model: PeftModel, names: list[str], folder: Path) -> None:
    """The tensors of the file must be those of the adapter: PEFT leaves one that is missing as it was drawn.

    Raises:
        ModelError: tensors are missing, or are none of the adapter's.
    """
    expected = set(get_peft_model_state_dict(model))
    for found, what in (
        (expected - set(names), "lack"),
        (set(names) - expected, "have, though the adapter does not,"),
    ):
        if found:
            raise ModelError(
                f"the weights {what} {first_of(sorted(found), 3)}.",
                where=folder,
                fix="Restore the folder's files, or train again.",
            )


def base_fingerprint(model: PreTrainedModel) -> str | None:
    """A hash of a sample of the base model's weights, without its head; None where they are packed or not here.

    Names, shapes and `SAMPLE` numbers of every tensor, rounded to bfloat16, so that it is the same for a model that
    is loaded in half precision. Another base model is told from this one, and so is one that was trained on.
    """
    digest = hashlib.sha256()
    for name, tensor in sorted(model.base_model.named_parameters()):
        if not tensor.is_floating_point() or tensor.is_meta or type(tensor.data) is not torch.Tensor:
            return None
        step = max(1, math.ceil(tensor.numel() / SAMPLE))
        numbers = tensor.detach().reshape(-1)[::step].to("cpu", torch.bfloat16).view(torch.int16)
        digest.update(f"{name} {tuple(tensor.shape)}".encode() + numbers.numpy().tobytes())
    return digest.hexdigest()


def check_base(model: PreTrainedModel, expected: str | None, name: str, folder: Path) -> None:
    """The base model must have the weights that the adapter was trained on.

    Raises:
        ModelError: they are others.
    """
    found = base_fingerprint(model)
    if None not in (expected, found) and expected != found:
        raise ModelError(
            f"the base model {name} has other weights than the one that this adapter was trained on.",
            where=folder,
            fix="Use that base model, or train again. If the change is meant, remove base_sha256 from task.json.",
        )
