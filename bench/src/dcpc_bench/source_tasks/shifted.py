"""The six shifted tasks by name."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pandas as pd

from dcpc.data.annotations import Annotations
from dcpc.errors import DataError, UsageError
from dcpc_bench.shifts.pool import check_strength, simulate
from dcpc_bench.shifts.report import ShiftReport, report_labels
from dcpc_bench.source_tasks.labelled import copa_bs, rte_e, sst2_p
from dcpc_bench.source_tasks.rewriting import (
    ALPACA_IS,
    BOOLQ_PS,
    RECORD_R,
    Rewriter,
    alpaca_rows,
    boolq_rows,
    record_rows,
    rewrite_rows,
)

SHIFTED_TASKS = {
    "boolq-ps": "boolq",
    "copa-bs": "copa",
    "record-r": "record",
    "sst-2-p": "sst2",
    "rte-e": "rte",
    "alpaca-is": "alpaca",
}
"""Each shifted task and the task it is made from."""

_LABEL_SHIFTS = {"copa-bs": copa_bs, "sst-2-p": sst2_p, "rte-e": rte_e}
_REWRITINGS = {
    "boolq-ps": (BOOLQ_PS, boolq_rows),
    "record-r": (RECORD_R, record_rows),
    "alpaca-is": (ALPACA_IS, alpaca_rows),
}


@dataclass(frozen=True)
class ShiftedTask:
    """A shifted task.

    Attributes:
        table: one row per judgement, J rows, the columns of annotations and what the task adds.
        annotations: the same as annotations where the task has a label set; None for ReCoRD-R and Alpaca-IS.
        report: what was asked for and what came out.
    """

    table: pd.DataFrame
    annotations: Annotations | None
    report: ShiftReport


def shift_task(
    name: str,
    table: pd.DataFrame,
    *,
    strength: float = 1.0,
    seed: int = 0,
    n_annotators: int = 12,
    labels_per_item: int = 1,
    rewriter: Rewriter | None = None,
) -> ShiftedTask:
    """Make the shifted twin of a task.

    Args:
        name: a name in `SHIFTED_TASKS`. Label shifts: `copa_bs`, `sst2_p`, `rte_e`; rewritings keep the gold
            label and change how the answer or the query is written: `BOOLQ_PS`, `RECORD_R`, `ALPACA_IS`.
        table: the task's rows, as `load_task(SHIFTED_TASKS[name], …)` returns them.
        strength: the dial in [0, 1]; 0 changes nothing.
        seed: the same seed gives the same table.
        n_annotators: A, the size of the simulated pool.
        labels_per_item: b, judgements per item.
        rewriter: a local language model, prompt → answer, used by the rewritings instead of their rules.

    Raises:
        UsageError: for an unknown name, a strength outside [0, 1], or b outside 1 … A.
        DataError: if the table has no rows.
    """
    check_strength(strength)
    if not len(table):
        raise DataError("the task has no labelled rows to shift.")
    if name in _LABEL_SHIFTS:
        items, pool = _LABEL_SHIFTS[name](table, strength)
        annotations, report = simulate(
            items, pool, n_annotators=n_annotators, labels_per_item=labels_per_item, seed=seed
        )
        return ShiftedTask(annotations.table, annotations, replace(report, name=name))
    if name not in _REWRITINGS:
        raise UsageError(f'"{name}" is not a shifted task.', fix=f"Tasks: {', '.join(SHIFTED_TASKS)}.")
    task, rows_of = _REWRITINGS[name]
    shifted = rewrite_rows(
        rows_of(table),
        task,
        strength=strength,
        seed=seed,
        n_annotators=n_annotators,
        labels_per_item=labels_per_item,
        rewriter=rewriter,
    )
    changed = int((shifted["register"] != "").sum())
    if name != "boolq-ps":
        n_items = shifted["item_id"].nunique()
        report = ShiftReport(name, strength, seed, n_items, len(shifted), changed_texts=changed)
        return ShiftedTask(shifted, None, report)
    annotations = Annotations(shifted, ("no", "yes"), source=name)
    report = report_labels(
        annotations,
        annotations.label_codes,  # the register changes, the answer never does
        name=name,
        strength=strength,
        seed=seed,
        asked_noise=0.0,
        changed_texts=changed,
    )
    return ShiftedTask(shifted, annotations, report)
