"""Generate the six shifted tasks and the six pools, and write down what came out.

    python bench/benchmarks/shift_counts.py --data DATA --output results/shift_counts.json

DATA holds a folder per task (boolq, copa, record, sst2, rte, alpaca) with its published fields. Every set is
made from all splits at strength 1, seed 0, 12 annotators, one label per item; the pools judge SST-2 with three
labels per item at half and full strength.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from dcpc.files import atomic_file
from dcpc_bench.shifts import POOLS, ShiftReport, simulate
from dcpc_bench.source_tasks import SHIFTED_TASKS, clean_items, load_task, shift_task


def row(report: ShiftReport) -> dict[str, Any]:
    values = report.as_dict()
    rates = values.pop("annotator_noise").values()
    values["annotator_noise_range"] = [min(rates), max(rates)] if rates else None
    return {key: round(v, 4) if isinstance(v, float) else v for key, v in values.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--output", type=Path, default=Path("results/shift_counts.json"))
    arguments = parser.parse_args()
    tasks = []
    for name, task in SHIFTED_TASKS.items():
        shifted = shift_task(name, load_task(task, arguments.data / task))
        registers = shifted.table["register"].value_counts().to_dict() if "register" in shifted.table else {}
        splits = shifted.table["split"].value_counts().sort_index().to_dict()
        tasks.append(row(shifted.report) | {"splits": splits, "registers": registers})
    items = clean_items("sst2", load_task("sst2", arguments.data / "sst2"))
    pools = [row(simulate(items, POOLS[name](strength=s))[1]) for name in POOLS for s in (0.5, 1.0)]
    with atomic_file(arguments.output) as temporary:
        temporary.write_text(json.dumps({"tasks": tasks, "pools_on_sst2": pools}, indent=1) + "\n")
    for line in (*tasks, *pools):
        print(line)


if __name__ == "__main__":
    main()
