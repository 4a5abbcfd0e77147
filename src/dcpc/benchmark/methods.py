"""How each method of the benchmark gets from training judgements to predictions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from dcpc.baselines.probe import fit_linear_probe
from dcpc.data.annotations import ITEM_COLUMNS, Annotations
from dcpc.data.embeddings import embed_texts
from dcpc.evaluation.decision import fit_offsets
from dcpc.evaluation.distribution import SMALLEST
from dcpc.evaluation.majority import majority_labels
from dcpc.evaluation.selection import Choice, choose_setting
from dcpc.evaluation.splits import Split


@dataclass(frozen=True)
class Settings:
    """What all methods of a benchmark share.

    Attributes:
        base_model: `minilm`, a Hugging Face id, or a local path.
        epochs: of training; the epoch that predicts the validation judgements best is kept.
        learning_rates: grid for the trained methods, from low to high.
    """

    base_model: str
    epochs: float
    learning_rates: tuple[float, ...]


@dataclass(frozen=True)
class Outcome:
    """What a method predicts, and what it took.

    Attributes:
        probabilities: of the test items, float [I, C].
        offsets: decision offsets fitted on noisy labels, float [C].
        choice: the setting that won on noisy labels.
        parameters: number of trained parameters.
    """

    probabilities: np.ndarray
    offsets: np.ndarray
    choice: Choice
    parameters: int


Method = Callable[[Split, Settings, int], Outcome]


def _texts(annotations: Annotations) -> list[str]:
    columns = [c for c in ITEM_COLUMNS if c in annotations.items]
    return annotations.items[columns].agg("\n".join, axis=1).tolist()


def _probe(split: Split, settings: Settings, seed: int, *, annotator_effects: bool) -> Outcome:
    """The linear probe; its cross-validation uses training and validation items alike."""
    rows = pd.concat([split.train.table, split.validation.table], ignore_index=True)
    training = Annotations(rows, split.train.labels, split.train.scale, split.train.source)
    embed = partial(embed_texts, encoder=settings.base_model, progress=False)
    features = embed(_texts(training)).astype(np.float64)
    probe = fit_linear_probe(features, training, annotator_effects=annotator_effects, seed=seed)
    test = embed(_texts(split.test)).astype(np.float64)
    return Outcome(probe.probabilities(test), probe.offsets, probe.choice, probe.n_parameters)


def vote(annotations: Annotations) -> Annotations:
    """One judgement per item that gave the majority label; tied items are left out, as voting does."""
    majority = majority_labels(annotations.counts)[annotations.item_codes]  # [J]
    agreeing = annotations.where(majority == annotations.label_codes)
    return agreeing.where(~agreeing.table["item_id"].duplicated().to_numpy())


def _adapter(
    split: Split, settings: Settings, seed: int, *, method: str, voted: bool = False, **training: Any
) -> Outcome:
    """Train once per learning rate and keep the one that predicts the validation judgements best."""
    from dcpc.prediction import predict_distribution
    from dcpc.training.fit import train_adapter

    held_out = split.validation
    seen = vote(split.train) if voted else split.train
    losses, found = [], []
    for rate in settings.learning_rates:
        trained = train_adapter(
            seen,
            held_out,
            base_model=settings.base_model,
            method=method,
            training={
                "seed": seed,
                "learning_rate": rate,
                "num_train_epochs": settings.epochs,
                **training,
            },
            progress=False,
        )
        p = predict_distribution(trained, held_out.items, progress=False)  # [V items, C]
        rows = p[held_out.item_codes]  # [V, C]
        losses.append(_cross_entropy(rows, held_out.label_codes))
        test = predict_distribution(trained, split.test.items, progress=False)
        found.append((test, fit_offsets(rows, held_out.label_codes), trained.trainable_parameters))
    choice = choose_setting({"learning_rate": settings.learning_rates}, np.array(losses))
    best = list(settings.learning_rates).index(choice.setting["learning_rate"])
    probabilities, offsets, parameters = found[best]
    return Outcome(probabilities, offsets, choice, parameters)


def _cross_entropy(p: np.ndarray, labels: Sequence[int] | np.ndarray) -> float:
    return float(-np.log(np.maximum(p[np.arange(len(p)), labels], SMALLEST)).mean())


METHODS: dict[str, Method] = {
    "dcpc": partial(_adapter, method="dcpc"),
    "dcpc-paper": partial(_adapter, method="dcpc", preset="paper"),
    "lora": partial(_adapter, method="lora"),
    "lora-majority": partial(_adapter, method="lora", voted=True),
    "p-tuning-v2": partial(_adapter, method="p-tuning-v2"),
    "p-tuning-v2-majority": partial(_adapter, method="p-tuning-v2", voted=True),
    "linear-probe": partial(_probe, annotator_effects=False),
    "linear-probe-annotators": partial(_probe, annotator_effects=True),
}
"""`-majority` trains on the vote, everything else on every judgement."""
