"""What all layers of the tuner share: a child module of a base layer, with parameters for every adapter."""

from __future__ import annotations

from typing import Any

import torch
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import nn

# Name of the child module on the base layer.
CHILD = "dcpc"


class AdapterLayer(nn.Module, BaseTunerLayer):
    """Base of `PrefixLayer` and `GatedLayer`; parameters lie in the containers of `adapter_layer_names`.

    Args:
        anchor: a parameter of the base layer, which tells the device.
    """

    adapter_layer_names: tuple[str, ...] = ()

    def __init__(self, anchor: nn.Parameter) -> None:
        super().__init__()
        self.adapters: set[str] = set()
        self._anchor = [anchor]  # in a list, so that it is not registered as a parameter of this module
        for container in self.adapter_layer_names:
            setattr(self, container, nn.ParameterDict())

    def _parameter(self, std: float, *shape: int) -> nn.Parameter:
        return nn.Parameter(std * torch.randn(*shape, device=self._anchor[0].device))

    @property
    def adapter(self) -> str | None:
        """Name of the adapter that acts in this layer, None where there is none."""
        names: Any = [] if self.disable_adapters else self.active_adapters
        return next((name for name in names if name in self.adapters), None)

    def delete_adapter(self, adapter_name: str) -> None:
        """Delete the parameters of one adapter."""
        super().delete_adapter(adapter_name)
        self.adapters.discard(adapter_name)

    def _move_adapter_to_device_of_base_layer(self, adapter_name: str, device: Any = None) -> None:
        # PEFT calls this after loading with low_cpu_mem_usage; its own version expects a linear base layer.
        for container in self.adapter_layer_names:
            parameters = getattr(self, container)
            if adapter_name in parameters:
                parameters[adapter_name] = parameters[adapter_name].to(device or self._anchor[0].device)
