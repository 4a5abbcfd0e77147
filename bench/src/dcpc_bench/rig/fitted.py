"""What a method of the benchmark hands back: predictions for any items, and what it took."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd

from dcpc.adapter import TrainedAdapter
from dcpc.data.annotations import Annotations, item_texts
from dcpc.data.embeddings import embed_texts
from dcpc.data.pairs import embedding_cache
from dcpc.evaluation.decision import DecisionRule, fit_rule
from dcpc.probabilities import SMALLEST
from dcpc_bench.methods.linear_probe import LinearProbe

Embed = Callable[[pd.DataFrame], np.ndarray]
"""Items to their embeddings, float [I, H]."""


class Fitted(ABC):
    """A trained method.

    Attributes:
        validation_loss: cross-entropy in nats of the predicted distribution against the validation judgements,
            averaged within items and then over them; of DCPC with adapter and readout at one half each, as epochs
            are compared, since the two are weighed on these judgements afterwards.
        parameters: numbers that were trained.
        steps: optimizer steps.
        history: log entries of the training, with `epoch`, `loss`, `eval_loss`.
        setting: what the method chose by itself, where it brings its own search.
        on_edge: axes of that search of which the lowest or highest value won.
    """

    validation_loss: float
    parameters: int
    steps: int = 0
    history: Sequence[dict[str, Any]] = ()
    setting: Mapping[str, Any] = MappingProxyType({})
    on_edge: Sequence[str] = ()

    @abstractmethod
    def probabilities(self, items: pd.DataFrame) -> np.ndarray:
        """Predicted label distribution of I items, float [I, C]."""

    @abstractmethod
    def judged_probabilities(
        self, items: pd.DataFrame, item_codes: np.ndarray, annotators: Sequence[str]
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """`probabilities`, and what annotators would say, float [J, C]; None where the method knows none.

        Args:
            items: I rows.
            item_codes: position of each judgement's item, int [J].
            annotators: ids, J of them; those that training did not see get the item's distribution.
        """

    def rule(self, validation: Annotations) -> DecisionRule:
        """How labels are decided for, fitted on noisy validation judgements."""
        return fit_rule(self.probabilities(validation.items), validation)


class FittedAdapter(Fitted):
    """Anything that `train_adapter` trained."""

    def __init__(self, adapter: TrainedAdapter) -> None:
        self.adapter = adapter
        self.validation_loss = min(float(e["eval_loss"]) for e in adapter.history if "eval_loss" in e)
        self.parameters, self.steps = adapter.trainable_parameters, adapter.steps
        self.history = adapter.history

    def probabilities(self, items: pd.DataFrame) -> np.ndarray:
        """Predicted label distribution of I items, float [I, C]."""
        from dcpc.prediction import predict_distribution

        return predict_distribution(self.adapter, items)

    def judged_probabilities(
        self, items: pd.DataFrame, item_codes: np.ndarray, annotators: Sequence[str]
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """`probabilities`, and what annotators would say, float [J, C]; None where the method knows none."""
        from dcpc.prediction import predict_judgements

        return predict_judgements(self.adapter, items, item_codes, annotators)

    def rule(self, validation: Annotations) -> DecisionRule:
        """The rule that the adapter carries, fitted on the same judgements when it was trained."""
        return self.adapter.task.decision or super().rule(validation)


class FittedProbe(Fitted):
    """A linear probe on embeddings of a frozen encoder.

    Args:
        probe: fitted.
        embed: items to their embeddings, float [I, H].
        validation: judgements to measure the loss on.
        annotators: ids in the probe's order; None where it has no effects of annotators.
    """

    def __init__(
        self, probe: LinearProbe, embed: Embed, validation: Annotations, annotators: pd.Index | None
    ) -> None:
        self.probe, self.embed, self.annotators = probe, embed, annotators
        self.parameters = probe.n_parameters
        self.setting, self.on_edge = probe.choice.setting, probe.choice.on_edge
        p = self.probabilities(validation.items)  # [V, C]
        self.validation_loss = float(-(validation.soft_labels * np.log(p)).sum(axis=1).mean())

    def probabilities(self, items: pd.DataFrame) -> np.ndarray:
        """Predicted label distribution of I items, float [I, C]."""
        return np.maximum(self.probe.probabilities(self.embed(items)), SMALLEST)

    def judged_probabilities(
        self, items: pd.DataFrame, item_codes: np.ndarray, annotators: Sequence[str]
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """`probabilities`, and what annotators would say, float [J, C]; None without effects of annotators."""
        p = self.probabilities(items)
        if self.annotators is None:
            return p, None
        known = self.annotators.get_indexer(pd.Index(annotators))
        return p, self.probe.of_annotators(self.embed(items)[item_codes], known)


def embedded(items: pd.DataFrame, encoder: str, max_length: int) -> np.ndarray:
    """Embeddings of items, float64 [I, H]; several texts of an item are joined by a line break, then cut."""
    texts = item_texts(items)
    found = embed_texts(texts, encoder, cache_dir=embedding_cache(), progress=False, max_length=max_length)
    return found.astype(np.float64)
