"""Annotators of a benchmark who write in registers of their own: the training side of BoolQ-PS and ReCoRD-R."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from dcpc.data.annotations import Annotations
from dcpc.errors import UsageError
from dcpc_bench.source_tasks.paraphrase import RECORD_REGISTERS, paraphrase_query
from dcpc_bench.source_tasks.registers import BOOLQ_REGISTERS

COLUMN = "register"
"""Of the judgements: the register in which each is written."""


@dataclass(frozen=True)
class Writing:
    """What annotators write in their registers.

    Attributes:
        registers: the ways of writing; annotators are spread evenly over them.
        column: of the items' texts that is rewritten; None where the answer is, whose words the task knows.
        rewrite: (text, register, draw in [0, 1)) → the text in that register.
    """

    registers: tuple[str, ...]
    column: str | None = None
    rewrite: Callable[[str, str, float], str] | None = None


WRITINGS = {
    "boolq-ps": Writing(tuple(BOOLQ_REGISTERS)),
    "record-r": Writing(RECORD_REGISTERS, "text_pair", paraphrase_query),
}
"""By the name of the shifted task."""


def written(annotations: Annotations, name: str, seed: int) -> Annotations:
    """The judgements with the register of each, and their items' texts rewritten where the task says so.

    Args:
        annotations: judgements of annotators; an item has one where its text is rewritten.
        name: in `WRITINGS`.
        seed: the same seed gives the same table.

    Raises:
        UsageError: the items lack the text to be rewritten, or have several judgements and would get several texts.
    """
    writing, rng = WRITINGS[name], np.random.default_rng([seed, 2])
    preferred = rng.permutation(np.arange(len(annotations.annotators)) % len(writing.registers))  # [A]
    registers = np.array(writing.registers, dtype=object)[preferred][annotations.annotator_codes]  # [J]
    table = annotations.table.assign(**{COLUMN: registers})
    if writing.rewrite is None or writing.column is None:
        return replace(annotations, table=table)
    if writing.column not in table:
        raise UsageError(f"`{name}` rewrites `{writing.column}`, which these items do not have.")
    if table["item_id"].duplicated().any():
        raise UsageError(
            f"`{name}` rewrites an item for whoever judges it, and items have several judgements here.",
            fix="Set labels_per_item: 1.",
        )
    draws = rng.random(len(table))
    texts = [
        writing.rewrite(text, register, draw)
        for text, register, draw in zip(table[writing.column], registers, draws, strict=True)
    ]
    return replace(annotations, table=table.assign(**{writing.column: texts}))
