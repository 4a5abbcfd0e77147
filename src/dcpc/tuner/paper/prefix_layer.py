"""The prefix of one self-attention layer: a child module that the tuner adds to the attention module."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from dcpc.tuner.adapter_layer import AdapterLayer
from dcpc.tuner.config import DCPCConfig
from dcpc.tuner.paper.correction import corrected_prefix

CHILD = "dcpc"
"""Name of the child module on a self-attention."""

# Keys of a fresh prefix differ from each other, so that values that start at zero learn different things.
KEY_INIT_STD = 0.5


@dataclass(frozen=True)
class AttentionShape:
    """What probing learned about one self-attention module.

    Attributes:
        name: its name in the base model.
        width: H, width of the hidden states that enter it.
        heads: number of query heads.
        kv_heads: number of key/value heads.
        key_width: width of one key.
        value_width: width of one value.
        decoder: whether it sits in the decoder of an encoder-decoder model.
    """

    name: str
    width: int
    heads: int
    kv_heads: int
    key_width: int
    value_width: int
    decoder: bool = False


class PrefixLayer(AdapterLayer):
    """Prefix P and meta-matrix M of one self-attention layer, for every adapter; without positions where only updates
    are corrected.

    A child of the attention module: an attention function is given that module, and finds the layer there.

    Args:
        shape: the attention module's shape.
        attention: the attention module.
    """

    dcpc_key: nn.ParameterDict
    dcpc_value: nn.ParameterDict
    dcpc_meta_key: nn.ParameterDict
    dcpc_meta_value: nn.ParameterDict
    dcpc_gate: nn.ParameterDict
    adapter_layer_names = ("dcpc_key", "dcpc_value", "dcpc_meta_key", "dcpc_meta_value", "dcpc_gate")
    frozen_peft_weight_names: dict[str, tuple[str, ...]]  # PEFT's own, empty; a declaration for the checker

    def __init__(self, shape: AttentionShape, attention: nn.Module) -> None:
        super().__init__(attention)
        self.shape = shape

    def add_adapter(self, name: str, config: DCPCConfig) -> None:
        """Create the parameters of one adapter, on the device of the attention module.

        Values start at zero where that makes the fresh adapter an exact no-op (`parallel`). In `concat` the
        gate does it, and the values must not be zero, or the gate would get no gradient.
        """
        self.adapters.add(name)
        if config.num_virtual_tokens == 0:
            return
        key = self.shape.kv_heads * self.shape.key_width
        value = self.shape.kv_heads * self.shape.value_width
        value_std = 0.0 if config.merge == "parallel" else KEY_INIT_STD
        m, styles, corrected = config.num_virtual_tokens, config.num_styles, config.num_corrected_tokens
        self.dcpc_key[name] = self._parameter(KEY_INIT_STD, m, key)
        self.dcpc_value[name] = self._parameter(value_std, m, value)
        if config.correction:
            self.dcpc_meta_key[name] = self._parameter(KEY_INIT_STD, styles, corrected, key)
            self.dcpc_meta_value[name] = self._parameter(value_std, styles, corrected, value)
        if config.merge == "concat" and config.gate:
            self.dcpc_gate[name] = self._parameter(0.0, self.shape.heads)
        # PEFT reads this wherever it lets an adapter's parameters train.
        held = () if config.train_prefix else ("dcpc_key", "dcpc_value")
        self.frozen_peft_weight_names = {**self.frozen_peft_weight_names, name: held}

    def start_from(self, key: Tensor, value: Tensor) -> None:
        """Let the acting adapter's prefix be these keys and values [1,kv_heads,m,d], open and not yet corrected."""
        name = self.adapter
        assert name is not None  # callers ask layers that act
        self.dcpc_key[name].data.copy_(key[0].transpose(0, 1).flatten(1))  # [m,kv_heads*d]
        self.dcpc_value[name].data.copy_(value[0].transpose(0, 1).flatten(1))
        for metas in (self.dcpc_meta_key, self.dcpc_meta_value):
            if name in metas:
                metas[name].data.zero_()
        if name in self.dcpc_gate:
            self.dcpc_gate[name].data.fill_(1.0)

    @property
    def gate(self) -> Tensor | None:
        """[h] gate of the acting adapter, None where it has none."""
        return None if self.adapter is None else self.dcpc_gate.get(self.adapter)

    @property
    def has_prefix(self) -> bool:
        """Whether the acting adapter has prefix positions, and not only low-rank updates."""
        return self.adapter is not None and self.adapter in self.dcpc_key

    def prefix(self, probabilities: Tensor | None) -> tuple[Tensor, Tensor]:
        """Keys and values of the acting adapter, corrected by `probabilities` (eq. 12).

        Args:
            probabilities: [B,K] p_pref, None without correction.

        Returns:
            keys [B,m,kv_heads*key_width] and values [B,m,kv_heads*value_width]; B is 1 without correction.
        """
        name = self.adapter
        assert name is not None  # callers ask layers that act
        return (
            corrected_prefix(self.dcpc_key[name], self.dcpc_meta_key.get(name), probabilities),
            corrected_prefix(self.dcpc_value[name], self.dcpc_meta_value.get(name), probabilities),
        )

    def heads(self, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Split keys and values [B,m,kv_heads*d] into heads: [B,kv_heads,m,d]."""
        heads = self.shape.kv_heads
        return key.unflatten(-1, (heads, -1)).transpose(1, 2), value.unflatten(-1, (heads, -1)).transpose(
            1, 2
        )
