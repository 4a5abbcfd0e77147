"""The structural half of the tuner: where adapters sit, and how PEFT adds, switches and saves them."""

from __future__ import annotations

import re
import warnings
from contextlib import nullcontext
from typing import Any

import torch
from peft import PeftConfig
from peft.tuners.tuners_utils import BaseTuner
from peft.utils.integrations import init_empty_weights
from torch import nn
from torch.utils.hooks import RemovableHandle

from dcpc.errors import ModelError, UsageError
from dcpc.tuner.adapter_layer import AdapterLayer
from dcpc.tuner.annotators import AnnotatorPreferences
from dcpc.tuner.bottleneck import BottleneckLayer
from dcpc.tuner.checkpointing import restore_checkpointing
from dcpc.tuner.config import DCPCConfig
from dcpc.tuner.correction import PreferenceCorrection
from dcpc.tuner.deberta import DisentangledSelfAttention
from dcpc.tuner.layer import CHILD, AttentionShape, PrefixLayer
from dcpc.tuner.low_rank import LowRankLayer
from dcpc.tuner.probing import AttentionSwitch, describe, probe
from dcpc.tuner.readout import CrossLayerReadout
from dcpc.tuner.sites import attention_linears, feedforward_outputs

# Modules that all layers share. They hang on the tuner, keyed by adapter, so that PEFT saves them.
SHARED = ("dcpc_correction", "dcpc_annotators", "dcpc_readout")


class SharedModules(nn.ModuleDict):
    """One module per adapter; follows the base model's device after PEFT loaded weights onto another."""

    def __init__(self, anchor: nn.Parameter) -> None:
        super().__init__()
        self._anchor = [anchor]

    def _move_adapter_to_device_of_base_layer(self, adapter_name: str, device: Any = None) -> None:
        if adapter_name in self:
            self[adapter_name].to(device or self._anchor[0].device)


