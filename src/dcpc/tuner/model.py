"""The PEFT tuner: a base model with DCPC adapters, its forward pass, and what annotators add to its logits.

What happens in one forward pass:

    base model's pre-hook      begin a ForwardPass: padding mask, ε, the annotators' effects;
                               where a readout reads the frozen model, a pass without the adapter for its states
      carriers                 see `dcpc.tuner.update_layer`, and `dcpc.tuner.paper` for prefixes and the module
    base model's hook          join the readout, and add the annotators' effect where asked for; end the pass

Hooks sit on the base model, not on this class, because PEFT calls the base model directly in places.
"""

from __future__ import annotations

import inspect
import warnings
from contextlib import AbstractContextManager, nullcontext
from copy import copy
from typing import Any

import torch
from torch import Tensor, nn
from transformers.loss.loss_utils import ForSequenceClassificationLoss

from dcpc.errors import ModelError, UsageError
from dcpc.tuner.annotator_logits import AnnotatorLogits
from dcpc.tuner.annotators import AnnotatorEffects
from dcpc.tuner.config import DCPCConfig
from dcpc.tuner.forward_pass import (
    ForwardPass,
    PassRecord,
    begin,
    carried_styles,
    carry_styles,
    current_pass,
    end,
    inferred_padding,
    inside,
    pooling_mask,
    positions_of_tokens,
)
from dcpc.tuner.readout import CrossLayerReadout, layer_means
from dcpc.tuner.structure import TunerStructure
from dcpc.tuner.trial_pass import describe

STATES = ("hidden_states", "encoder_hidden_states", "decoder_hidden_states")
"""Parts of an output that nobody asked for where the readout did."""


