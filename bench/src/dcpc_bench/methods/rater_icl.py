"""In-context examples of the rater: who judged how before stands in the prompt, and the label words are scored.

The system that won LeWiDi-2025 reads judgements of the annotator whose next one is asked for. Nothing of the language
model is trained here: of the annotator's own training judgements those on the nearest texts, or a random draw, stand
before the item, and the log-likelihoods l [C] of the label words behind it become probabilities by

    p = softmax(t·l + b)        t and b [C] fitted on the validation judgements, near t = 1 and b = 0

since a small model prefers words for reasons of its own (Zhao et al. 2021). The consensus is the mean over
annotators, or where there are many of them the answer to one prompt with judgements of all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from scipy.optimize import minimize
from scipy.special import log_softmax
from transformers import PreTrainedTokenizerBase

from dcpc.data.annotations import ITEM_COLUMNS, Annotations
from dcpc.errors import UsageError
from dcpc.models import is_language_model, load_language_model
from dcpc.models.smollm2 import SMOLLM2
from dcpc.probabilities import SMALLEST
from dcpc.tasks.label_words import LabelWords
from dcpc.tasks.prompts import TEXTS, PromptTemplate
from dcpc_bench.fitted import Fitted
from dcpc_bench.method import Method, TrainingSettings
from dcpc_bench.methods.linear_probe import embedded
from dcpc_bench.methods.parts.shared_prefix import answers_behind

WAYS: tuple[dict[str, Any], ...] = (
    {"examples": 16, "nearest": False},
    {"examples": 64, "nearest": False},
    {"examples": 8, "nearest": True},
)
"""How many examples, and whether those on the nearest texts; tried on the validation judgements."""
ENCODER = "minilm"
"""Whose embeddings say which texts are near: states of a causal model say it badly."""
MOST_ASKED = 80
"""Validation judgements by which a way is chosen, drawn under the seed: each costs a prompt of every way."""
MOST_ANNOTATORS = 8
"""Up to so many the consensus is the mean over annotators."""
TEMPLATES = {
    ("text",): "{text}\nAnswer:",
    ("text", "text_pair"): "{text}\n{text_pair}\nAnswer:",
}
"""By the columns of the items, where the task has no template: short, and examples show the labels."""
END = "\n\n"
"""Behind every example; scored with the words, so that one label may begin another."""
TOKENS = 4096
"""Per forward pass."""
PRIOR_PRECISION = 1.0
"""Of log t and b around 0."""
Prompt = tuple[tuple[int, ...], tuple[int, ...]]
"""Tokens of the examples, and of the question behind them."""
ANYBODY = ""
"""Stands for all annotators together."""


class ExamplePrompts:
    """Prompts with examples, from the training judgements.

    Args:
        train: judgements that examples are drawn from.
        tokenizer: of the language model.
        settings: `task` gives template and words where it is `label-words`; `max_length` cuts every text.
        context: most tokens of a prompt.
        seed: of the draw.
    """

    def __init__(
        self,
        train: Annotations,
        tokenizer: PreTrainedTokenizerBase,
        settings: TrainingSettings,
        context: int,
        seed: int,
    ) -> None:
        task = settings.task or {}
        if task.get("name", "label-words") != "label-words":
            raise UsageError(
                f"rater-icl answers with label words and not by `{task['name']}`.",
                fix="Leave it out of suites with other tasks.",
            )
        shape = LabelWords(**{k: v for k, v in task.items() if k in ("words", "template")}, chat=False)
        shape.check(train)
        columns = tuple(name for name in ITEM_COLUMNS if name in train.table)
        self.columns = [name for name in TEXTS if name in columns]
        words = [(shape.words.get(label) or [label])[0] for label in train.labels]
        template = shape.template or TEMPLATES.get(columns)
        shape = shape.model_copy(update={"words": dict(zip(train.labels, ([w] for w in words), strict=True))})
        if template is None:  # a prompt with two responses
            template = str(shape.bound(train, tokenizer).template)
        self.prompt = PromptTemplate(template, tokenizer, words, chat=False)
        self.answers = [self.prompt.continuation(word + END) for word in words]  # C token lists
        self.context, self.seed, self.train = context, seed, train
        frame = len(self.prompt.ids(dict.fromkeys(self.columns, "")))
        self._longest = frame + settings.max_length  # of a question
        self._embed = lambda items: embedded(items, ENCODER, settings.max_length)
        self._features = self._embed(train.items)  # [I, H]
        self._questions = [self.question(item) for item in self._texts(train.items)]
        self._judgements: dict[str, np.ndarray] = {
            str(name): np.flatnonzero(train.annotator_codes == code)
            for code, name in enumerate(train.annotators)
        }
        self._judgements[ANYBODY] = np.arange(train.n_judgements)

    @property
    def annotators(self) -> list[str]:
        """Ids of those who have examples."""
        return [name for name in self._judgements if name != ANYBODY]

    def question(self, item: Mapping[str, str]) -> list[int]:
        """Tokens of an item without its answer, its passage cut where it is too long."""
        return self.prompt.fitted(item, self._longest, "in the examples").ids

    def ids(
        self, items: pd.DataFrame, codes: np.ndarray, whose: Sequence[str], way: Mapping[str, Any]
    ) -> list[Prompt]:
        """J prompts.

        Args:
            items: I rows.
            codes: position of every prompt's item, int [J].
            whose: annotator of the examples, J of them; one without judgements gets those of all.
            way: see `WAYS`.
        """
        near = self._embed(items) @ self._features.T  # [I, I of train]
        asked = [self.question(item) for item in self._texts(items)]
        names = items["item_id"].astype(str).tolist() if "item_id" in items else [""] * len(items)
        found = []
        for code, annotator in zip(codes, whose, strict=True):
            rows = self._chosen(near[code], names[code], annotator, way)
            found.append(self._joined(rows, asked[code]))
        return found

    def _chosen(self, near: np.ndarray, name: str, annotator: str, way: Mapping[str, Any]) -> np.ndarray:
        """Judgements to stand in a prompt, the nearest last; never one of the item itself."""
        rows = self._judgements.get(annotator, self._judgements[ANYBODY])
        if way["nearest"]:
            rows = rows[near[self.train.item_codes[rows]].argsort(kind="stable")]
        else:  # the same examples for every item, which are then read once
            rows = np.random.default_rng(self.seed).permutation(rows)
        others = rows[self.train.table["item_id"].to_numpy()[rows] != name]
        return others[-way["examples"] :]

    def _joined(self, rows: np.ndarray, asked: list[int]) -> Prompt:
        """Examples and question in at most `context` tokens: the farthest examples are left out first."""
        begin = self.prompt.tokenizer.bos_token_id
        head = asked[:1] if asked[0] == begin else []
        examples: list[int] = []
        left = self.context - self._longest - max(map(len, self.answers))
        for row in rows[::-1]:
            question = self._questions[self.train.item_codes[row]]
            example = question[len(head) :] + self.answers[self.train.label_codes[row]]
            left -= len(example)
            if left < 0:
                break
            examples = example + examples
        if not examples:
            return (), tuple(asked)
        return tuple(head + examples), tuple(asked[len(head) :])

    def _texts(self, items: pd.DataFrame) -> list[dict[str, str]]:
        rows = items[self.columns].itertuples(index=False, name=None)
        return [dict(zip(self.columns, row, strict=True)) for row in rows]


class FittedExamples(Fitted):
    """A language model that reads examples.

    Args:
        train: judgements that examples are drawn from.
        validation: judgements that choose the way and fit the calibration.
        settings: what all methods share.
        seed: of draws.
    """

    def __init__(
        self, train: Annotations, validation: Annotations, settings: TrainingSettings, seed: int
    ) -> None:
        base = settings.base_model if is_language_model(settings.base_model) else SMOLLM2
        self.model, self.tokenizer = load_language_model(base)
        if self.model.config.is_encoder_decoder:
            raise UsageError(
                "rater-icl reads on from its examples, for which it needs a causal language model."
            )
        self.model.eval()
        self.autocasts = settings.autocasts
        context = min(self.tokenizer.model_max_length, self.model.config.max_position_embeddings)
        self.prompts = ExamplePrompts(train, self.tokenizer, settings, context, seed)
        self._read_before: dict[Prompt, np.ndarray] = {}  # persons and consensus share prompts
        self.setting = self._best_way(validation, seed)
        whose = self._whose(validation)
        scores = self._scores(self.prompts.ids(validation.items, validation.item_codes, whose, self.setting))
        self.calibration = fit_calibration(scores, validation.label_codes)
        self.parameters = self.calibration.size
        p = self.probabilities(validation.items)  # [V, C]
        self.validation_loss = float(-(validation.soft_labels * np.log(p)).sum(axis=1).mean())

    def _best_way(self, validation: Annotations, seed: int) -> Mapping[str, Any]:
        some = np.random.default_rng(seed).permutation(validation.n_judgements)[:MOST_ASKED]
        whose, labels = np.array(self._whose(validation), dtype=object)[some], validation.label_codes[some]
        losses = []
        for way in WAYS:
            prompts = self.prompts.ids(validation.items, validation.item_codes[some], whose.tolist(), way)
            scores = self._scores(prompts)  # [J, C]
            log_p = log_softmax(calibrated(scores, fit_calibration(scores, labels)), axis=1)
            losses.append(-log_p[range(len(labels)), labels].mean())
        return WAYS[int(np.argmin(losses))]

    def _whose(self, validation: Annotations) -> list[str]:
        if not validation.has_annotators:
            return [ANYBODY] * validation.n_judgements
        return validation.table["annotator_id"].astype(str).tolist()

    def probabilities(self, items: pd.DataFrame) -> np.ndarray:
        """The consensus: the mean over annotators, or of a prompt with judgements of all; float [I, C]."""
        annotators = self.prompts.annotators
        if not 0 < len(annotators) <= MOST_ANNOTATORS:
            annotators = [ANYBODY]
        codes = np.repeat(np.arange(len(items)), len(annotators))
        own = self._answered(items, codes, annotators * len(items))
        return own.reshape(len(items), len(annotators), -1).mean(axis=1)

    def judged_probabilities(
        self, items: pd.DataFrame, item_codes: np.ndarray, annotators: Sequence[str]
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """`probabilities`, and what annotators would say, float [J, C]; None where nobody is named."""
        p = self.probabilities(items)
        known = np.isin(np.asarray(annotators, dtype=object), self.prompts.annotators)
        if not self.prompts.annotators:
            return p, None
        own = p[item_codes]
        if known.any():
            own[known] = self._answered(items, item_codes[known], np.asarray(annotators)[known].tolist())
        return p, own

    def _answered(self, items: pd.DataFrame, codes: np.ndarray, whose: Sequence[str]) -> np.ndarray:
        scores = self._scores(self.prompts.ids(items, codes, whose, self.setting))
        return np.maximum(np.exp(log_softmax(calibrated(scores, self.calibration), axis=1)), SMALLEST)

    def _scores(self, prompts: Sequence[Prompt]) -> np.ndarray:
        """Log-likelihoods of the answers [J, C]; each prompt is read once, and so is what prompts share."""
        behind: dict[tuple[int, ...], list[tuple[int, ...]]] = {}
        for examples, question in dict.fromkeys(prompts):
            if (examples, question) not in self._read_before:
                behind.setdefault(examples, []).append(question)
        for examples, questions in behind.items():
            with torch.autocast(self.model.device.type, torch.bfloat16, enabled=self.autocasts):
                found = answers_behind(
                    self.model, self.tokenizer, examples, questions, self.prompts.answers, TOKENS
                )
            self._read_before.update(
                ((examples, q), row.numpy()) for q, row in zip(questions, found, strict=True)
            )
        return np.stack([self._read_before[prompt] for prompt in prompts]).astype(np.float64)


def calibrated(scores: np.ndarray, calibration: np.ndarray) -> np.ndarray:
    """Logits t·l + b [J, C] of log-likelihoods l [J, C]; `calibration` is (log t, b), float [1 + C]."""
    return np.exp(calibration[0]) * scores + calibration[1:]


def fit_calibration(scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """(log t, b) [1 + C] that predict the labels [J] best, with a normal prior around 0.

    Args:
        scores: log-likelihoods [J, C].
        labels: positions of the given labels, int [J].
    """

    def loss(calibration: np.ndarray) -> float:
        log_p = log_softmax(calibrated(scores, calibration), axis=1)
        return float(-log_p[range(len(labels)), labels].sum() + PRIOR_PRECISION / 2 * (calibration**2).sum())

    return minimize(loss, np.zeros(1 + scores.shape[1]), method="L-BFGS-B").x


def fit_examples(
    train: Annotations, validation: Annotations, settings: TrainingSettings, seed: int
) -> FittedExamples:
    """The suite's base model, or `smollm2` where that writes no text."""
    return FittedExamples(train, validation, settings, seed)


METHOD = Method(
    "rater-icl",
    "Opt-ICL at LeWiDi-2025; Brown et al. 2020",
    "judgements of the annotator as examples in the prompt of a frozen language model, label words calibrated",
    carrier="prompt",
    fit=fit_examples,
    grid={},
)
