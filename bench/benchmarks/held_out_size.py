"""How many held-out items a decision rule needs, from the predictions in a benchmark's store; nothing is trained.

    python bench/benchmarks/held_out_size.py results/real-small

For DCPC and LoRA: rules fitted on 2, 5, 10, … of a cell's validation items, applied to its test items; macro-F1 and
accuracy in percent, means over sets and seeds (`dcpc.evaluation.decision.FEWEST_ITEMS`).
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from dcpc.evaluation.decision import decide, fit_offsets
from dcpc.evaluation.majority import majority_scores
from dcpc_bench.rig.store import Record, Store

SIZES = (2, 5, 10, 20, 50, 100)
DRAWS = 3
"""Subsets of each size and cell."""


def scores(cell: Record, split: Record, rng: np.random.Generator) -> Iterator[dict[str, object]]:
    """Macro-F1 and accuracy of a cell by the number of items that its rule was fitted on; none is the argmax."""
    counts, held_out = np.array(split["counts"]), np.array(split["validation_counts"])
    p, seen = (normal(cell[name]) for name in ("distribution", "validation_distribution"))
    for size in (0, *SIZES):
        if size > len(seen):
            continue
        for _ in range(DRAWS if size else 1):
            offsets = np.zeros(p.shape[1])
            if size:
                chosen = rng.permutation(len(seen))[:size]
                items, labels = np.nonzero(held_out[chosen])
                times = held_out[chosen][items, labels]
                offsets = fit_offsets(seen[chosen][items.repeat(times)], labels.repeat(times))
            found = majority_scores(decide(p, offsets), counts)
            yield {
                "condition": cell["condition"],
                "held-out items": size,
                "macro-F1": 100 * found.macro_f1,
                "accuracy": 100 * found.accuracy,
            }


def normal(distribution: list[list[float]]) -> np.ndarray:
    """Rows that sum to 1 again, after they were rounded for the store."""
    p = np.array(distribution)
    return p / p.sum(axis=1, keepdims=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("store", type=Path)
    records = Store(parser.parse_args().store).records().values()
    splits = {(r["dataset"], r["condition"], r["seed"]): r for r in records if r["kind"] == "split"}
    cells = [
        r
        for r in records
        if r["kind"] == "cell" and r["status"] == "done" and r["method"] in ("dcpc", "lora")
    ]
    rng = np.random.default_rng(0)
    rows = [row for c in cells for row in scores(c, splits[c["dataset"], c["condition"], c["seed"]], rng)]
    table = pd.DataFrame(rows).groupby(["condition", "held-out items"]).mean().unstack("condition")
    print(table.round(1).to_string())


if __name__ == "__main__":
    main()
