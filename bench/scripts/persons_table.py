"""Write docs/persons.md from the committed rows results/persons_by_count.jsonl.

Run: python bench/scripts/persons_table.py
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from pages import write_page

from dcpc_bench.report.document import markdown_table

ROOT = Path(__file__).resolve().parents[2]
ROWS = ROOT / "results" / "persons_by_count.jsonl"
MARK = "<!-- Written by bench/scripts/persons_table.py from results/persons_by_count.jsonl. Do not edit by hand. -->"
NAMES = {
    "dcpc": "DCPC",
    "lora": "LoRA",
    "annotator-embeddings": "annotator embeddings",
    "annotator-heads": "a head per annotator",
    "linear-probe-annotators": "probe with annotators",
}
BINS = {
    "none": (0, 0),
    "1–5": (1, 5),
    "6–20": (6, 20),
    "21–50": (21, 50),
    "51–100": (51, 100),
    "more": (101, None),
}
"""Training judgements that an annotator gave, from and to."""
RESAMPLES = 10_000


def annotators(rows: pd.DataFrame, dataset: str, method: str, seeds: Sequence[int]) -> pd.DataFrame:
    """One row for each annotator and seed: `given`, `judged`, `wrong`, `nats`."""
    own = rows[(rows["dataset"] == dataset) & (rows["method"] == method) & rows["seed"].isin(seeds)]
    columns = ["given", "judged", "wrong", "nats"]
    return own.sort_values("seed")[columns].explode(columns).astype(float).reset_index(drop=True)


def within(table: pd.DataFrame, name: str) -> pd.DataFrame:
    """Annotators with as many training judgements as a bin says; all who have any for `known`."""
    low, high = (1, None) if name == "known" else BINS[name]
    return table[table["given"].between(low, np.inf if high is None else high)]


def share(table: pd.DataFrame, column: str) -> float:
    """A sum per judgement."""
    return table[column].sum() / table["judged"].sum()


def lead(dcpc: pd.DataFrame, other: pd.DataFrame) -> str:
    """DCPC's share of wrong judgements less another's, in points, and its 95 % interval over annotators."""
    drawn = np.random.default_rng(0).integers(len(dcpc), size=(RESAMPLES, len(dcpc)))
    difference, judged = (dcpc["wrong"] - other["wrong"]).to_numpy(), dcpc["judged"].to_numpy()
    low, high = np.quantile(difference[drawn].sum(axis=1) / judged[drawn].sum(axis=1), (0.025, 0.975))
    mean, low, high = (
        f"{100 * x:+.1f}".replace("-", "−") for x in (difference.sum() / judged.sum(), low, high)
    )
    return f"{mean} ({low} to {high})"


def section(rows: pd.DataFrame, dataset: str) -> str:
    """Two tables of a set: the errors, and DCPC's lead."""
    of_set = rows[rows["dataset"] == dataset]
    methods = [m for m in NAMES if m in set(of_set["method"])]
    seeds = sorted(set.intersection(*(set(of_set[of_set["method"] == m]["seed"]) for m in methods)))
    tables = {m: annotators(rows, dataset, m, seeds) for m in methods}
    errors, leads = [], []
    for name in (*BINS, "known"):
        own = {m: within(table, name) for m, table in tables.items()}
        if own["dcpc"].empty:
            continue
        size = [f"{len(own['dcpc']):,}", f"{own['dcpc']['judged'].sum():,.0f}"]
        shown = "**all who gave any**" if name == "known" else name
        errors.append([shown, *size, *(f"{100 * share(own[m], 'wrong'):.1f}" for m in methods)])
        leads.append([shown, *(lead(own["dcpc"], own[m]) for m in methods if m != "dcpc")])
    of_all = of_set.iloc[0]
    head = ["training judgements", "annotators", "judgements tested", *(NAMES[m] for m in methods)]
    rivals = [f"DCPC − {NAMES[m]}" for m in methods if m != "dcpc"]
    nats = ", ".join(f"{NAMES[m]} {share(within(tables[m], 'known'), 'nats'):.3f}" for m in methods)
    return "\n".join(
        [
            f"## {dataset}",
            "",
            f"{of_all['train_items']:,} training items, {of_all['test_items']:,} test items, seeds "
            f"{', '.join(map(str, seeds))}. Judgements wrong, %:",
            "",
            *markdown_table(head, errors, left=1),
            "",
            "Points of judgements wrong, below zero where DCPC errs less, 95 % interval over annotators:",
            "",
            *markdown_table(["training judgements", *rivals], leads, left=1),
            "",
            f"Cross-entropy of the judgements of all who gave any, nats: {nats}.",
        ]
    )


def page() -> str:
    """The page."""
    rows = pd.read_json(ROWS, lines=True)
    sections = "\n\n".join(section(rows, dataset) for dataset in rows["dataset"].unique())
    return f"""\
# Persons by their number of judgements

{MARK}

How well is an annotator predicted who gave few training judgements, and how well one who gave many? Two sets in which
annotators differ much in that, all labels of the training items, judgements of other items tested; what is predicted
is the label that is most probable for the annotator. LoRA knows no annotators and predicts the consensus for each: it
says how far one comes without. Settings are those that the searches of `real-small` chose on the same set, three
epochs, as in the [suite `sizes`](sizes.md).

{sections}

An annotator of two seeds counts twice, as two; the intervals say nothing of other trainings. Annotators who judged
much may also be others by their nature, so that a column from top to bottom is no learning curve; a row is a fair
comparison.

`python bench/benchmarks/persons_by_count.py --data-folder DATA` measures,
`python bench/scripts/persons_table.py` writes this page.
"""


if __name__ == "__main__":
    write_page(ROOT / "docs" / "persons.md", page, __doc__)
