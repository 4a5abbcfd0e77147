"""What a method of the benchmark hands back: predictions for any items, and what it took."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from dcpc.data.annotations import Annotations
from dcpc.evaluation.decision import DecisionRule, fit_rule

if TYPE_CHECKING:
    from dcpc.adapter import TrainedAdapter


class Fitted(ABC):
    """A trained method.

    Attributes:
        validation_loss: cross-entropy in nats of the predicted distribution against the validation judgements,
            averaged within items and then over them; of DCPC with adapter and the readout of the frozen model at one
            half each, as epochs are compared, since the two are weighed on these judgements afterwards.
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

    def rule(self, validation: Annotations) -> DecisionRule | None:
        """How labels are decided for, fitted on noisy validation judgements; None where they are too few."""
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

    def rule(self, validation: Annotations) -> DecisionRule | None:
        """The rule that the adapter carries, fitted on the same judgements when it was trained."""
        return self.adapter.task.decision