class TunerStructure(BaseTuner):
    """Injection of DCPC adapters into a base model."""

    prefix = "dcpc_"
    tuner_layer_cls = AdapterLayer
    target_module_mapping: dict[str, list[str]] = {}  # noqa: RUF012 (PEFT's declaration); probing finds modules
    uses_shared_state = True

    def inject_adapter(
        self,
        model: nn.Module,
        adapter_name: str,
        autocast_adapter_dtype: bool = True,
        low_cpu_mem_usage: bool = False,
        state_dict: dict[str, torch.Tensor] | None = None,
    ) -> None:
        """Add one adapter: probe the base model at the first, create shared modules, then PEFT's injection.

        Raises:
            ModelError: the base model is not supported, or `target_modules` matches none of its layers.
        """
        config = self.peft_config[adapter_name]
        if "shapes" not in self.__dict__:
            self._prepare_base_model(model, config)
        self._check_new_adapter_config(config)
        shapes = [shape for name, shape in self.shapes.items() if _targeted(config, name)]
        if not shapes:
            raise ModelError(
                f"target_modules={config.target_modules!r} matches no self-attention of {describe(model)}.",
                fix=f"It has these: {', '.join(self.shapes)}.",
            )
        if config.rank > 0 and not any(_targeted(config, owner) for owner in self.linears.values()):
            raise ModelError(
                f"{describe(model)} has no linear layers in its self-attention that rank={config.rank} could update.",
                fix="Use a prefix: rank=0 and num_virtual_tokens above 0.",
            )
        if config.bottleneck > 0 and not any(
            _targeted(config, owner) for owner in self.feedforwards.values()
        ):
            raise ModelError(
                f"{describe(model)} has no feed-forward layers that bottleneck={config.bottleneck} could sit behind.",
                fix="Use another carrier: bottleneck=0 and num_virtual_tokens or rank above 0.",
            )
        device = next(model.parameters()).device
        with torch.device(device), init_empty_weights() if low_cpu_mem_usage else nullcontext():
            self._create_shared_modules(adapter_name, config, shapes)
        super().inject_adapter(model, adapter_name, autocast_adapter_dtype, low_cpu_mem_usage, state_dict)

    def _prepare_base_model(self, model: nn.Module, config: DCPCConfig) -> None:
        if any(isinstance(module, PrefixLayer) for module in model.modules()):
            raise ModelError(
                f"{describe(model)} carries a DCPC adapter already.",
                fix="Use add_adapter or load_adapter on that model, or take its base model back with unload().",
            )
        self.handles: list[RemovableHandle] = []
        # The self-attention, by name, that each linear layer belongs to.
        self.linears: dict[str, str] = {}
        self.feedforwards: dict[str, str] = {}
        self.attention_switch = AttentionSwitch(model)
        self.attention_switch.install(config.merge)
        try:
            self.shapes = probe(model)
            if not any(isinstance(module, DisentangledSelfAttention) for module in model.modules()):
                self.linears = {
                    linear: name for name in self.shapes for linear in attention_linears(model, name)
                }
            self.feedforwards = {
                linear: name
                for name, shape in self.shapes.items()
                for linear in feedforward_outputs(model, name, shape.width, self.shapes)
            }
            self._check_disentangled(model, config)
        except ModelError:
            self.attention_switch.restore()
            raise
        anchor = next(model.parameters())
        for name in SHARED:
            setattr(self, name, SharedModules(anchor))
        self._install_hooks(model)

    def _check_disentangled(self, model: nn.Module, config: DCPCConfig) -> None:
        disentangled = any(isinstance(module, DisentangledSelfAttention) for module in model.modules())
        if disentangled and config.rank > 0:
            raise ModelError(
                f"{describe(model)} sends relative positions through its projections: rank > 0 cannot gate them.",
                fix="Use a prefix: rank=0 and num_virtual_tokens above 0.",
            )
        if config.merge == "concat" and disentangled:
            raise ModelError(
                f"{describe(model)} computes attention by itself: merge='concat' cannot reach its softmax.",
                fix="Use merge='parallel', the default.",
            )

    def _install_hooks(self, model: nn.Module) -> None:
        """Hooks on the base model that carry the forward pass; the model half of the tuner adds them."""

    def _create_shared_modules(self, name: str, config: DCPCConfig, shapes: list[AttentionShape]) -> None:
        if config.correction:
            widths = {shape.width for shape in shapes if not shape.decoder}
            self.dcpc_correction[name] = PreferenceCorrection(
                widths, config.correction_hidden, config.num_styles
            )
        if config.readout:
            encoder = [shape.width for shape in self.shapes.values() if not shape.decoder]
            # The embeddings are as wide as what enters the first layer, and layers as what they got.
            self.dcpc_readout[name] = CrossLayerReadout([encoder[0], *encoder], self.model.config.num_labels)
        if config.models_annotators:
            num_labels = self.model.config.num_labels if config.annotator_mode == "output" else None
            self.dcpc_annotators[name] = AnnotatorPreferences(
                config.annotators or [],
                config.annotator_groups,
                config.num_styles,
                num_labels,
                config.annotator_dropout,
                config.annotator_prior_std,
            )

    def _check_new_adapter_config(self, config: DCPCConfig) -> None:
        super()._check_new_adapter_config(config)
        merges = {other.merge for other in self.peft_config.values()}
        if len(merges) > 1:
            raise UsageError(
                "Adapters on one base model must share one value of merge.",
                fix="Load the second adapter on a base model of its own.",
            )

    def _prepare_adapter_config(self, peft_config: PeftConfig, model_config: dict[str, Any]) -> PeftConfig:
        return peft_config

    def _check_target_module_exists(self, peft_config: PeftConfig, key: str) -> bool:
        if key in self.linears:
            return peft_config.rank > 0 and _targeted(peft_config, self.linears[key])
        if key in self.feedforwards:
            return peft_config.bottleneck > 0 and _targeted(peft_config, self.feedforwards[key])
        return key in self.shapes and _targeted(peft_config, key)

    def _create_and_replace(
        self,
        peft_config: DCPCConfig,
        adapter_name: str,
        target: nn.Module,
        target_name: str,
        parent: nn.Module,
        current_key: str,
        parameter_name: str | None = None,
    ) -> None:
        layer: Any = target._modules.get(CHILD)
        attention = self.linears.get(current_key) or self.feedforwards.get(current_key)
        if attention is not None:
            if layer is None:
                layer = (LowRankLayer if current_key in self.linears else BottleneckLayer)(target)
                target.add_module(CHILD, layer)
                owner = self.model.get_submodule(attention)._modules[CHILD]
                assert isinstance(
                    owner, PrefixLayer
                )  # attention comes before its linear layers and feed-forward
                owner.updates = (*owner.updates, layer)
                self._install_linear_hooks(target, owner)
        elif layer is None:
            layer = PrefixLayer(self.shapes[current_key], next(target.parameters()))
            target.add_module(CHILD, layer)
            self._install_layer_hooks(target)
        layer.add_adapter(adapter_name, peft_config)
        layer.train(target.training)

    def _install_linear_hooks(self, module: nn.Module, owner: PrefixLayer) -> None:
        """Hooks on one linear layer with an update; the model half of the tuner adds them."""

    def _install_layer_hooks(self, module: nn.Module) -> None:
        """Hooks on one self-attention module; the model half of the tuner adds them."""

    def set_adapter(self, adapter_name: str | list[str], inference_mode: bool = False) -> None:
        """Make one adapter act; see PEFT's `set_adapter`.

        Raises:
            UsageError: more than one adapter is named.
        """
        names = [adapter_name] if isinstance(adapter_name, str) else list(adapter_name)
        if len(names) > 1:
            raise UsageError(
                f"{len(names)} DCPC adapters cannot act at once.", fix="Name one adapter in set_adapter."
            )
        super().set_adapter(adapter_name, inference_mode=inference_mode)
        for name, module in self._shared_items():
            module.requires_grad_(name in names and not inference_mode)

    def set_requires_grad(self, adapter_names: str | Any, requires_grad: bool = True) -> None:
        """Enable or disable gradients of adapters; see PEFT's `set_requires_grad`."""
        super().set_requires_grad(adapter_names, requires_grad)
        names = {adapter_names} if isinstance(adapter_names, str) else set(adapter_names)
        for name, module in self._shared_items():
            if name in names:
                module.requires_grad_(requires_grad)

    def delete_adapter(self, adapter_name: str) -> None:
        """Delete an adapter with its share of the shared modules; if it acts, the first of the others takes over."""
        others = sorted(name for name in self.peft_config if name != adapter_name)
        if adapter_name in self.active_adapters and others:
            # Before the deletion: layers choose among the adapters that they hold, and not every layer holds all.
            warnings.warn(
                f"Adapter {adapter_name} was active which is now deleted. Setting active adapter to {others[0]}.",
                stacklevel=2,
            )
            self.set_adapter(others[0])
        super().delete_adapter(adapter_name)
        for container in SHARED:
            if adapter_name in getattr(self, container):
                del getattr(self, container)[adapter_name]
        if self.active_adapters:
            self.set_adapter(self.active_adapters)

    def _shared_items(self) -> list[tuple[str, nn.Module]]:
        return [item for container in SHARED for item in getattr(self, container).items()]

    def _replace_module(
        self, parent: nn.Module, child_name: str, new_module: nn.Module, child: nn.Module
    ) -> None:
        # Called when a trained head takes its place back; nothing else is ever replaced.
        setattr(parent, child_name, new_module)

    @classmethod
    def _remove_adapter_name_from_key(cls, key: str, adapter_name: str) -> str:
        for container in SHARED:
            start = f"{container}.{adapter_name}."
            if start in key:
                return key.replace(start, f"{container}.", 1)
        return super()._remove_adapter_name_from_key(key, adapter_name)

    def _unload_and_optionally_merge(self, merge: bool = True, *args: Any, **kwargs: Any) -> nn.Module:
        if merge:
            raise UsageError(
                "A DCPC adapter cannot be merged into the base weights: what it adds depends on the input.",
                fix="Keep the adapter, or take the base model back with unload().",
            )
        for handle in self.handles:
            handle.remove()
        for name in (*self.linears, *self.feedforwards, *self.shapes):
            module = self.model.get_submodule(name)
            if CHILD in module._modules:
                del module._modules[CHILD]
        self.attention_switch.restore()
        restore_checkpointing(self.model)
        return super()._unload_and_optionally_merge(merge=False)


def _targeted(config: PeftConfig, name: str) -> bool:
    """Whether the adapter's `target_modules` allows the self-attention called `name`."""
    targets = config.target_modules
    if targets is None:
        return True
    if isinstance(targets, str):
        return re.fullmatch(targets, name) is not None
    return any(name == target or name.endswith(f".{target}") for target in targets)
