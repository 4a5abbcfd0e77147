"""Time and peak memory of reading one million judgements, per format; each in a fresh process.

    python benchmarks/read_million.py [--judgements 1000000] [--formats csv,tsv,jsonl,parquet]

250,000 generated items of about 20 words, 4 judgements each by 2,000 annotators. The bound that the project keeps
is 30 s and 4 GiB on two cores.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from dcpc.data.annotations import Annotations
from dcpc.data.readers import read_annotations
from dcpc.data.writers import write_long

LABELS = ("1", "2", "3", "4", "5")


def generate(judgements: int) -> Annotations:
    random = np.random.default_rng(0)
    items = -(-judgements // 4)
    words = np.array([f"word{number}" for number in range(5_000)], dtype=object)
    texts = np.array([" ".join(row) for row in words[random.integers(0, 5_000, (items, 20))]], dtype=object)
    item = np.repeat(np.arange(items), 4)[:judgements]
    first = random.integers(0, 2_000, items)
    annotator = (first[item] + 7 * (np.arange(judgements) % 4)) % 2_000
    table = pd.DataFrame(
        {
            "item_id": item.astype(str),
            "text": texts[item],
            "annotator_id": np.char.add("w", annotator.astype(str)),
            "label": np.array(LABELS)[random.integers(0, 5, judgements)],
        }
    )
    return Annotations(table, LABELS, "ordinal")


def read(path: str) -> None:
    start = time.perf_counter()
    annotations = read_annotations(path)
    seconds, processor = time.perf_counter() - start, time.process_time()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20  # KiB on Linux → GiB
    size = Path(path).stat().st_size / 2**20
    print(
        f"| {Path(path).suffix[1:]} | {size:,.0f} | {annotations.n_judgements:,} | {annotations.n_items:,} "
        f"| {seconds:.1f} | {processor:.1f} | {peak:.2f} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--judgements", type=int, default=1_000_000)
    parser.add_argument("--formats", default="csv,tsv,jsonl,parquet")
    parser.add_argument("--read", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.read:
        read(arguments.read)
        return
    annotations = generate(arguments.judgements)
    print("| format | file, MiB | judgements | items | seconds | processor seconds | peak memory, GiB |")
    print("|---|---|---|---|---|---|---|", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        for name in arguments.formats.split(","):
            path = write_long(annotations, Path(folder) / f"million.{name}")
            subprocess.run([sys.executable, __file__, "--read", str(path)], check=True)
            path.unlink()


if __name__ == "__main__":
    main()
