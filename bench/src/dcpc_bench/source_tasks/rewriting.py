"""The shifted tasks whose annotators write differently: BoolQ-PS, ReCoRD-R and Alpaca-IS."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from dcpc_bench.shifts.assignment import assign_annotators
from dcpc_bench.source_tasks.paraphrase import RECORD_REGISTERS, keeps_query, paraphrase_query
from dcpc_bench.source_tasks.registers import (
    ALPACA_REGISTERS,
    BOOLQ_REGISTERS,
    keeps_reply,
    recover_yes_no,
    rewrite_reply,
    rewrite_yes_no,
)

Rewriter = Callable[[str], str]
"""A local language model: from a prompt to its answer."""


@dataclass(frozen=True)
class RewritingTask:
    """How one task is rewritten.

    Attributes:
        column: the output column that is rewritten.
        registers: the ways of writing; annotators are spread evenly over them.
        rewrite: (text, register, draw in [0, 1)) → the text in that register, by rule.
        keeps: whether a language model's rewriting (second) still means the text (first).
        prompt: what a language model is asked, with `{register}` and `{text}`.
    """

    column: str
    registers: tuple[str, ...]
    rewrite: Callable[[str, str, float], str]
    keeps: Callable[[str, str], bool]
    prompt: str


BOOLQ_PS = RewritingTask(
    "response",
    tuple(BOOLQ_REGISTERS),
    rewrite_yes_no,
    lambda gold, text: recover_yes_no(text) == gold,
    'Answer "{text}" to a yes/no question, in a {register} register, in one short sentence.',
)
RECORD_R = RewritingTask(
    "text",
    RECORD_REGISTERS,
    paraphrase_query,
    keeps_query,
    "Paraphrase this sentence ({register}). Keep @placeholder and all names:\n{text}",
)
ALPACA_IS = RewritingTask(
    "response",
    tuple(ALPACA_REGISTERS),
    rewrite_reply,
    keeps_reply,
    "Rewrite this reply in a {register} style, same meaning:\n{text}",
)


def boolq_rows(table: pd.DataFrame) -> pd.DataFrame:
    """BoolQ as items: `text` the question, `text_pair` the passage, `label` and plain `response` yes or no."""
    return pd.DataFrame(
        {
            "item_id": table["item_id"],
            "text": table["question"],
            "text_pair": table["passage"],
            "label": table["label"],
            "response": table["label"],
            "split": table["split"],
        }
    )


def record_rows(table: pd.DataFrame) -> pd.DataFrame:
    """ReCoRD as items: `text` the query, `text_pair` the passage, `label` the first answer, `answers` as JSON."""
    answers = [[str(a) for a in row] for row in table["answers"]]
    return pd.DataFrame(
        {
            "item_id": table["item_id"],
            "text": table["query"],
            "text_pair": table["passage"],
            "label": [row[0] if row else "" for row in answers],
            "answers": [json.dumps(row, ensure_ascii=False) for row in answers],
            "split": table["split"],
        }
    )


def alpaca_rows(table: pd.DataFrame) -> pd.DataFrame:
    """Alpaca as items: `text` the instruction, `text_pair` its input, `response` and `gold_response`."""
    return pd.DataFrame(
        {
            "item_id": table["item_id"],
            "text": table["instruction"],
            "text_pair": table["input"].fillna(""),
            "response": table["output"].fillna(""),
            "gold_response": table["output"].fillna(""),
            "split": table["split"],
        }
    )


def rewrite_rows(
    rows: pd.DataFrame,
    task: RewritingTask,
    *,
    strength: float,
    seed: int,
    n_annotators: int,
    labels_per_item: int,
    rewriter: Rewriter | None = None,
) -> pd.DataFrame:
    """Let annotators who prefer different registers write each item's text or answer.

    Annotator a prefers one register; each of its J = I·b texts is rewritten into it with probability
    `strength` and left as it is otherwise.

    Args:
        rows: I items.
        task: what is rewritten and how.
        strength: 0 = every text as it was.
        seed: the same seed gives the same table.
        n_annotators: A.
        labels_per_item: b.
        rewriter: a language model instead of the rules; where its answer loses the meaning, the rule is used.

    Returns:
        One row per judgement, the columns of `rows` with `annotator_id`, `register` (empty if not rewritten).
    """
    rng = np.random.default_rng(seed)
    asked = assign_annotators(len(rows), n_annotators, labels_per_item, rng)
    preferred = rng.permutation(np.arange(n_annotators) % len(task.registers))[asked.annotator]  # [J]
    rewritten = rng.random(len(asked.item)) < strength  # [J]
    draws = rng.random(len(asked.item))  # [J]
    table = rows.iloc[asked.item].reset_index(drop=True)
    registers = [task.registers[r] if on else "" for r, on in zip(preferred, rewritten, strict=True)]
    table[task.column] = [
        _in_register(str(text), register, draw, task, rewriter) if register else text
        for text, register, draw in zip(table[task.column], registers, draws, strict=True)
    ]
    width = len(str(n_annotators - 1))
    return table.assign(annotator_id=[f"a{a:0{width}d}" for a in asked.annotator], register=registers)


def _in_register(
    text: str, register: str, draw: float, task: RewritingTask, rewriter: Rewriter | None
) -> str:
    if rewriter is not None:
        free = rewriter(task.prompt.format(register=register, text=text)).strip()
        if task.keeps(text, free):
            return free
    return task.rewrite(text, register, draw)
