"""The structural half of the tuner: where adapters sit, and how PEFT adds, switches, merges and saves them."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import torch
from peft import PeftConfig
from peft.tuners.tuners_utils import BaseTuner
from peft.utils.integrations import init_empty_weights
from torch import nn
from torch.utils.hooks import RemovableHandle

from dcpc.errors import DCPCError, ModelError, UsageError
from dcpc.tuner.adapter_layer import AdapterLayer, device_of
from dcpc.tuner.annotators import AnnotatorEffects
from dcpc.tuner.bottleneck import BottleneckLayer
from dcpc.tuner.config import DCPCConfig
from dcpc.tuner.low_rank import LowRankLayer
from dcpc.tuner.readout import CrossLayerReadout
from dcpc.tuner.sites import Site, find_sites
from dcpc.tuner.trial_pass import describe, state_widths
from dcpc.tuner.update_layer import UpdateLayer

if TYPE_CHECKING:
    from dcpc.tuner.paper.machinery import Machinery

# Modules that all layers share. They hang on the tuner, keyed by adapter, so that PEFT saves them.
SHARED = ("dcpc_correction", "dcpc_annotators", "dcpc_readout")


class SharedModules(nn.ModuleDict):
    """One module per adapter; follows the base model's device after PEFT loaded weights onto another."""

    def __init__(self, anchor: nn.Module) -> None:
        super().__init__()
        self._anchor = [anchor]

    def _move_adapter_to_device_of_base_layer(self, adapter_name: str, device: Any = None) -> None:
        if adapter_name in self:
            self[adapter_name].to(device or device_of(self._anchor[0]))


