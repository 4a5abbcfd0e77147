"""What finding the nearest neighbours costs as the number of items grows, and the recall it reaches.

    python benchmarks/mining_cost.py --sizes 10000 100000 1000000 --output results/mining_cost.jsonl

Synthetic embeddings of 384 dimensions: one topic per 200 items, items spread around their topic within 32
directions, as sentence embeddings are, and a tenth of the items near-duplicates of others. Only the search
over ready embeddings is timed (index, calibration, search). Every size is appended to the output as soon as
it is measured; sizes that are there already are skipped.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import time
from pathlib import Path

import numpy as np

from dcpc.data.pairs.index import exact_neighbours, nearest_neighbours, recall_at_k

WIDTH, INNER, K, CHECKED = 384, 32, 10, 500


def synthetic_embeddings(n_items: int, seed: int = 0) -> np.ndarray:
    """Unit-length vectors, float32 [I, 384]."""
    rng = np.random.default_rng(seed)
    topics = rng.standard_normal((max(1, n_items // 200), INNER), dtype=np.float32)
    inner = topics[rng.integers(len(topics), size=n_items)]
    inner += 0.6 * rng.standard_normal(inner.shape, dtype=np.float32)
    copies = rng.choice(n_items, n_items // 10, replace=False)
    inner[copies] = inner[rng.integers(n_items, size=len(copies))]
    vectors = inner @ rng.standard_normal((INNER, WIDTH), dtype=np.float32)
    vectors += 0.5 * rng.standard_normal(vectors.shape, dtype=np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors


def measure(n_items: int) -> dict[str, float | int]:
    vectors = synthetic_embeddings(n_items)
    cpu, wall = time.process_time(), time.perf_counter()
    found = nearest_neighbours(vectors, K, progress=True)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    rows = np.random.default_rng(1).choice(n_items, CHECKED, replace=False)
    recall = recall_at_k(found.index[rows], exact_neighbours(vectors, rows, K)[1])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return {
        "items": n_items,
        "wall_s": round(wall, 2),
        "cpu_s": round(cpu, 2),
        "recall_at_10": round(recall, 4),
        "probes": found.probes,
        "candidates": found.candidates,
        "peak_gib": round(peak, 2),
        "threads": int(os.environ.get("OMP_NUM_THREADS", os.cpu_count() or 1)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--output", type=Path, default=Path("results/mining_cost.jsonl"))
    arguments = parser.parse_args()
    lines = arguments.output.read_text().splitlines() if arguments.output.exists() else []
    rows = [json.loads(line) for line in lines]
    for size in sorted(set(arguments.sizes) - {row["items"] for row in rows}):
        rows.append(measure(size))
        arguments.output.parent.mkdir(parents=True, exist_ok=True)
        with arguments.output.open("a") as file:
            file.write(json.dumps(rows[-1]) + "\n")
        print(rows[-1])
    if len(rows) > 1:
        items, seconds = (np.log([row[key] for row in rows]) for key in ("items", "cpu_s"))
        print(f"exponent of CPU time: {np.polyfit(items, seconds, 1)[0]:.2f}")


if __name__ == "__main__":
    main()
