"""What the objective, the trainer and predictions read from the tuner after a forward pass."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from dcpc.errors import UsageError
from dcpc.tuner.annotators import AnnotatorPreferences
from dcpc.tuner.config import DCPCConfig
from dcpc.tuner.layer import PrefixLayer
from dcpc.tuner.readout import CrossLayerReadout
from dcpc.tuner.state import ForwardState, PreferenceState
from dcpc.tuner.structure import TunerStructure


class Readings(TunerStructure):
    """Preferences of the latest forward pass, and annotators' logits and label distributions made of them."""

    state: ForwardState | None

    @property
    def active_config(self) -> DCPCConfig | None:
        """Configuration of the adapter that acts, None while adapters are disabled or deleted."""
        name = next((layer.adapter for layer in self._layers() if layer.adapter is not None), None)
        return None if name is None else self.peft_config[name]

    def _layers(self) -> Iterator[PrefixLayer]:
        return (module for module in self.model.modules() if isinstance(module, PrefixLayer))

    @property
    def preference(self) -> PreferenceState | None:
        """Preferences of the latest forward pass, in its graph; None without correction or before one."""
        if self.state is None or not self.state.layers:
            return None
        layers = list(self.state.layers.values())
        encoder = [name for name, shape in self.shapes.items() if not shape.decoder]
        return PreferenceState(
            mean=torch.stack([layer.mean for layer in layers]),
            std=torch.stack([layer.std for layer in layers]),
            probabilities=torch.stack([layer.probabilities for layer in layers]),
            prefixes=[self.state.prefixes[name] for name in self.state.layers],
            positions=[encoder.index(name) for name in self.state.layers if name in encoder],
        )

    @property
    def readout(self) -> CrossLayerReadout | None:
        """The acting adapter's cross-layer readout, None where it has none."""
        if self.active_config is None or self.active_adapters[0] not in self.dcpc_readout:
            return None
        return self.dcpc_readout[self.active_adapters[0]]

    @property
    def preferences(self) -> AnnotatorPreferences:
        """The acting adapter's annotators; a UsageError where it knows none."""
        config = self.active_config
        if config is None or self.active_adapters[0] not in self.dcpc_annotators:
            raise UsageError(
                "The acting adapter knows no annotators.",
                fix="Train with DCPCConfig(annotators=[...]), or leave annotator_ids out.",
            )
        return self.dcpc_annotators[self.active_adapters[0]]

    def annotator_index(self, ids: Sequence[str]) -> Tensor:
        """Indices [J] of annotator ids; unknown ids fall back to their group's mean, else to -1."""
        return self.preferences.index(ids)

    def annotator_kl(self) -> Tensor:
        """KL of the annotators' posteriors to their priors, summed over annotators: a scalar, in nats."""
        return self.preferences.kl()

    def _item_mean(self, logits: Tensor) -> Tensor:
        """[B,K] μ̄, the last layer's mean in the latest forward pass; 0 without correction."""
        preferences = self.preferences
        if self.state is None or not self.state.layers:
            return logits.new_zeros(len(logits), preferences.mean.shape[1], dtype=preferences.mean.dtype)
        return list(self.state.layers.values())[-1].mean

    def annotator_logits(self, logits: Tensor, annotator_ids: Tensor, item_index: Tensor) -> Tensor:
        """Logits of judgements: an item's logits plus its annotator's effect (mode `output`).

        In training, preferences are sampled and some annotators dropped; in evaluation they are the means.

        Args:
            logits: [B,C] of the latest forward pass, which ran without annotators.
            annotator_ids: [J] annotator of each judgement, -1 for unknown.
            item_index: [J] row of each judgement's item in `logits`.

        Returns:
            [J,C].
        """
        preferences = self.preferences
        effect = preferences.effect(self._item_mean(logits)[item_index], preferences(annotator_ids))  # [J,C]
        return logits[item_index] + effect.to(logits.dtype)

    def population_probabilities(self, logits: Tensor) -> Tensor:
        """Mean label distribution over all known annotators, in probability space (mode `output`).

        Args:
            logits: [B,C] of the latest forward pass, which ran without annotators.

        Returns:
            [B,C], rows sum to 1.
        """
        preferences = self.preferences
        effect = preferences.effect(self._item_mean(logits).unsqueeze(1), preferences.mean)  # [B,A,C]
        return (logits.unsqueeze(1) + effect.to(logits.dtype)).softmax(dim=-1).mean(dim=1)
