"""A linear probe on the states of all layers of the frozen base model.

The probe that is to be beaten: a logistic ridge regression on what every layer knows of an input, mean over its
tokens, with ridges from cross-validation on the noisy labels. DCPC has the same regression beside its adapter.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch

from dcpc.data.annotations import Annotations, item_texts
from dcpc.models import is_language_model, load_base_model, load_language_model
from dcpc.objective import pool_layers
from dcpc.probabilities import SMALLEST
from dcpc.regression.logistic import Judged
from dcpc.training.readout_regression import fit_readout
from dcpc_bench.fitted import Fitted
from dcpc_bench.method import Method, TrainingSettings

BATCH = 16
"""Texts per forward pass."""


def all_layer_states(items: pd.DataFrame, settings: TrainingSettings) -> np.ndarray:
    """Mean states of embeddings and layers, side by side, float32 [I, (L + 1)·H]; texts joined by a line break."""
    name = settings.base_model
    if is_language_model(name):
        model, tokenizer = load_language_model(name)
    else:
        model, tokenizer = load_base_model(name, ["a", "b"])
    model.eval()
    texts, found = item_texts(items), []
    backbone = model.base_model  # no head, whose vocabulary would cost as much as all layers
    for start in range(0, len(texts), BATCH):
        tokens = tokenizer(
            texts[start : start + BATCH],
            padding=True,
            truncation=True,
            max_length=settings.max_length,
            return_tensors="pt",
        )
        with torch.inference_mode():
            hidden = backbone(**tokens, output_hidden_states=True).hidden_states
            found.append(pool_layers(hidden, tokens["attention_mask"]).float())  # [L + 1, B, H]
    return torch.cat(found, dim=1).transpose(0, 1).flatten(1).numpy()


class FittedStates(Fitted):
    """The regression on all layers, fitted on training judgements.

    Args:
        train: judgements to fit on.
        validation: judgements to measure the loss on.
        settings: what all methods share.
    """

    def __init__(self, train: Annotations, validation: Annotations, settings: TrainingSettings) -> None:
        self.settings = settings
        states = all_layer_states(train.items, settings)
        judged = Judged(
            features=states,
            items=train.item_codes,
            labels=train.label_codes,
            annotators=np.full(train.n_judgements, -1),
            n_annotators=0,
            n_classes=train.n_classes,
        )
        self.regression = fit_readout(judged)
        self.parameters = self.regression.weight.size + self.regression.bias.size
        p = self.probabilities(validation.items)  # [V, C]
        self.validation_loss = float(-(validation.soft_labels * np.log(p)).sum(axis=1).mean())

    def probabilities(self, items: pd.DataFrame) -> np.ndarray:
        """Predicted label distribution of I items, float [I, C]."""
        logits = self.regression.logits(all_layer_states(items, self.settings)).astype(np.float64)
        logits -= logits.max(axis=1, keepdims=True)
        p = np.exp(logits)
        return np.maximum(p / p.sum(axis=1, keepdims=True), SMALLEST)

    def judged_probabilities(
        self, items: pd.DataFrame, item_codes: np.ndarray, annotators: Sequence[str]
    ) -> tuple[np.ndarray, None]:
        """`probabilities`, and None: it knows no annotators."""
        return self.probabilities(items), None


def fit_all_layers(
    train: Annotations, validation: Annotations, settings: TrainingSettings, seed: int
) -> FittedStates:
    """The probe on the shared base model; convex, so that the seed chooses nothing."""
    return FittedStates(train, validation, settings)


METHOD = Method(
    "all-layer-probe",
    "Alain, Bengio 2016; Tenney et al. 2019",
    "logistic regression on the states of all frozen layers, cross-validated",
    fit=fit_all_layers,
    grid={},
)
