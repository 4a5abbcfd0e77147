"""Prefixes and the correction module inside a base model: what the tuner loads where an adapter has either.

What happens at each self-attention of a forward pass:

    pre-hook               pool the hidden state, PCM -> p_pref, prefix P + M p_pref       (eq. 10-12)
    attention function     attend to the text and to that prefix
    wrapped linear layers  add low-rank updates and bottlenecks, gated by 1 + M p_pref

All of it is handed on inside the `ForwardPass`, never on a module.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.hooks import RemovableHandle

from dcpc.errors import ModelError, UsageError
from dcpc.pooling import mean_of_tokens
from dcpc.tuner.config import DCPCConfig
from dcpc.tuner.forward_pass import (
    ForwardPass,
    LayerStyles,
    Styles,
    current_pass,
    recomputing,
    repeated,
    the_pass,
)
from dcpc.tuner.paper import attention, deberta
from dcpc.tuner.paper.checkpointing import adopt_checkpointing, restore_checkpointing
from dcpc.tuner.paper.correction import PreferenceCorrection, preference_probabilities
from dcpc.tuner.paper.prefix_layer import CHILD, PrefixLayer
from dcpc.tuner.paper.probing import AttentionSwitch, hidden_states, probe
from dcpc.tuner.sites import attention_block, attention_of
from dcpc.tuner.trial_pass import describe
from dcpc.tuner.update_layer import UpdateLayer


class Machinery:
    """Prefix layers on the self-attention modules of a base model, and the hooks that correct them.

    Args:
        model: the base model, before any prefix layer was added to it.
        modules: the correction modules by adapter name; the tuner holds them, so that PEFT saves them.

    Attributes:
        shapes: of the self-attention modules, by name, in the order in which they run.

    Raises:
        ModelError: the base model is not supported.
    """

    def __init__(self, model: nn.Module, modules: nn.ModuleDict) -> None:
        self.model, self.modules = model, modules
        self.handles: list[RemovableHandle] = []
        self.merge: str | None = None
        self._updates: dict[str, list[UpdateLayer]] = {}
        attention.register()
        self.switch = AttentionSwitch(model)
        # Any of the wrapped functions serves the probe; the model keeps its own until there is a prefix.
        self.switch.install("parallel")
        try:
            self.shapes = probe(model)
        finally:
            self.switch.restore()
        self.disentangled = any(isinstance(m, deberta.DisentangledSelfAttention) for m in model.modules())

    def check(self, config: DCPCConfig) -> None:
        """Make sure that an adapter fits the base model and the adapters that are there.

        Raises:
            ModelError: the base model's attention cannot carry it.
            UsageError: it merges its prefix in another way than an adapter that is there.
        """
        if self.disentangled and config.correction and config.rank > 0:
            raise ModelError(
                f"{describe(self.model)} sends relative positions through its projections: the correction module "
                "cannot gate rank > 0.",
                fix="Use a prefix (rank=0 and num_virtual_tokens above 0), or correction=False.",
            )
        if self.disentangled and config.num_virtual_tokens > 0 and config.merge == "concat":
            raise ModelError(
                f"{describe(self.model)} computes attention by itself: merge='concat' cannot reach its softmax.",
                fix="Use merge='parallel', the default.",
            )
        if config.num_virtual_tokens > 0 and self.merge not in (None, config.merge):
            raise UsageError(
                "Adapters on one base model must share one value of merge.",
                fix="Load the second adapter on a base model of its own.",
            )

    def add(self, name: str, adapter_name: str, config: DCPCConfig) -> PrefixLayer:
        """The prefix layer of the self-attention called `name`, with the parameters of one more adapter."""
        if config.num_virtual_tokens > 0 and self.merge is None:
            self.merge = config.merge
            self.switch.install(config.merge)
        target = self.model.get_submodule(name)
        layer: Any = target._modules.get(CHILD)
        if layer is None:
            layer = PrefixLayer(self.shapes[name], target)
            target.add_module(CHILD, layer)
            self.handles.append(target.register_forward_pre_hook(self._correct, with_kwargs=True))
            if isinstance(target, deberta.DisentangledSelfAttention):
                self.handles.append(target.register_forward_hook(deberta.add_prefix, with_kwargs=True))
        layer.add_adapter(adapter_name, config)
        layer.train(target.training)
        return layer

    def attention_of(self, linear: str, block: str) -> str | None:
        """The self-attention whose p_pref gates the updates of a linear layer; see `dcpc.tuner.sites`."""
        found = attention_of(block, self.shapes)
        if found is None and (around := attention_block(linear)) is not None:
            found = attention_of(around, self.shapes)
        return found

    def adopt_checkpointing(self) -> None:
        """Let checkpointed layers be recomputed in the pass that they ran in."""
        adopt_checkpointing(self.model, _recomputation)

    def remove(self) -> None:
        """Take everything out of the base model again."""
        for handle in self.handles:
            handle.remove()
        for name in self.shapes:
            self.model.get_submodule(name)._modules.pop(CHILD, None)
        self.switch.restore()
        restore_checkpointing(self.model)

    def check_read(self, running: ForwardPass) -> None:
        """After a pass: the adapter must have acted.

        Raises:
            ModelError: the attention implementation was changed after the adapter was added.
        """
        if not running.ran:
            raise ModelError(
                f"The adapter had no effect on {describe(self.model)}: no adapted layer ran.",
                fix="Do not change the attention implementation after the adapter was added.",
            )
        if running.prefixes:
            raise ModelError(
                f"The attention of {describe(self.model)} did not read the adapter's prefix.",
                fix="Do not change the attention implementation after the adapter was added.",
            )

    def styles(self, running: ForwardPass) -> Styles | None:
        """What the module made of a pass; None without one."""
        if not running.styles:
            return None
        layers = list(running.styles.values())
        encoder = [name for name, shape in self.shapes.items() if not shape.decoder]
        return Styles(
            mean=torch.stack([layer.mean for layer in layers]),
            std=torch.stack([layer.std for layer in layers]),
            probabilities=torch.stack([layer.probabilities for layer in layers]),
            corrected=[running.corrected[name] for name in running.styles],
            positions=[encoder.index(name) for name in running.styles if name in encoder],
        )

    def _correct(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Before a self-attention: make its prefix, corrected for the hidden states [B,n,H]."""
        layer = module._modules[CHILD]
        hidden = hidden_states(args, kwargs)
        if not isinstance(layer, PrefixLayer) or layer.adapter is None or hidden is None:
            return
        running = the_pass()
        if running.bare:
            return
        name, probabilities = layer.shape.name, None
        if layer.adapter in self.modules:
            styles = self._layer_styles(layer, hidden, running)
            probabilities = styles.probabilities  # [B,K]
            if not running.recomputing:
                running.styles.setdefault(name, styles)
        running.probabilities[name] = probabilities
        prefix = None
        if layer.has_prefix:
            prefix = layer.prefix(probabilities)  # [B,m,w_k], [B,m,w_v]
            running.prefixes[id(module)] = layer.heads(*prefix)
        # When recomputing too: it must save the same tensors.
        corrected = self._corrected(name, prefix, probabilities)
        if not running.recomputing:
            running.corrected[name] = corrected
            running.ran = True

    def _layer_styles(self, layer: PrefixLayer, hidden: Tensor, running: ForwardPass) -> LayerStyles:
        """Eq. 10 and 11 for one layer; decoder layers of an encoder-decoder take the last encoder layer's."""
        batch, name = len(hidden), layer.shape.name
        if running.generating and name in running.styles and not running.recomputing:
            return running.styles[name].for_batch(batch)
        if layer.shape.decoder:
            encoder = [value for key, value in running.styles.items() if not self.shapes[key].decoder]
            if not encoder:
                raise UsageError(
                    "The decoder ran without its encoder, whose preferences it needs.",
                    fix="Pass the encoder's input, or the very states that a forward pass with that input gave.",
                )
            return encoder[-1].for_batch(batch)
        mask = None if running.mask is None else _aligned(repeated(running.mask, batch), hidden.shape[1])
        pooled = mean_of_tokens(hidden, mask)  # [B, H], e^l of eq. 10
        module = self.modules[layer.adapter]  # type: ignore[index]
        assert isinstance(module, PreferenceCorrection)
        mean, std = module(pooled)
        noise = None if running.noise is None else repeated(running.noise.to(mean), batch)
        effect = None if running.effect is None else repeated(running.effect.to(mean), batch)
        return LayerStyles(mean, std, preference_probabilities(mean, std, noise, effect))

    def _corrected(
        self, name: str, prefix: tuple[Tensor, Tensor] | None, probabilities: Tensor | None
    ) -> Tensor:
        """What alignment compares: the prefix [B,m,w], or the gates of the updates side by side [B,1,w]."""
        if prefix is not None:
            return torch.cat(prefix, dim=-1)
        updates = (m for m in self.updates_of(name) if m.adapter is not None)
        gates = [gate for update in updates if (gate := update.gate(probabilities)) is not None]
        return torch.cat(gates, dim=-1).unsqueeze(1) if gates else torch.zeros(1, 1, 0)

    def updates_of(self, attention: str) -> list[UpdateLayer]:
        """The wrapped linear layers that the p_pref of one self-attention gates, in the model's order."""
        return self._updates.get(attention, [])

    def know_updates(self) -> None:
        """Note which wrapped layers each self-attention gates; called whenever an adapter was added."""
        self._updates = {}
        for module in self.model.modules():
            if isinstance(module, UpdateLayer) and module.attention is not None:
                self._updates.setdefault(module.attention, []).append(module)


def _aligned(mask: Tensor, length: int) -> Tensor:
    """A prompt's mask [B,n] for `length` positions: of its end, or, where drafted tokens follow it, without these."""
    return functional.pad(mask, (0, length - mask.shape[1])) if length > mask.shape[1] else mask[:, -length:]


def _recomputation() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
    """Contexts in which a checkpointed layer of this forward pass runs, and runs again."""
    return nullcontext(), recomputing(current_pass())
