"""FSDP2: a frozen base model whose weights are split among the ranks, and gathered layer by layer in a pass.

What trains stays whole on every rank, and its gradients are averaged as in DistributedDataParallel: an adapter is a
small part of the model, and the readout, annotators and checkpoints need all of it. So a training differs from one
without FSDP in the memory that it takes, and else in rounding alone. accelerate's own FSDP would split what trains
as well; what the launcher or the settings ask of it is read here, and carried out with
`torch.distributed.fsdp.fully_shard`.

With split weights a pass is work of all ranks: each must make as many passes as the others, see `ranks.in_step`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch.distributed as dist
from peft import PeftModel
from torch import nn
from torch.distributed.fsdp import CPUOffloadPolicy, FSDPModule, OffloadPolicy, fully_shard
from torch.distributed.tensor import DTensor
from torch.nn.parallel import DistributedDataParallel
from transformers import PreTrainedModel

from dcpc import launcher, ranks
from dcpc.errors import UsageError
from dcpc.names import first_of

_CONFIG = (
    "version",
    "reshard_after_forward",
    "cpu_offload",
    "offload_params",
    "transformer_layer_cls_to_wrap",
)
"""Fields of `fsdp_config` that are carried out."""
_LEGACY = ("full_shard", "auto_wrap", "offload")
"""Words of the setting `fsdp`, in its form of old."""
_CHECKPOINTING = UsageError(
    "activation checkpointing is no part of FSDP here.", fix="--set gradient_checkpointing=true is the same."
)


@dataclass(frozen=True)
class Sharding:
    """How the base model is split.

    Attributes:
        reshard: let go of a layer's weights after its forward pass, and gather them again for the backward pass.
        offload: keep a rank's part in the CPU's memory, where the model runs on an accelerator.
        layers: class names of the layers that are gathered one by one; empty for those that transformers names.
    """

    reshard: bool = True
    offload: bool = False
    layers: tuple[str, ...] = ()

    @classmethod
    def asked(cls, training: Mapping[str, Any]) -> tuple[Sharding | None, dict[str, Any]]:
        """What settings, or `accelerate launch --use_fsdp`, ask for; None for nothing. And the settings without it.

        Raises:
            UsageError: FSDP of the first version, a way of splitting that is not carried out, or one process alone.
        """
        rest = {name: value for name, value in training.items() if name not in ("fsdp", "fsdp_config")}
        given = training.get("fsdp")
        if given in (None, False, "", [], "false", "False"):
            found = cls._of_launcher() if launcher.engine() == "FSDP" else None
        else:
            found = cls._of_settings(given, training.get("fsdp_config"))
        if found is not None and launcher.processes() == 1:
            raise UsageError(
                "FSDP splits the base model among processes, and this is the only one.",
                fix="Start it with accelerate launch or torchrun, or leave FSDP out.",
            )
        return found, rest

    @classmethod
    def _of_launcher(cls) -> Sharding:
        if (version := os.environ.get("FSDP_VERSION", "1")) != "2":
            raise _old(version, "--fsdp_version 2")
        if _is_true(os.environ.get("FSDP_ACTIVATION_CHECKPOINTING")):
            raise _CHECKPOINTING
        return cls(
            _reshards(os.environ.get("FSDP_RESHARD_AFTER_FORWARD", "true")),
            _is_true(os.environ.get("FSDP_OFFLOAD_PARAMS")),
            _names(os.environ.get("FSDP_TRANSFORMER_CLS_TO_WRAP")),
        )

    @classmethod
    def _of_settings(cls, given: Any, config: Any) -> Sharding:
        words = given.split() if isinstance(given, str) else given if isinstance(given, list) else []
        if odd := [word for word in map(str, words) if word not in (*_LEGACY, "true", "True")]:
            raise UsageError(f"fsdp={odd[0]} is not carried out here.", fix="Give fsdp=true.")
        if isinstance(config, str):
            try:
                config = json.loads(Path(config).read_text(encoding="utf-8"))
            except (OSError, ValueError) as error:
                raise UsageError(
                    f"cannot be read as JSON ({error}).", where=config, fix="Give fsdp_config a JSON file."
                ) from error
        fields = {name.removeprefix("fsdp_"): value for name, value in (config or {}).items()}
        if _is_true(fields.pop("activation_checkpointing", False)):
            raise _CHECKPOINTING
        if odd := [name for name in fields if name not in _CONFIG]:
            raise UsageError(
                f"fsdp_config names {first_of(odd, 3)}, which is not carried out here.",
                fix=f"Fields are: {', '.join(_CONFIG)}.",
            )
        if (version := str(fields.get("version", 2))) != "2":
            raise _old(version, "version: 2 in fsdp_config")
        offload = "offload" in words or _is_true(fields.get("cpu_offload", fields.get("offload_params")))
        return cls(
            _reshards(fields.get("reshard_after_forward", True)),
            offload,
            _names(fields.get("transformer_layer_cls_to_wrap")),
        )

    def split(self, model: nn.Module, base: nn.Module, of_base: Iterable[nn.Parameter]) -> None:
        """Split the frozen weights of the base model, in place.

        Args:
            model: the base model with what trains.
            base: the base model in it, which passes go through.
            of_base: the base model's own parameters.

        Raises:
            UsageError: there is nothing frozen, or the base model cannot be split.
        """
        frozen = {id(tensor) for tensor in of_base if not tensor.requires_grad}
        _check(base, frozen, model)
        kept = {tensor for tensor in model.parameters() if id(tensor) not in frozen}
        names = self.layers or _layer_names(base)
        layers = [module for module in base.modules() if type(module).__name__ in names]
        if not layers:
            raise UsageError(
                f"{type(base).__name__} has no layers of the class {first_of(names, 3) or '(none is named)'}, by "
                "which it could be split.",
                fix="Name the class of its layers: --fsdp_transformer_layer_cls_to_wrap.",
            )
        device = ranks.device()
        options: dict[str, Any] = {
            "mesh": ranks.mesh(),
            "reshard_after_forward": self.reshard,
            "ignored_params": kept,
            "offload_policy": CPUOffloadPolicy()
            if self.offload and device.type != "cpu"
            else OffloadPolicy(),
        }
        for module in (*layers, base):
            own = type(module)
            fully_shard(module, **options)
            # PEFT writes the base model's class into the adapter's configuration, and messages name it.
            split = type(module)
            split.__name__, split.__qualname__, split.__module__ = (
                own.__name__,
                own.__qualname__,
                own.__module__,
            )


def split_where_asked(model: PeftModel) -> None:
    """Split a loaded model, adapter and all, where `accelerate launch` was told to: predictions train nothing.

    Raises:
        UsageError: as `Sharding.asked` and `Sharding.split`.
    """
    sharding, _ = Sharding.asked({})
    if sharding is not None:
        base = model.get_base_model()
        sharding.split(model, base, base.parameters())


def is_sharded(model: nn.Module) -> bool:
    """Whether a pass of the model is work of all ranks together."""
    return any(isinstance(module, FSDPModule) for module in model.modules())


def check_together(model: nn.Module) -> None:
    """Refuse a pass of a model with split weights that one rank makes for itself: it would wait for ever.

    Raises:
        UsageError: the weights are split, and the ranks do not work together.
    """
    if is_sharded(model) and not ranks.together():
        raise UsageError(
            "the base model is split among the processes, so that predictions are made by all of them together.",
            fix="Predict within `with dcpc.ranks.sharing():`, in every process alike; or save the adapter and load "
            "it with dcpc.load_adapter.",
        )


def replicated(model: nn.Module, **options: Any) -> DistributedDataParallel:
    """The model with gradients of what trains averaged over the ranks; split weights are left alone.

    Through a group of their own: in a backward pass gradients are sent while weights are gathered, and not in the
    same order on every rank.
    """
    split = [name for name, tensor in model.named_parameters() if isinstance(tensor, DTensor)]
    DistributedDataParallel._set_params_and_buffers_to_ignore_for_model(model, split)
    return DistributedDataParallel(model, process_group=dist.new_group(), **options)


def _check(base: nn.Module, frozen: set[int], model: nn.Module) -> None:
    if not frozen:
        raise UsageError(
            "FSDP splits the frozen base model here, and all of its weights train.",
            fix="Train an adapter, or leave FSDP out.",
        )
    if getattr(base, "is_quantized", False):
        raise UsageError(
            "a quantised base model is not split: FSDP moves weights as numbers, and these are packed.",
            fix="Leave out `quantise` (--set dtype=bfloat16 halves the weights), or FSDP.",
        )
    if getattr(getattr(base, "config", None), "is_encoder_decoder", False):
        raise UsageError(
            "an encoder-decoder is not split: its decoder makes a second pass for some batches and not for others, "
            "and processes would wait for each other.",
            fix="Leave FSDP out, or use a causal model or an encoder.",
        )
    if any(isinstance(module, FSDPModule) for module in model.modules()):
        raise UsageError("the base model is split already.", fix="Give `train_adapter` a base model by name.")


def _layer_names(base: nn.Module) -> tuple[str, ...]:
    """What transformers says must not be torn apart: the layers."""
    found = [
        getattr(module, "_no_split_modules", None) or ()
        for module in base.modules()
        if isinstance(module, PreTrainedModel)
    ]
    return tuple(sorted({name for names in found for name in names}))


def _old(version: str, fix: str) -> UsageError:
    return UsageError(f"FSDP of version {version} is not carried out here.", fix=f"Give {fix}.")


def _is_true(value: Any) -> bool:
    return str(value).lower() in ("1", "true", "yes")


def _reshards(value: Any) -> bool:
    # accelerate's words for the first version, which `accelerate launch` still gives where nothing else is said.
    return str(value).lower() not in ("0", "false", "no", "no_reshard", "shard_grad_op")


def _names(value: Any) -> tuple[str, ...]:
    names = value.split(",") if isinstance(value, str) else value or ()
    return tuple(name.strip() for name in names if name.strip())
