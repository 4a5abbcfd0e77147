"""The low-rank carrier: an update of the attention's linear layers whose rank dimensions follow the preference.

    h = W x + s · B ((1 + M p_pref) ⊙ (A x))

LoRA (Hu et al. 2022, arXiv:2106.09685), in which the correction module gates each of the r dimensions per input.
B starts at zero, so that a fresh adapter changes nothing. Without the module the update is linear, and merges.
"""

from __future__ import annotations

import math
import warnings

import torch
from peft.tuners.tuners_utils import check_adapters_to_merge
from torch import Tensor, nn
from torch.nn import functional
from transformers.pytorch_utils import Conv1D

from dcpc.errors import ModelError
from dcpc.tuner.config import DCPCConfig
from dcpc.tuner.sites import widths
from dcpc.tuner.update_layer import META_INIT_STD, UpdateLayer


class LowRankLayer(UpdateLayer):
    """A linear layer with A, B and M, for every adapter.

    Args:
        base_layer: the linear layer.
        attention: see `UpdateLayer`.
    """

    dcpc_down: nn.ParameterDict
    dcpc_up: nn.ParameterDict
    adapter_layer_names = ("dcpc_down", "dcpc_up", "dcpc_meta")

    def __init__(self, base_layer: nn.Module, attention: str | None = None) -> None:
        super().__init__(base_layer, attention)
        self.width_in, self.width_out = widths(base_layer)
        self.scale: dict[str, float] = {}

    def add_adapter(self, name: str, config: DCPCConfig) -> None:
        """Create the parameters of one adapter, on the device of the base layer."""
        self.dcpc_down[name] = self._parameter(1 / math.sqrt(3 * self.width_in), config.rank, self.width_in)
        self.dcpc_up[name] = self._parameter(0.0, self.width_out, config.rank)
        if config.correction:
            self.dcpc_meta[name] = self._parameter(META_INIT_STD, config.num_styles, config.rank)
        self.scale[name], self.dropout[name] = config.rank_scale, config.carrier_dropout
        self.adapters.add(name)

    def update(self, states: Tensor, output: Tensor, probabilities: Tensor | None) -> Tensor:
        """s · B ((1 + M p_pref) ⊙ (A x)), [B,n,out] in the type of the parameters (or of autocast).

        Args:
            states: [B,n,in] x.
            output: not read.
            probabilities: [B,K] p_pref, None without correction.
        """
        name = self.adapter
        assert name is not None  # callers ask layers that act
        down, up = self.dcpc_down[name], self.dcpc_up[name]
        low = self.gated(functional.linear(states.to(down.dtype), down), probabilities)  # [B,n,r]
        return self.scale[name] * functional.linear(low, up)

    def get_delta_weight(self, adapter_name: str) -> Tensor:
        """s · B A, what the update adds to the base weight where nothing gates it, in that weight's layout.

        Returns:
            [out,in]; [in,out] for GPT-2's `Conv1D`.
        """
        delta = self.scale[adapter_name] * self.dcpc_up[adapter_name] @ self.dcpc_down[adapter_name]
        return delta.T if isinstance(self.base_layer, Conv1D) else delta

    @torch.no_grad()
    def merge(self, safe_merge: bool = False, adapter_names: list[str] | None = None) -> None:
        """Add the update to the base weight; see PEFT's `merge_adapter`.

        Args:
            safe_merge: refuse weights that are no numbers, and leave the base as it is.
            adapter_names: of the adapters to merge; None for the acting one.

        Raises:
            ModelError: the base weight is quantised, or with `safe_merge` the result is not finite.
        """
        for name in check_adapters_to_merge(self, adapter_names):
            if name not in self.adapters:
                continue
            weight = self.base_layer.weight
            if (
                not isinstance(weight, Tensor)
                or type(weight.data) is not Tensor
                or not weight.is_floating_point()
            ):
                raise ModelError(
                    "the base weights are quantised, so an update cannot be added to them exactly.",
                    fix="Load the base model unquantised to merge.",
                )
            merged = weight + self.get_delta_weight(name).to(weight.dtype)
            if safe_merge and not merged.isfinite().all():
                raise ModelError(f"the adapter {name} has weights that are no numbers.", fix="Train again.")
            weight.copy_(merged)
            self.merged_adapters.append(name)

    @torch.no_grad()
    def unmerge(self) -> None:
        """Take merged updates out of the base weight again."""
        if not self.merged:
            warnings.warn("Already unmerged. Nothing to do.", stacklevel=2)
        while self.merged_adapters:
            name = self.merged_adapters.pop()
            weight = self.base_layer.weight
            assert isinstance(weight, Tensor)  # it was merged into
            weight.sub_(self.get_delta_weight(name).to(weight.dtype))

    def merged_update(self, states: Tensor) -> Tensor:
        """Σ s · B A x over the merged adapters, [B,n,out]."""
        updates = [
            self.scale[name]
            * functional.linear(
                functional.linear(states.to(self.dcpc_down[name].dtype), self.dcpc_down[name]),
                self.dcpc_up[name],
            )
            for name in self.merged_adapters
        ]
        return torch.stack(updates).sum(dim=0)

    def supports_lora_conversion(self, adapter_name: str = "default") -> bool:
        """Whether the update is a low-rank matrix: where no module gates it."""
        return adapter_name not in self.dcpc_meta
