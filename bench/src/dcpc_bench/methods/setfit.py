"""SetFit (Tunstall et al. 2022), by its own library: a sentence encoder is tuned on pairs of texts, those of one
label drawn together and others apart, then a logistic regression reads it.

It knows one label per item: the majority's, drawn among labels that tie. Its pairs grow with the square of the items,
so the number of steps is bounded: 100 of 16 pairs show 3,200 texts.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence

import numpy as np
import pandas as pd
from datasets import Dataset

from dcpc.data.annotations import Annotations, item_texts
from dcpc.errors import UsageError
from dcpc.models.minilm import MINILM, minilm_path
from dcpc.probabilities import SMALLEST
from dcpc_bench.fitted import Fitted
from dcpc_bench.method import Method, TrainingSettings
from dcpc_bench.methods.majority_vote import majority_vote

STEPS, PAIRS = 100, 16
"""Steps, and pairs in each."""


class FittedSetFit(Fitted):
    """A tuned encoder and its regression.

    Args:
        model: a `setfit.SetFitModel`.
        classes: label positions that it knows, int; others were no item's majority.
        validation: judgements to measure the loss on.
    """

    steps = STEPS

    def __init__(self, model: object, classes: np.ndarray, validation: Annotations) -> None:
        self.model, self.classes, self.n_classes = model, classes, validation.n_classes
        body, head = model.model_body, model.model_head  # type: ignore[attr-defined]
        self.parameters = (
            sum(each.numel() for each in body.parameters()) + head.coef_.size + head.intercept_.size
        )
        p = self.probabilities(validation.items)  # [V, C]
        self.validation_loss = float(-(validation.soft_labels * np.log(p)).sum(axis=1).mean())

    def probabilities(self, items: pd.DataFrame) -> np.ndarray:
        """Predicted label distribution of I items, float [I, C]."""
        texts = item_texts(items)
        found = self.model.predict_proba(texts, as_numpy=True, show_progress_bar=False)  # type: ignore[attr-defined]
        p = np.full((len(texts), self.n_classes), SMALLEST)
        p[:, self.classes] = np.maximum(found, SMALLEST)
        return p / p.sum(axis=1, keepdims=True)

    def judged_probabilities(
        self, items: pd.DataFrame, item_codes: np.ndarray, annotators: Sequence[str]
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """`probabilities`; it knows no annotators."""
        return self.probabilities(items), None


def fit_setfit(
    train: Annotations, validation: Annotations, settings: TrainingSettings, seed: int
) -> FittedSetFit:
    """Tune an encoder on pairs of training items, and fit the regression.

    Raises:
        UsageError: setfit is not installed, or all items have one label.
    """
    try:
        from setfit import SetFitModel, Trainer, TrainingArguments
    except ImportError as error:
        raise UsageError("SetFit needs its library", fix="pip install 'dcpc-bench[setfit]'") from error
    labels = drawn_majority(train, seed)
    classes = np.unique(labels)
    if len(classes) < 2:
        raise UsageError("SetFit needs items of two labels, and the majority gives all items the same one")
    path = str(minilm_path()) if settings.base_model == MINILM else settings.base_model
    model = SetFitModel.from_pretrained(path, local_files_only=True)
    model.model_body.max_seq_length = settings.max_length
    model.model_head.random_state = seed
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            output_dir=folder,
            batch_size=PAIRS,
            max_steps=STEPS,
            seed=seed,
            report_to="none",
            save_strategy="no",
            show_progress_bar=False,
        )
        data = Dataset.from_dict({"text": item_texts(train.items), "label": labels.tolist()})
        Trainer(model=model, args=arguments, train_dataset=data).train()
    return FittedSetFit(model, classes, validation)


def drawn_majority(annotations: Annotations, seed: int) -> np.ndarray:
    """Position of the label that most annotators of an item gave, int [I]; drawn where labels tie."""
    draw = np.random.default_rng([seed, 17])
    return np.array([draw.choice(len(shares), p=shares) for shares in majority_vote(annotations)])


METHOD = Method(
    "setfit",
    "Tunstall et al. 2022",
    "the encoder tuned on pairs of majority labels, then a regression; by the library setfit, 100 steps",
    fit=fit_setfit,
    grid={},
)
