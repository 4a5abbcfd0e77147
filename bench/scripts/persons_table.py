"""Write docs/persons.md and its picture from results/real-small, annotator_counts.jsonl and persons_by_count.jsonl.

Run: python bench/scripts/persons_table.py
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from claims import table
from matplotlib import rc_context
from matplotlib.figure import Figure
from pages import write_page

from dcpc.files import atomic_file
from dcpc_bench.report.comparisons import Difference
from dcpc_bench.report.document import markdown_table
from dcpc_bench.report.results import Column

ROOT = Path(__file__).resolve().parents[2]
COUNTS = ROOT / "results" / "annotator_counts.jsonl"
ROWS = ROOT / "results" / "persons_by_count.jsonl"
PICTURE = ROOT / "docs" / "images" / "persons.svg"
MARK = "<!-- Written by bench/scripts/persons_table.py. Do not edit by hand. -->"
NAMES = {
    "dcpc": "DCPC",
    "lora": "LoRA",
    "annotator-embeddings": "annotator embeddings",
    "annotator-heads": "a head per annotator",
    "linear-probe-annotators": "probe with annotators",
}
COLOURS = {
    "lora": ("#d55e00", "s"),
    "annotator-embeddings": ("#cc79a7", "D"),
    "annotator-heads": ("#009e73", "^"),
}
LABELS = {"budget=1": "one", "budget=all": "all"}
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


def given() -> dict[Column, tuple[float, float]]:
    """Training judgements by a test judgement's annotator: median, and share who gave none; means over seeds."""
    rows = pd.read_json(COUNTS, lines=True)
    rows["median"] = rows["given"].str[1]
    means = rows.groupby(["dataset", "condition"], as_index=False)[["median", "unknown"]].mean()
    ordered = means.sort_values("median", kind="stable")
    columns = [Column(*names) for names in zip(ordered["dataset"], ordered["condition"], strict=True)]
    return dict(zip(columns, zip(ordered["median"], ordered["unknown"], strict=True), strict=True))


def leads() -> dict[tuple[str, Column], Difference]:
    """DCPC's share of wrong judgements less a method's, on every column."""
    of_all = (d for family in LABELS for d in table("real-small", "judgement_error", family).by_set)
    return {(d.other, d.column): d for d in of_all if d.column is not None}


def points(difference: Difference) -> str:
    """In points, with the interval."""
    found = (difference.result.difference, difference.result.low, difference.result.high)
    mean, low, high = (f"{100 * x:+.1f}".replace("-", "−") for x in found)
    return f"{mean} ({low} to {high})"


def across_sets() -> list[str]:
    """A row per set and budget, those whose annotators gave least first."""
    found, body = leads(), []
    for column, (median, unknown) in given().items():
        of_family = table("real-small", "judgement_error", column.condition)
        error = of_family.means[of_family.methods.index("dcpc"), of_family.columns.index(column)]
        ahead = [points(found[m, column]) for m in (*COLOURS, "linear-probe-annotators")]
        shown = [f"{median:.0f}", column.dataset, LABELS[column.condition], f"{100 * unknown:.0f}"]
        body.append([*shown, f"{100 * error:.1f}", *ahead])
    head = ["judgements given", "set", "labels", "gave none, %", "DCPC wrong, %"]
    rivals = [f"DCPC − {NAMES[m]}" for m in (*COLOURS, "linear-probe-annotators")]
    return markdown_table([*head, *rivals], body, left=3)


