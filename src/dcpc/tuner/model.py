"""The PEFT tuner: injects prefixes, low-rank updates and bottlenecks, and corrects them in every forward pass.

What happens in one forward pass:

    base model's pre-hook      start a ForwardState: padding mask, ε, the annotators' preferences;
                               where there is a readout, a pass without the adapter for its states
      attention's pre-hook     pool the hidden state, PCM -> p_pref, prefix P + M p_pref       (eq. 10-12)
        attention function     attend to the text and to that prefix
        linear layers' hooks   add low-rank updates and bottlenecks, gated by 1 + M p_pref
    base model's hook          join the readout, and add the annotators' effect where asked for

Hooks sit on the base model, not on this class, because PEFT calls the base model directly in places.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from transformers.loss.loss_utils import ForSequenceClassificationLoss

from dcpc.errors import ModelError, UsageError
from dcpc.pooling import mean_of_tokens
from dcpc.tuner import deberta
from dcpc.tuner.checkpointing import adopt_checkpointing
from dcpc.tuner.config import DCPCConfig
from dcpc.tuner.correction import preference_probabilities
from dcpc.tuner.gated_layer import GatedLayer
from dcpc.tuner.layer import CHILD, PrefixLayer
from dcpc.tuner.probing import describe, hidden_states
from dcpc.tuner.readings import Readings
from dcpc.tuner.state import (
    ForwardState,
    LayerPreference,
    inferred_padding,
    pooling_mask,
    positions_of_tokens,
    repeated,
)


class DCPCModel(Readings):
    """A base model with DCPC adapters. Made by `peft.get_peft_model(base, DCPCConfig(...))`.

    `forward` and `generate` take two arguments besides those of the base model:

    - `annotator_ids` [B]: indices of annotators (see `annotator_index`), -1 for unknown. In the mode `prefix`
      they shape the prefixes, in the mode `output` the logits (and the loss, where labels are given);
    - `noise` [B,K]: ε of eq. 11, shared by all layers. Without it, ε is drawn in training and 0 otherwise.
    """

    def _install_hooks(self, model: nn.Module) -> None:
        self.state: ForwardState | None = None
        self.generating = False
        self.recomputing = False
        self.frozen_pass = False
        self.parameter_names = list(inspect.signature(model.forward).parameters)
        # Rotary queries are turned by their position, and prefix keys have none: positions must not count padding.
        self.rotary = "position_ids" in self.parameter_names and any(
            "Rotary" in type(module).__name__ for module in model.modules()
        )
        self.handles += [
            model.register_forward_pre_hook(self._begin, with_kwargs=True),
            model.register_forward_hook(self._finish),
        ]

    def _install_layer_hooks(self, module: nn.Module) -> None:
        self.handles.append(module.register_forward_pre_hook(self._correct, with_kwargs=True))
        if isinstance(module, deberta.DisentangledSelfAttention):
            self.handles.append(module.register_forward_hook(deberta.add_prefix, with_kwargs=True))

    # The forward pass

    def _begin(
        self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Start the state of a forward pass and take the tuner's own arguments out of its call."""
        kwargs = dict(kwargs)
        annotator_ids, noise = kwargs.pop("annotator_ids", None), kwargs.pop("noise", None)
        given = {**dict(zip(self.parameter_names, args, strict=False)), **kwargs}
        if self.model.training:
            adopt_checkpointing(self.model, self._recomputation)
        config = self.active_config
        if config is None or self.frozen_pass:
            self.state = None
            return args, kwargs
        if self.rotary and given.get("position_ids") is None:
            positions = positions_of_tokens(given.get("attention_mask"), _tokens(given))
            if positions is not None:
                kwargs["position_ids"] = positions
        if self.generating and self.state is not None:
            if self.state.mask is None and not self.state.layers:
                self.state.mask = pooling_mask(given.get("attention_mask"), None)
            return args, kwargs
        if self.state is not None and self.state.layers and _continues(given):
            self.state.keep = True
            return args, kwargs
        state = self._new_state(config, given, annotator_ids, noise)
        reads = self.readout is not None and self.readout.enabled
        if state.annotator_ids is not None or reads:
            # The loss belongs to the logits that the tuner has changed, so it is computed after the change.
            state.labels = kwargs.pop("labels", None)
        if reads:
            state.frozen = self.frozen_states(*args, **kwargs)
        self.state = state
        return args, kwargs

    def _new_state(
        self, config: DCPCConfig, given: dict[str, Any], annotator_ids: Tensor | None, noise: Tensor | None
    ) -> ForwardState:
        prompt_labels = given.get("labels") if config.task_type == "CAUSAL_LM" else None
        state = ForwardState(mask=pooling_mask(given.get("attention_mask"), prompt_labels), noise=noise)
        if noise is None and self.model.training and config.correction:
            tokens = _tokens(given)
            if tokens is not None:
                state.noise = torch.randn(len(tokens), config.num_styles, device=tokens.device)
        if annotator_ids is not None and config.annotator_mode == "prefix":
            state.effect = self.preferences(annotator_ids)
        elif annotator_ids is not None:
            _ = self.preferences  # raises where the adapter knows no annotators
            state.annotator_ids = annotator_ids
        return state

    def _correct(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Before a self-attention: hand it its prefix, corrected for the hidden states [B,n,H]."""
        layer = module._modules[CHILD]
        hidden = hidden_states(args, kwargs)
        if self.frozen_pass or not isinstance(layer, PrefixLayer) or layer.adapter is None or hidden is None:
            return
        if self.state is None:
            raise UsageError(
                "A part of the base model was called alone, so its adapter does not know the whole input.",
                fix="Call the model as a whole, or inside `with model.disable_adapter():`.",
            )
        probabilities = None
        if layer.adapter in self.dcpc_correction:
            preference = self._layer_preference(layer, hidden)
            probabilities = preference.probabilities  # [B,K]
            if not self.recomputing:
                self.state.layers.setdefault(layer.shape.name, preference)
        self.state.latest[layer.shape.name] = probabilities
        if layer.has_prefix:
            layer.current = layer.prefix(probabilities)  # [B,m,w_k], [B,m,w_v]
        carrier = _carrier(layer, probabilities)  # when recomputing too, which must save the same tensors
        if not self.recomputing:
            self.state.prefixes[layer.shape.name] = carrier
            self.state.ran = True

    def _install_linear_hooks(self, module: nn.Module, owner: PrefixLayer) -> None:
        self.handles.append(module.register_forward_hook(partial(self._add_update, owner)))

    def _add_update(
        self, owner: PrefixLayer, module: nn.Module, args: tuple[Any, ...], output: Tensor
    ) -> Any:
        """After a linear layer of a self-attention or feed-forward: add its update."""
        layer = module._modules[CHILD]
        if self.state is None or not isinstance(layer, GatedLayer) or layer.adapter is None:
            return output
        probabilities = self.state.latest[owner.shape.name]
        return output + layer.update(args[0], output, probabilities).to(output.dtype)

    def _layer_preference(self, layer: PrefixLayer, hidden: Tensor) -> LayerPreference:
        """Eq. 10 and 11 for one layer; decoder layers of an encoder-decoder take the last encoder layer's."""
        state = self.state
        assert state is not None
        batch = len(hidden)
        name = layer.shape.name
        if (self.generating or state.keep) and name in state.layers and not self.recomputing:
            return state.layers[name].for_batch(batch)
        if layer.shape.decoder:
            encoder = [value for key, value in state.layers.items() if not self.shapes[key].decoder]
            if not encoder:
                raise UsageError(
                    "The decoder ran without its encoder, whose preferences it needs.",
                    fix="Pass the encoder's input, or its outputs after a forward pass with that input.",
                )
            return encoder[-1].for_batch(batch)
        mask = None if state.mask is None else repeated(state.mask, batch)[:, -hidden.shape[1] :]
        pooled = mean_of_tokens(hidden, mask)  # [B, H], e^l of eq. 10
        mean, std = self.dcpc_correction[layer.adapter](pooled)
        noise = None if state.noise is None else repeated(state.noise.to(mean), batch)
        effect = None if state.effect is None else repeated(state.effect.to(mean), batch)
        return LayerPreference(mean, std, preference_probabilities(mean, std, noise, effect))

    def frozen_states(self, *args: Any, through: nn.Module | None = None, **kwargs: Any) -> Tensor:
        """Pooled states [B,D] of the base model without the adapter, embeddings and layers side by side.

        Args:
            *args: as for the base model.
            through: a module around the base model to be called in its place, for what it adds (autocast).
            **kwargs: as for the base model, without labels.

        Raises:
            ModelError: the base model gives no hidden states, or others than the readout was made for.
        """
        given = {
            **dict(zip(self.parameter_names, args, strict=False)),
            **kwargs,
            "output_hidden_states": True,
            "return_dict": True,
        }
        self.frozen_pass = True
        try:
            with torch.no_grad():
                output = (through or self.model)(**given)
        finally:
            self.frozen_pass = False
        hidden = output.get("hidden_states")
        hidden = output.get("encoder_hidden_states") if hidden is None else hidden
        mask = pooling_mask(given.get("attention_mask"), None)
        states = torch.cat(
            [mean_of_tokens(layer, mask) for layer in hidden or ()] or [torch.empty(0)], dim=-1
        )
        if self.readout is not None and states.shape[-1] != len(self.readout.centre):
            raise ModelError(
                f"The readout reads {len(self.readout.centre)} numbers from the layers of {describe(self.model)}, "
                f"which gives {states.shape[-1]}.",
                fix="Set readout=False for this base model.",
            )
        return states

    def _finish(self, module: nn.Module, args: tuple[Any, ...], output: Any) -> Any:
        """After the base model: check that the adapter acted; join the readout, add the annotator's effect."""
        state = self.state
        if state is None:
            return output
        if not state.ran:
            raise ModelError(
                f"The adapter had no effect on {describe(self.model)}: no adapted layer ran.",
                fix="Do not change the attention implementation after the adapter was added.",
            )
        if any(layer.current is not None for layer in self._layers()):
            raise ModelError(
                f"The attention of {describe(self.model)} did not read the adapter's prefix.",
                fix="Do not change the attention implementation after the adapter was added.",
            )
        if state.annotator_ids is None and state.frozen is None:
            return output
        if not hasattr(output, "logits"):
            raise UsageError(
                "annotator_ids and the readout need a model that returns logits.",
                fix="Pass return_dict=True.",
            )
        if state.frozen is not None and self.readout is not None:
            if output.logits.shape != (len(state.frozen), len(self.readout.bias)):
                raise UsageError(
                    f"The readout adds to one row of {len(self.readout.bias)} class logits per input, but "
                    f"{describe(self.model)} gives logits of shape {list(output.logits.shape)}.",
                    fix="Set readout=False for this base model.",
                )
            output["logits"] = self.readout.joined(output.logits, state.frozen)
        if state.annotator_ids is not None:
            items = torch.arange(len(output.logits), device=output.logits.device)
            output["logits"] = self.annotator_logits(output.logits, state.annotator_ids, items)
        if state.labels is not None:
            output["loss"] = ForSequenceClassificationLoss(state.labels, output.logits, self.model.config)
        return output

    def generate(
        self, *args: Any, annotator_ids: Tensor | None = None, noise: Tensor | None = None, **kwargs: Any
    ) -> Any:
        """The base model's `generate`, with the preferences of the prompt for the whole generation.

        They are computed when the prompt is read and kept, so that cached and uncached generation agree.
        """
        config = self.active_config
        if config is None:
            return self.model.generate(*args, **kwargs)
        prompt = kwargs.get("input_ids", kwargs.get("inputs", args[0] if args else None))
        if kwargs.get("attention_mask") is None:
            settings = kwargs.get("generation_config") or self.model.generation_config
            padding = inferred_padding(prompt, settings.pad_token_id, settings.eos_token_id)
            if padding is not None:
                kwargs["attention_mask"] = padding
        given = {"attention_mask": kwargs.get("attention_mask")}
        self.state = self._new_state(config, given, annotator_ids, noise)
        self.generating = True
        # Compiled decoding would trace through the hooks.
        kwargs.setdefault("disable_compile", True)
        try:
            return self.model.generate(*args, **kwargs)
        finally:
            self.generating = False

    def _recomputation(self) -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        """Contexts in which a checkpointed layer of this forward pass runs, and runs again."""
        return nullcontext(), self._recompute(self.state)

    @contextmanager
    def _recompute(self, state: ForwardState | None) -> Iterator[None]:
        current, self.state, self.recomputing = self.state, state, True
        try:
            yield
        finally:
            self.state, self.recomputing = current, False


def _carrier(layer: PrefixLayer, probabilities: Tensor | None) -> Tensor:
    """What alignment compares: the prefix [B,m,w], or the gates of the updates side by side [B,1,w]."""
    if layer.current is not None:
        return torch.cat(layer.current, dim=-1)
    gates = [gate for update in layer.updates if (gate := update.gate(probabilities)) is not None]
    return torch.cat(gates, dim=-1).unsqueeze(1) if gates else torch.zeros(1, 1, 0)


def _tokens(given: dict[str, Any]) -> Tensor | None:
    """The token ids [B,n] or embeddings [B,n,H] of a call."""
    ids = given.get("input_ids")
    return given.get("inputs_embeds") if ids is None else ids


def _continues(given: dict[str, Any]) -> bool:
    """Whether a call goes on where the one before it ended: with a filled cache, or with encoder outputs."""
    if given.get("encoder_outputs") is not None:
        return True
    past = given.get("past_key_values")
    return past is not None and hasattr(past, "get_seq_length") and int(past.get_seq_length()) > 0
