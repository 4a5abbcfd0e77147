"""The shifted tasks whose annotators disagree on labels: COPA-BS, SST-2-P and RTE-E."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from dcpc.errors import DataError
from dcpc_bench.shifts.items import CleanItems
from dcpc_bench.shifts.leaning import COLUMN, LeaningPool
from dcpc_bench.shifts.polarity import PolarityPool
from dcpc_bench.shifts.pool import AnnotatorPool
from dcpc_bench.shifts.thresholds import ThresholdPool
from dcpc_bench.source_tasks.loaders import TASKS

_PEOPLE = re.compile(
    r"\b(?:i|me|my|we|our|us|he|she|him|her|his|they|them|their|who|someone|everyone|man|men|woman|women|boy|boys|"
    r"girl|girls|child|children|baby|parents?|mother|father|friends?|wife|husband|people|person|family|students?|"
    r"teacher|doctor|nurse|lawyer|police|officers?|neighbors?|guests?|customers?|players?|drivers?|cooks?|patrons?|applicants?|interviewers?|users?|"
    r"captain|spy|jury|contestants?|audience|crowd)\b",
    re.IGNORECASE,
)
_CONNECTIVES = {"cause": " because", "effect": ", so"}
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


def copa_bs(table: pd.DataFrame, strength: float) -> tuple[CleanItems, AnnotatorPool]:
    """COPA-BS: half the annotators prefer causes that involve people.

    Concerned are questions for the cause where one alternative mentions people (pronouns, family, roles) more
    often than the other; most alternatives of COPA mention someone. See `LeaningPool` (bias = 0.7).
    """
    items = clean_items("copa", table)
    return replace(items, table=items.table.assign(**{COLUMN: leaning_of(table)})), LeaningPool(strength)


def leaning_of(table: pd.DataFrame) -> np.ndarray:
    """Which alternative each item of COPA leans to (0, 1), −1 for neither, int [I]; see `copa_bs`."""
    first, second = (
        table[c].map(lambda text: len(_PEOPLE.findall(text))).to_numpy() for c in ("choice1", "choice2")
    )
    concerned = (table["question"] == "cause").to_numpy(dtype=bool) & (first != second)
    return np.where(concerned, np.where(first > second, 0, 1), -1)


def copa_choices(table: pd.DataFrame) -> CleanItems:
    """COPA as candidates to choose from, each of which ends the sentence that its premise begins.

    "The man broke his toe because" goes on with "he dropped a hammer on his foot."; the labels are `choice1` and
    `choice2`. `leaning` is that of `copa_bs`.
    """
    premise = table["premise"].str.rstrip(". ") + table["question"].map(_CONNECTIVES)
    choices = [
        json.dumps([_small(one), _small(two)], ensure_ascii=False)
        for one, two in zip(table["choice1"], table["choice2"], strict=True)
    ]
    columns = {"item_id": table["item_id"], "split": table["split"], "text": premise, "choices": choices}
    codes = pd.Index(TASKS["copa"].labels).get_indexer(pd.Index(table["label"]))
    labels = ("choice1", "choice2")
    return CleanItems(pd.DataFrame(columns | {COLUMN: leaning_of(table)}), codes, labels, "nominal")


def record_choices(table: pd.DataFrame, most: int = 6) -> CleanItems:
    """ReCoRD as candidates for the `@placeholder` of a query: the answer and other entities of the passage.

    Args:
        table: `passage`, `query`, `entities`, `answers`; rows without entities are left out.
        most: candidates per item; other entities are taken in the order of the file.

    Raises:
        DataError: there is no column `entities`.
    """
    if "entities" not in table:
        raise DataError("ReCoRD's candidates are its entities, and there is no column `entities`.")
    kept, lists, codes = [], [], []
    for row, (entities, query, answers) in enumerate(
        zip(table["entities"], table["query"], table["answers"], strict=True)
    ):
        if entities is None or not len(answers) or "@placeholder" not in query:
            continue
        answer = str(answers[0])
        others = [str(each) for each in dict.fromkeys(entities) if not _same(str(each), answers)]
        if not others:
            continue
        found = sorted([answer, *others[: most - 1]])
        kept.append(row)
        lists.append(json.dumps(found, ensure_ascii=False))
        codes.append(found.index(answer))
    if not kept:
        raise DataError(
            "ReCoRD's candidates are its entities, and no row has a query, an answer and another entity."
        )
    chosen = table.iloc[kept].reset_index(drop=True)
    columns = {"item_id": chosen["item_id"], "split": chosen["split"], "text": chosen["passage"]}
    columns |= {"text_pair": chosen["query"], "choices": pd.Series(lists, dtype="str")}
    labels = tuple(f"choice{place + 1}" for place in range(most))
    return CleanItems(pd.DataFrame(columns), np.array(codes, dtype=np.int64), labels, "nominal")


def _same(name: str, answers: Sequence[str]) -> bool:
    return any(name in str(answer) or str(answer) in name for answer in answers)


def _small(sentence: str) -> str:
    """A sentence as the second half of another: its first letter small, but for I and names like `I'm`."""
    first = sentence.split(" ", 1)[0]
    return sentence if first == "I" or first.startswith("I'") else sentence[:1].lower() + sentence[1:]


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
