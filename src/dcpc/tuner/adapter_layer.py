"""What all layers of the tuner share: parameters for every adapter, kept where PEFT looks for them."""

from __future__ import annotations

from typing import Any

import torch
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import nn


class AdapterLayer(nn.Module, BaseTunerLayer):
    """Base of `PrefixLayer` and `UpdateLayer`; parameters lie in the containers of `adapter_layer_names`.

    Args:
        anchor: a module of the base model, on whose device parameters are made.
    """

    adapter_layer_names: tuple[str, ...] = ()

    def __init__(self, anchor: nn.Module) -> None:
        super().__init__()
        self.adapters: set[str] = set()
        self._anchor = [anchor]  # in a list, so that it is not registered as a child of this module
        self.merged_adapters: list[str] = []
        for container in self.adapter_layer_names:
            setattr(self, container, nn.ParameterDict())

    def _parameter(self, std: float, *shape: int) -> nn.Parameter:
        return nn.Parameter(std * torch.randn(*shape, device=device_of(self._anchor[0])))

    @property
    def adapter(self) -> str | None:
        """Name of the adapter that acts in this layer, None where there is none."""
        names: Any = [] if self.disable_adapters else self.active_adapters
        return next((name for name in names if name in self.adapters), None)

    def delete_adapter(self, adapter_name: str) -> None:
        """Delete the parameters of one adapter."""
        super().delete_adapter(adapter_name)
        self.adapters.discard(adapter_name)

    def merge(self, safe_merge: bool = False, adapter_names: list[str] | None = None) -> None:
        """Only layers whose update is linear can be merged; the tuner refuses the others before it comes here."""

    def unmerge(self) -> None:
        """See `merge`."""

    def _move_adapter_to_device_of_base_layer(self, adapter_name: str, device: Any = None) -> None:
        # PEFT calls this after loading with low_cpu_mem_usage; its own version also changes the type.
        for container in self.adapter_layer_names:
            parameters = getattr(self, container)
            if adapter_name in parameters:
                parameters[adapter_name] = parameters[adapter_name].to(device or device_of(self._anchor[0]))


def device_of(module: nn.Module) -> torch.device:
    """Where a module's first tensor is; the CPU for one without tensors, as a dynamically quantised layer."""
    tensors = (*module.parameters(), *module.buffers())
    return tensors[0].device if tensors else torch.device("cpu")