def picture() -> Figure:
    """A panel per method: DCPC's share of wrong judgements less its own by the judgements given."""
    found, medians = leads(), given()
    figure = Figure(figsize=(9, 2.9), layout="constrained", facecolor="white")
    for axes, (method, (colour, marker)) in zip(
        figure.subplots(1, len(COLOURS), sharey=True), COLOURS.items(), strict=True
    ):
        axes.axhline(0, color="black", linewidth=0.8)
        for condition, filled in zip(LABELS, (False, True), strict=True):
            own = [(n, found[method, c].result) for c, (n, _) in medians.items() if c.condition == condition]
            x, y = [n for n, _ in own], [100 * r.difference for _, r in own]
            axes.vlines(
                x, [100 * r.low for _, r in own], [100 * r.high for _, r in own], colour, linewidth=0.8
            )
            face = colour if filled else "white"
            shown = f"{LABELS[condition]} label{'s' if filled else ''}"
            axes.plot(x, y, marker, color=colour, markerfacecolor=face, markersize=5, label=shown)
        axes.set_xscale("log")
        axes.set_xticks([1, 10, 100], ["1", "10", "100"])
        axes.set_title(f"DCPC − {NAMES[method]}", fontsize=9, loc="left")
        axes.set_xlabel("training judgements of an annotator, median", fontsize=8)
        axes.tick_params(labelsize=7)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False, fontsize=7, loc="lower right")
    figure.axes[0].set_ylabel("points of judgements wrong", fontsize=8)
    return figure


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
            f"### {dataset}",
            "",
            f"{of_all['train_items']:,} training items, {of_all['test_items']:,} test items, "
            f"{'one seed' if len(seeds) == 1 else f'{len(seeds)} seeds'}. Judgements wrong, %:",
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
    """The page; draws the picture."""
    with atomic_file(PICTURE) as path, rc_context({"svg.hashsalt": "dcpc"}):
        picture().savefig(path, format="svg", metadata={"Date": None, "Creator": None})
    rows = pd.read_json(ROWS, lines=True)
    compared = [
        name for name, of_set in rows.groupby("dataset", sort=False) if of_set["method"].nunique() > 1
    ]
    sections = "\n\n".join(section(rows, str(dataset)) for dataset in compared)
    return f"""\
# Persons by their number of judgements

{MARK}

How well is an annotator predicted who gave few training judgements, and how well one who gave many? What is predicted
of a judgement is the label that is most probable for its annotator. LoRA knows no annotators and predicts the
consensus for each: it says how far one comes without.

## From set to set

The suite `real-small`: eight sets, at most 500 training items, with one label per item and with all, three seeds,
settings searched alike. Judgements given: how many training judgements the annotator of a test judgement gave, the
median over test judgements. Differences in points of judgements wrong, below zero where DCPC errs less, with the 95 %
intervals of the [results](results.md), over seeds and test items; not corrected for their number. DCPC has its
readout in a second pass here, as on the page of [evidence](evidence.md).

![DCPC's share of wrong judgements less that of other methods, by the judgements of an annotator](images/persons.svg)

{chr(10).join(across_sets())}

The sets differ in much else: this is no learning curve of one person.

## Within a set

Annotators of one training, by how many of its judgements are theirs. All labels of the training items, judgements of
other items tested; settings that the searches of `real-small` chose on the same set, three epochs, as in the
[suite `sizes`](sizes.md).

{sections}

The intervals say nothing of other trainings. Annotators who judged much may also be others by their nature, so that a
column from top to bottom is no learning curve; a row is a fair comparison. The benchmark also has a head per
annotator, the probe with annotators, stanford_politeness and more seeds; what is not shown was not run.

What to make of it: against a head per annotator it matters how much each judged, since a head learns from its own
annotator alone. Against annotator embeddings, which share as DCPC does, the lead within a set is within chance at any
number. Against LoRA it is there for those who gave more than a few judgements; for those who gave none or a few none
is seen, the consensus does as well.

`python bench/benchmarks/persons_by_count.py --data-folder DATA` measures these,
`python bench/benchmarks/annotator_counts.py --data-folder DATA` counts for the table above,
`python bench/scripts/persons_table.py` writes this page.
"""


if __name__ == "__main__":
    write_page(ROOT / "docs" / "persons.md", page, __doc__)
