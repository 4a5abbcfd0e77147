"""Time and peak memory of inspecting many judgements; every size in a fresh process.

    python benchmarks/inspect_scale.py [--sizes 300000x3000,1000000x10000,10000000x100000] [--output FILE]

Generated: four labels, five judgements per item by annotators drawn at random. Of a label 60 % are the item's, 20 %
the annotator's own leaning, 20 % chance. Annotators are of two camps that call the item's second label differently.
Measured is what `dcpc inspect --no-pairs` does after reading: every diagnostic, the page and report.json. The bound
that the project keeps for ten million judgements by 100,000 annotators is 5 minutes and 8 GiB on two cores.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from dcpc.data.annotations import Annotations
from dcpc.inspection import inspect_annotations, to_json
from dcpc.inspection.page import inspection_page

LABELS = ("a", "b", "c", "d")
PER_ITEM = 5


def generate(judgements: int, annotators: int) -> Annotations:
    random = np.random.default_rng(0)
    n_items = judgements // PER_ITEM
    items = np.repeat(np.arange(n_items), PER_ITEM)
    who = random.integers(0, annotators, len(items))
    truth = random.integers(0, len(LABELS), n_items)[items]
    truth = np.where((truth == 1) & (who % 2 == 1), 2, truth)  # the second camp
    leaning = random.integers(0, len(LABELS), annotators)[who]
    kind = random.random(len(items))
    codes = np.select([kind < 0.6, kind < 0.8], [truth, leaning], random.integers(0, len(LABELS), len(items)))
    ids = pd.Series(items).astype("str")
    table = pd.DataFrame(
        {
            "item_id": ids,
            "text": "Generated text number " + ids + ", long enough to be read.",
            "annotator_id": "w" + pd.Series(who).astype("str"),
            "label": pd.Series(np.array(LABELS, dtype=object)[codes], dtype="str"),
        }
    )
    return Annotations(table, LABELS, source="generated")


def measure(judgements: int, annotators: int) -> dict[str, object]:
    annotations = generate(judgements, annotators)
    wall, processor = time.perf_counter(), time.process_time()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    steps: dict[str, float] = {}
    last = ("", processor)

    def progress(step: str) -> None:
        nonlocal last
        now = time.process_time()
        if last[0]:
            steps[last[0]] = round(now - last[1], 1)
        last = (step, now)

    result = inspect_annotations(annotations, pairs=False, progress=progress)
    progress("Page and JSON")
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "report.html").write_text(inspection_page(result), encoding="utf-8")
        Path(folder, "report.json").write_text(json.dumps(to_json(result)), encoding="utf-8")
    progress("end")
    return {
        "judgements": annotations.n_judgements,
        "items": annotations.n_items,
        "annotators": annotators,
        "seconds": round(time.perf_counter() - wall, 1),
        "cpu_seconds": round(time.process_time() - processor, 1),
        "peak_gib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2),  # KiB on Linux
        "data_gib": round(before / 2**20, 2),
        "steps": steps,
        "clustered": result.groups.clustered,
        "groups": [len(members) for members in result.groups.members],
        "cpus": os.cpu_count(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", default="300000x3000,1000000x10000,10000000x100000")
    parser.add_argument("--output", type=Path, default=Path("results/inspect_scale.jsonl"))
    parser.add_argument("--one", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(measure(*map(int, arguments.one.split("x")))))
        return
    for size in arguments.sizes.split(","):
        done = subprocess.run(
            [sys.executable, __file__, "--one", size], check=True, stdout=subprocess.PIPE, text=True
        )
        row = done.stdout.splitlines()[-1]
        with arguments.output.open("a", encoding="utf-8") as file:
            file.write(row + "\n")
        print(row)


if __name__ == "__main__":
    main()