class DCPCModel(AnnotatorLogits, TunerStructure):
    """A base model with DCPC adapters. Made by `peft.get_peft_model(base, DCPCConfig(...))`.

    `forward` takes four arguments besides those of the base model, `generate` the first two:

    - `annotator_ids` [B]: indices of annotators (see `annotator_index`), -1 for unknown. In the mode `prefix`
      they shape what the module corrects, in the mode `output` the logits (and the loss, where labels are given);
    - `noise` [B,K]: ε of eq. 11, shared by all layers. Without it, ε is drawn in training and 0 otherwise;
    - `record`: a `PassRecord`, which the pass fills with what its correction module made of the inputs;
    - `prompt_mask` [B,n]: positions that the module pools over, where not all of the input is the prompt.

    A pass leaves nothing behind: threads and tasks may share the model.
    """

    def _install_hooks(self, model: nn.Module) -> None:
        self.parameter_names = list(inspect.signature(model.forward).parameters)
        # Rotary queries are turned by their position, and prefix keys have none: positions must not count padding.
        self.rotary = "position_ids" in self.parameter_names and any(
            "Rotary" in type(module).__name__ for module in model.modules()
        )
        self.handles += [
            model.register_forward_pre_hook(self._begin, with_kwargs=True),
            model.register_forward_hook(self._finish, always_call=True),
        ]

    # The acting adapter

    @property
    def active_config(self) -> DCPCConfig | None:
        """Configuration of the adapter that acts, None while adapters are disabled or deleted."""
        name = next((layer.adapter for layer in self._layers() if layer.adapter is not None), None)
        return None if name is None else self.peft_config[name]

    @property
    def readout(self) -> CrossLayerReadout | None:
        """The acting adapter's cross-layer readout, None where it has none."""
        if self.active_config is None or self.active_adapters[0] not in self.dcpc_readout:
            return None
        return self.dcpc_readout[self.active_adapters[0]]

    @property
    def annotators(self) -> AnnotatorEffects:
        """The acting adapter's annotators; a UsageError where it knows none."""
        config = self.active_config
        if config is None or self.active_adapters[0] not in self.dcpc_annotators:
            raise UsageError(
                "The acting adapter knows no annotators.",
                fix="Train with DCPCConfig(annotators=[...]), or leave annotator_ids out.",
            )
        return self.dcpc_annotators[self.active_adapters[0]]

    # The forward pass

    def _begin(
        self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Begin a pass and take the tuner's own arguments out of its call."""
        kwargs = dict(kwargs)
        annotator_ids, noise = kwargs.pop("annotator_ids", None), kwargs.pop("noise", None)
        record: PassRecord | None = kwargs.pop("record", None)
        prompt: Tensor | None = kwargs.pop("prompt_mask", None)
        given = {**dict(zip(self.parameter_names, args, strict=False)), **kwargs}
        if self.model.training and self.machinery is not None:
            self.machinery.adopt_checkpointing()
        around, config = current_pass(), self.active_config
        around = around if around is not None and around.tuner in (self, None) else None
        if around is not None and around.bare:
            return args, kwargs
        if config is None:
            begin(ForwardPass(self, bare=True))
            return args, kwargs
        if config.num_virtual_tokens > 0 and self.rotary and given.get("position_ids") is None:
            positions = positions_of_tokens(given.get("attention_mask"), _tokens(given))
            if positions is not None:
                kwargs["position_ids"] = positions
        if around is not None and around.generating:
            if around.mask is None and not around.styles:
                around.mask = pooling_mask(given.get("attention_mask"), None)
            return args, kwargs
        if self.model.training and given.get("labels") is not None and annotator_ids is None:
            _warn_of_missing_annotators(config)
        new = self._new_pass(config, given, annotator_ids, noise)
        new.record = record
        if prompt is not None:
            new.mask = prompt
        reads = self.readout is not None and self.readout.enabled
        if new.annotator_ids is not None or reads:
            # The loss belongs to the logits that the tuner has changed, so it is computed after the change.
            new.labels = kwargs.pop("labels", None)
        if reads and config.readout_states == "frozen":
            new.read = self.frozen_states(*args, **kwargs)
        elif reads:
            new.reads_own, new.shows_states = True, bool(given.get("output_hidden_states"))
            kwargs["output_hidden_states"] = True
        begin(new)
        return args, kwargs

    def _new_pass(
        self, config: DCPCConfig, given: dict[str, Any], annotator_ids: Tensor | None, noise: Tensor | None
    ) -> ForwardPass:
        prompt_labels = given.get("labels") if config.task_type == "CAUSAL_LM" else None
        new = ForwardPass(self, mask=pooling_mask(given.get("attention_mask"), prompt_labels), noise=noise)
        styles = carried_styles(given.get("past_key_values"), given.get("encoder_outputs"))
        if styles is not None:
            new.styles, new.generating = dict(styles), True
        if noise is None and self.model.training and config.correction:
            tokens = _tokens(given)
            if tokens is not None:
                new.noise = torch.randn(len(tokens), config.num_styles, device=tokens.device)
        if annotator_ids is not None and config.annotator_mode == "prefix":
            new.effect = self.annotators(annotator_ids)
        elif annotator_ids is not None:
            _ = self.annotators  # raises where the adapter knows no annotators
            if config.task_type not in (None, "SEQ_CLS"):
                raise UsageError(
                    "annotator_mode='output' adds to the logits of labels, which this model does not give by itself.",
                    fix="Score the labels first (dcpc.tasks), or train with annotator_mode='prefix'.",
                )
            new.annotator_ids = annotator_ids
        return new

    def _finish(self, module: nn.Module, args: tuple[Any, ...], output: Any) -> Any:
        """After the base model: check that the adapter acted; join the readout, add the annotator's effect."""
        running = current_pass()
        if running is None or running.tuner is not self:
            return output
        if running.token is None:  # one call of a generation, or the pass without the adapter
            if self.machinery is not None and output is not None and not running.bare:
                self._check_read(running)
            return output
        end(running)
        if output is None or running.bare:  # the base model raised an error, or adapters are off
            return output
        self._check_read(running)
        if self.machinery is not None and running.styles:
            carry_styles(output, running.styles)
            if running.record is not None:
                running.record.styles = self.machinery.styles(running)
        if running.annotator_ids is None and running.read is None and not running.reads_own:
            return output
        return self._with_effects(output, running)

    def _check_read(self, running: ForwardPass) -> None:
        config = self.active_config
        if self.machinery is not None and config is not None and config.needs_machinery:
            self.machinery.check_read(running)

    def _with_effects(self, output: Any, running: ForwardPass) -> Any:
        """An output whose logits hold what the readout and an annotator add, and its loss."""
        if not hasattr(output, "logits"):
            raise UsageError(
                "annotator_ids and the readout need a model that returns logits.",
                fix="Pass return_dict=True.",
            )
        if running.reads_own:
            running.read = self.states_read(output, running.mask)
            if not running.shows_states:
                output = type(output)(**{name: each for name, each in output.items() if name not in STATES})
        if running.read is not None and self.readout is not None:
            if output.logits.shape != (running.read.shape[0], len(self.readout.bias)):
                raise UsageError(
                    f"The readout adds to one row of {len(self.readout.bias)} class logits per input, but "
                    f"{describe(self.model)} gives logits of shape {list(output.logits.shape)}.",
                    fix="Set readout=False for this base model.",
                )
            output["logits"] = self.readout.joined(output.logits, running.read)
        if running.annotator_ids is not None:
            items = torch.arange(output.logits.shape[0], device=output.logits.device)
            styles = None if self.machinery is None else self.machinery.styles(running)
            output["logits"] = self.annotator_logits(output.logits, running.annotator_ids, items, styles)
        if running.labels is not None:
            output["loss"] = ForSequenceClassificationLoss(running.labels, output.logits, self.model.config)
        return output

    def frozen_states(self, *args: Any, through: nn.Module | None = None, **kwargs: Any) -> Tensor:
        """What the readout reads [B,R] of the base model without the adapter.

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
        with torch.no_grad(), inside(ForwardPass(self, bare=True)):
            output = (through or self.model)(**given)
        return self.states_read(output, pooling_mask(given.get("attention_mask"), None))

    def states_read(self, output: Any, mask: Tensor | None) -> Tensor:
        """What the readout reads [B,R] of a pass with hidden states.

        Args:
            output: of the base model.
            mask: [B,n] tokens that count; None for all.

        Raises:
            ModelError: there are no hidden states, or others than the readout was made for.
        """
        states, readout = layer_means(output, mask), self.readout
        assert readout is not None  # nothing else reads
        if states.shape[-1] != readout.n_states:
            raise ModelError(
                f"The readout reads {readout.n_states} numbers from the layers of {describe(self.model)}, "
                f"which gives {states.shape[-1]}.",
                fix="Set readout=False for this base model.",
            )
        return readout.sketch(states)

    def generate(
        self, *args: Any, annotator_ids: Tensor | None = None, noise: Tensor | None = None, **kwargs: Any
    ) -> Any:
        """The base model's `generate`, with the styles of the prompt for the whole generation.

        They are computed when the prompt is read and kept, so that cached and uncached generation agree.

        Raises:
            UsageError: the prompt is to be read in chunks, which the correction module cannot pool over.
        """
        config = self.active_config
        if config is None:
            return self.model.generate(*args, **kwargs)
        settings = kwargs.get("generation_config") or self.model.generation_config
        chunk = kwargs.get("prefill_chunk_size", getattr(settings, "prefill_chunk_size", None))
        if config.correction and chunk is not None:
            raise UsageError(
                "the correction module pools over the whole prompt, but prefill_chunk_size reads it in pieces.",
                fix="Leave prefill_chunk_size out.",
            )
        prompt = kwargs.get("input_ids", kwargs.get("inputs", args[0] if args else None))
        if kwargs.get("attention_mask") is None:
            padding = inferred_padding(prompt, settings.pad_token_id, settings.eos_token_id)
            if padding is not None:
                kwargs["attention_mask"] = padding
        new = self._new_pass(config, {"attention_mask": kwargs.get("attention_mask")}, annotator_ids, noise)
        new.generating = True
        if new.mask is None and isinstance(prompt, Tensor):
            # Where the prompt ends must be known: assisted generation reads drafted tokens along with it.
            new.mask = torch.ones_like(prompt)
        # Compiled decoding would trace through the hooks.
        if kwargs.get("generation_config") is None:
            kwargs.setdefault("disable_compile", True)
        else:  # which transformers wants to have alone
            kwargs["generation_config"] = copy(settings)
            kwargs["generation_config"].disable_compile = True
        with inside(new):
            return self.model.generate(*args, **kwargs)

    def _enable_peft_forward_hooks(self, *args: Any, **kwargs: Any) -> AbstractContextManager[None]:
        if kwargs.get("adapter_names") is not None:
            raise UsageError(
                "DCPC adapters cannot be mixed within one batch: adapter_names is not supported.",
                fix="Call set_adapter, and send the rows of each adapter as a batch of their own.",
            )
        return nullcontext()


def _warn_of_missing_annotators(config: DCPCConfig) -> None:
    """Labels without annotators would leave what the adapter knows of annotators untrained, silently."""
    if config.models_annotators:
        warnings.warn(
            "The adapter knows annotators, but this batch has labels and no annotator_ids, so that annotators learn "
            "nothing. transformers.Trainer drops the column: set remove_unused_columns=False, or use DCPCTrainer.",
            stacklevel=3,
        )


def _tokens(given: dict[str, Any]) -> Tensor | None:
    """The token ids [B,n] or embeddings [B,n,H] of a call."""
    ids = given.get("input_ids")
    return given.get("inputs_embeds") if ids is None else ids
