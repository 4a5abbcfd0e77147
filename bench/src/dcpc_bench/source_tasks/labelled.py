"""The shifted tasks whose annotators disagree on labels: COPA-BS, SST-2-P and RTE-E."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd

from dcpc.data.counts import one_hot
from dcpc_bench.shifts.assignment import Assignment
from dcpc_bench.shifts.items import CleanItems
from dcpc_bench.shifts.polarity import PolarityPool
from dcpc_bench.shifts.pool import AnnotatorPool, LabelModel
from dcpc_bench.shifts.thresholds import ThresholdPool
from dcpc_bench.source_tasks.loaders import TASKS

_PEOPLE = re.compile(
    r"\b(?:i|me|my|we|our|us|he|she|him|her|his|they|them|their|who|someone|everyone|man|men|woman|women|boy|boys|"
    r"girl|girls|child|children|baby|parents?|mother|father|friends?|wife|husband|people|person|family|students?|"
    r"teacher|doctor|nurse|lawyer|police|officers?|neighbors?|guests?|customers?|players?|drivers?|cooks?|patrons?|applicants?|interviewers?|users?|"
    r"captain|spy|jury|contestants?|audience|crowd)\b",
    re.IGNORECASE,
)
_QUESTIONS = {"cause": "What was the cause?", "effect": "What happened as a result?"}


def clean_items(name: str, table: pd.DataFrame) -> CleanItems:
    """The items of a labelled task with their gold labels, in the columns of annotations.

    BoolQ: question and passage; COPA: `text`, `response_a`, `response_b`, labels `a`, `b`; SST-2: sentence;
    RTE: premise and hypothesis, labels from `not_entailment` to `entailment`.

    Args:
        name: `boolq`, `copa`, `sst2` or `rte`.
        table: as `load_task` returns it.
    """
    columns: dict[str, pd.Series] = {"item_id": table["item_id"], "split": table["split"]}
    labels = TASKS[name].labels
    if name == "boolq":
        columns |= {"text": table["question"], "text_pair": table["passage"]}
    elif name == "copa":
        text = table["premise"] + " " + table["question"].map(_QUESTIONS)
        columns |= {"text": text, "response_a": table["choice1"], "response_b": table["choice2"]}
    elif name == "sst2":
        columns |= {"text": table["sentence"]}
    else:
        columns |= {"text": table["premise"], "text_pair": table["hypothesis"]}
        labels = ("not_entailment", "entailment")
    codes = pd.Index(labels).get_indexer(pd.Index(table["label"]))
    return CleanItems(pd.DataFrame(columns), codes, labels, "preference" if name == "copa" else "nominal")


@dataclass(frozen=True)
class LeaningPool:
    """Biased annotators take the alternative that an item leans to with probability strength · bias.

    Attributes:
        leaning: label code that each item leans to, int [I]; −1: neither.
        strength: the dial in [0, 1].
        bias: probability at full strength that a biased annotator follows the leaning.
        group_share: share of annotators in the biased group.
    """

    leaning: np.ndarray
    strength: float = 1.0
    bias: float = 0.7
    group_share: float = 0.5

    name: ClassVar[str] = "copa-bs"

    @property
    def asked_noise(self) -> None:
        """None: the noise rate follows from how many items lean against their gold label."""
        return

    def label_model(self, items: CleanItems, asked: Assignment, rng: np.random.Generator) -> LabelModel:
        """Label probabilities, float [J, C], and each annotator's `annotator_group`."""
        members = np.arange(asked.n_annotators) < round(self.group_share * asked.n_annotators)
        biased = rng.permutation(members)  # [A]
        leaning = self.leaning[asked.item]  # [J]
        chance = (self.strength * self.bias * (biased[asked.annotator] & (leaning >= 0)))[:, None]  # [J, 1]
        clean, pull = (one_hot(codes, items.n_classes) for codes in (items.codes[asked.item], leaning))
        groups = np.where(biased, "people_causes", "neutral")
        return LabelModel((1 - chance) * clean + chance * pull, {"annotator_group": groups})


def copa_bs(table: pd.DataFrame, strength: float) -> tuple[CleanItems, AnnotatorPool]:
    """COPA-BS: half the annotators prefer causes that involve people.

    Concerned are questions for the cause where one alternative mentions people (pronouns, family, roles) more
    often than the other; most alternatives of COPA mention someone. See `LeaningPool` (bias = 0.7).
    """
    first, second = (
        table[c].map(lambda text: len(_PEOPLE.findall(text))).to_numpy() for c in ("choice1", "choice2")
    )
    concerned = (table["question"] == "cause").to_numpy(dtype=bool) & (first != second)
    leaning = np.where(concerned, np.where(first > second, 0, 1), -1)
    return clean_items("copa", table), LeaningPool(leaning, strength)


def sst2_p(table: pd.DataFrame, strength: float) -> tuple[CleanItems, AnnotatorPool]:
    """SST-2-P: reserved annotators move positives toward neutral, mild ones soften negatives.

    See `PolarityPool` (δ = 0.4). How intense a sentence is comes from its words: the out-of-fold log-odds of a
    naive Bayes model of the task's own labels, so faint sentences move first.
    """
    items = clean_items("sst2", table)
    scores = _word_polarity(items.texts(), items.codes)
    return CleanItems(items.table, items.codes, items.labels, "ordinal", scores), PolarityPool(strength)


def rte_e(table: pd.DataFrame, strength: float) -> tuple[CleanItems, AnnotatorPool]:
    """RTE-E: lenient and strict thresholds for what counts as entailed (the recipe is ours).

    See `ThresholdPool`. An item's evidence is the share of the hypothesis' words that stand in the premise: a
    lenient annotator also accepts hypotheses that are not entailed but overlap much, a strict one rejects
    entailed ones that overlap little.
    """
    items = clean_items("rte", table)
    scores = np.array([_overlap(p, h) for p, h in zip(table["premise"], table["hypothesis"], strict=True)])
    return CleanItems(items.table, items.codes, items.labels, "ordinal", scores), ThresholdPool(strength)


def _word_polarity(texts: list[str], codes: np.ndarray) -> np.ndarray:
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.model_selection import cross_val_predict
    from sklearn.naive_bayes import MultinomialNB

    folds = min(5, int(np.bincount(codes, minlength=2).min()))
    if folds < 2:  # too few items of one class to leave any out: no evidence, a random order is used
        return np.zeros(len(texts))
    counts = CountVectorizer(binary=True, token_pattern=r"\S+").fit_transform(texts)
    log_p = cross_val_predict(MultinomialNB(), counts, codes, cv=folds, method="predict_log_proba")
    return log_p[:, 1] - log_p[:, 0]


def _overlap(premise: str, hypothesis: str) -> float:
    words = set(re.findall(r"\w+", hypothesis.casefold()))
    return len(words & set(re.findall(r"\w+", premise.casefold()))) / max(1, len(words))