class TunerStructure(BaseTuner):
    """Injection of DCPC adapters into a base model."""

    prefix = "dcpc_"
    tuner_layer_cls = AdapterLayer
    target_module_mapping: dict[str, list[str]] = {}  # noqa: RUF012 (PEFT's declaration); sites are found by shape
    uses_shared_state = True
    machinery: Machinery | None

    def inject_adapter(
        self,
        model: nn.Module,
        adapter_name: str,
        autocast_adapter_dtype: bool = True,
        low_cpu_mem_usage: bool = False,
        state_dict: dict[str, torch.Tensor] | None = None,
    ) -> None:
        """Add one adapter: look at the base model at the first, create shared modules, then PEFT's injection.

        Raises:
            ModelError: the base model is not supported, or `target_modules` matches none of its layers. The model is
                then as it was before its first adapter.
        """
        first = "sites" not in self.__dict__
        if first:
            self._prepare_base_model(model)
        try:
            self._add(model, adapter_name, autocast_adapter_dtype, low_cpu_mem_usage, state_dict)
        except DCPCError:
            if first:
                self._let_go()
                model.__dict__.pop("peft_config", None)  # PEFT marks the model before it injects
            raise

    def _add(
        self,
        model: nn.Module,
        adapter_name: str,
        autocast_adapter_dtype: bool,
        low_cpu_mem_usage: bool,
        state_dict: dict[str, torch.Tensor] | None,
    ) -> None:
        config = self.peft_config[adapter_name]
        if config.readout is None:
            config.readout = _classifies(model)
        if config.needs_machinery and self.machinery is None:
            from dcpc.tuner.paper.machinery import Machinery  # most adapters do without it

            self.machinery = Machinery(model, self.dcpc_correction)
        if self.machinery is not None:
            self.machinery.check(config)
        self._check_new_adapter_config(config)
        self._check_targets(model, config)
        device = device_of(model)
        with torch.device(device), init_empty_weights() if low_cpu_mem_usage else nullcontext():
            self._create_shared_modules(adapter_name, config)
        super().inject_adapter(model, adapter_name, autocast_adapter_dtype, low_cpu_mem_usage, state_dict)
        if self.machinery is not None:
            self.machinery.know_updates()

    def _prepare_base_model(self, model: nn.Module) -> None:
        if any(isinstance(module, AdapterLayer) for module in model.modules()):
            raise ModelError(
                f"{describe(model)} carries a DCPC adapter already.",
                fix="Use add_adapter or load_adapter on that model, or take its base model back with unload().",
            )
        self.handles: list[RemovableHandle] = []
        self.sites: dict[str, Site] = find_sites(model)
        self.machinery = None
        for name in SHARED:
            setattr(self, name, SharedModules(model))
        self._install_hooks(model)

    def _install_hooks(self, model: nn.Module) -> None:
        """Hooks on the base model that carry the forward pass; the model half of the tuner adds them."""

    def _let_go(self) -> None:
        """Take out of the base model what is no layer of an adapter."""
        for handle in self.handles:
            handle.remove()
        if self.machinery is not None:
            self.machinery.remove()

    def _check_targets(self, model: nn.Module, config: DCPCConfig) -> None:
        """Every carrier of the adapter must find something to act on."""
        wanted = config.target_modules
        if config.needs_machinery and self.machinery is not None and not self._attentions(config):
            raise ModelError(
                f"target_modules={wanted!r} matches no self-attention of {describe(model)}.",
                fix=f"It has these: {', '.join(self.machinery.shapes)}.",
            )
        for feedforward, asked in ((False, f"rank={config.rank}"), (True, f"bottleneck={config.bottleneck}")):
            if not (config.bottleneck if feedforward else config.rank):
                continue
            here = [site for site in self.sites.values() if site.feedforward == feedforward]
            where = "feed-forward layers" if feedforward else "linear layers in its self-attention"
            if not here:
                others = "rank=8 or num_virtual_tokens=16" if feedforward else "num_virtual_tokens=16"
                raise ModelError(
                    f"{describe(model)} has no {where} that {asked} could act on.",
                    fix=f"Use a carrier that acts on its attention: {others}. On the command line: --set "
                    f"{others.split()[0]}.",
                )
            if not any(self._wraps(config, site.name) for site in here):
                raise ModelError(
                    f"target_modules={wanted!r} matches none of the {where} of {describe(model)}.",
                    fix=f"It has these: {', '.join(site.name for site in here)}.",
                )

    def _create_shared_modules(self, name: str, config: DCPCConfig) -> None:
        if config.correction and self.machinery is not None:
            from dcpc.tuner.paper.correction import PreferenceCorrection

            shapes = [self.machinery.shapes[attention] for attention in self._attentions(config)]
            widths = {shape.width for shape in shapes if not shape.decoder}
            self.dcpc_correction[name] = PreferenceCorrection(
                widths, config.correction_hidden, config.num_styles
            )
        num_labels = len(config.labels or ()) or getattr(self.model.config, "num_labels", 0)
        if config.readout:
            self.dcpc_readout[name] = CrossLayerReadout(state_widths(self.model), num_labels)
        if config.models_annotators:
            self.dcpc_annotators[name] = AnnotatorEffects(
                config.annotators or [],
                config.annotator_groups,
                config.num_styles,
                num_labels if config.annotator_mode == "output" else None,
                config.annotator_dropout,
                config.annotator_prior_std,
            )
            if config.adapted_annotators:
                adapted = len(config.adapted_annotators), config.adapted_points, config.num_styles
                self.dcpc_annotators[name].adapt(config.adapted_annotators, torch.zeros(adapted))

    def _attentions(self, config: DCPCConfig) -> list[str]:
        """The self-attention modules that an adapter has a prefix layer on."""
        if self.machinery is None or not config.needs_machinery:
            return []
        return [
            name for name in self.machinery.shapes if _targeted(config, name) or self._gates(config, name)
        ]

    def _gates(self, config: DCPCConfig, attention: str) -> bool:
        """Whether an attention's p_pref gates a wrapped layer that the adapter names by itself."""
        if not config.correction or config.num_virtual_tokens > 0 or self.machinery is None:
            return False
        return any(
            self._wraps(config, site.name) and self.machinery.attention_of(site.name, site.block) == attention
            for site in self.sites.values()
        )

    def _wraps(self, config: DCPCConfig, linear: str) -> bool:
        """Whether an adapter has an update of this linear layer."""
        site = self.sites[linear]
        if not (config.bottleneck if site.feedforward else config.rank):
            return False
        if _targeted(config, linear):
            return True
        # By the name of its attention: the block around it, or a module in that block.
        names = {other.name.rpartition(".")[0] for other in self.sites.values() if other.block == site.block}
        inside = {name for name in names if name.startswith(site.block)}
        return any(_targeted(config, name) for name in (site.block, *inside))

    def _prepare_adapter_config(self, peft_config: PeftConfig, model_config: dict[str, Any]) -> PeftConfig:
        return peft_config

    def _check_target_module_exists(self, peft_config: PeftConfig, key: str) -> bool:
        if key in self.sites:
            return self._wraps(peft_config, key)
        return key in self._attentions(peft_config)

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
        if current_key not in self.sites:
            assert self.machinery is not None  # no attention is targeted without it
            self.machinery.add(current_key, adapter_name, peft_config)
            return
        site = self.sites[current_key]
        layer = target
        if not isinstance(layer, UpdateLayer):
            layer = (BottleneckLayer if site.feedforward else LowRankLayer)(target)
            setattr(parent, target_name, layer)
        if peft_config.correction and self.machinery is not None:
            layer.attention = self.machinery.attention_of(site.name, site.block)
        layer.add_adapter(adapter_name, peft_config)
        layer.train(target.training)

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

    def add_weighted_adapter(self, *args: Any, **kwargs: Any) -> None:
        """Not for this method.

        Raises:
            UsageError: always.
        """
        raise UsageError(
            "DCPC adapters cannot be added up: bottlenecks, annotators and readouts are no matrices.",
            fix="Train one adapter on all judgements, or switch between adapters with set_adapter.",
        )

    def _layers(self) -> Iterator[AdapterLayer]:
        return (module for module in self.model.modules() if isinstance(module, AdapterLayer))

    def _shared_items(self) -> list[tuple[str, nn.Module]]:
        return [item for container in SHARED for item in getattr(self, container).items()]

    def _replace_module(
        self, parent: nn.Module, child_name: str, new_module: nn.Module, child: nn.Module
    ) -> None:
        # A base layer, or a trained head, takes its place back.
        setattr(parent, child_name, new_module)

    @classmethod
    def _remove_adapter_name_from_key(cls, key: str, adapter_name: str) -> str:
        for container in SHARED:
            start = f"{container}.{adapter_name}."
            if start in key:
                return key.replace(start, f"{container}.", 1)
        return super()._remove_adapter_name_from_key(key, adapter_name)

    def _check_merge_allowed(self) -> None:
        """Only low-rank updates that nothing gates, without a readout, are the same in the base weights.

        Raises:
            UsageError: naming what does not merge.
        """
        config: DCPCConfig = self.peft_config[self.active_adapters[0]]
        reasons = {
            "its correction module depends on the input": config.correction,
            "its prefix is no part of a weight": config.num_virtual_tokens > 0,
            "its bottlenecks are not linear": bool(config.bottleneck),
            "its readout reads all layers, which no weight does": bool(config.readout),
        }
        if any(reasons.values()):
            raise UsageError(
                "A DCPC adapter cannot be merged into the base weights: "
                f"{', and '.join(reason for reason, holds in reasons.items() if holds)}.",
                fix="Keep the adapter, take the base model back with unload(), or train what merges: "
                "DCPCConfig(rank=8, readout=False).",
            )
        super()._check_merge_allowed()

    def _unload_and_optionally_merge(self, merge: bool = True, *args: Any, **kwargs: Any) -> nn.Module:
        if merge:
            self._check_merge_allowed()
            if self.active_adapters[0] in self.dcpc_annotators:
                warnings.warn(
                    "The annotators' effects are not part of the merged weights: the model predicts as for an "
                    "unknown annotator.",
                    stacklevel=2,
                )
        self._let_go()
        return super()._unload_and_optionally_merge(merge, *args, **kwargs)


def _classifies(model: nn.Module) -> bool:
    """Whether a model gives one row of class logits per text."""
    return type(model).__name__.endswith(("ForSequenceClassification", "SentenceClassifier"))


def _targeted(config: PeftConfig, name: str) -> bool:
    """Whether the adapter's `target_modules` names this module."""
    targets = config.target_modules
    if targets is None:
        return True
    if isinstance(targets, str):
        return re.fullmatch(targets, name) is not None
    return any(name == target or name.endswith(f".{target}") for target in targets)
