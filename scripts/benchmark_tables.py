"""Write docs/results.md and the long forms from the committed stores under results/.

Run: python scripts/benchmark_tables.py

Every folder results/NAME that holds a `records.jsonl` becomes a section, with its reference taken from the suite.
"""

from __future__ import annotations

import sys
from pathlib import Path

from dcpc.benchmark.report.content import make_content
from dcpc.benchmark.report.longform import write_long_form
from dcpc.benchmark.report.markdown import to_markdown
from dcpc.benchmark.report.records import read_results
from dcpc.files import atomic_file

ROOT = Path(__file__).resolve().parents[1]
TARGET = ROOT / "docs" / "results.md"
HEAD = """\
# Results

<!-- Written by scripts/benchmark_tables.py from the stores under results/. Do not edit by hand. -->

Tables of the benchmark suites. [Metrics and statistics](metrics.md) says what each number means. A store holds every
cell with its settings, cost, and predictions per test item; beside it is the long form (`results.parquet`: suite,
dataset, condition, method, seed, metric, value; `cells.parquet`: parameters, steps, seconds, memory, device,
setting, commit). `python -m dcpc.benchmark.report results/NAME` makes the page with figures and all metrics
(`report.html`). `dcpc benchmark NAME --output results/NAME` makes the store.
Two are parts of `shift-small` with more seeds:

- `shift-small-control`: `--conditions clean --methods dcpc,bottleneck-adapter,lora,p-tuning-v2,ncr --seeds 10`
- `shift-small-seeds`: `--methods dcpc,bottleneck-adapter,lora,p-tuning-v2,linear-probe-annotators --seeds 10`, and
  `--conditions` those of the pools `sst-2-p`, `thresholds` and `confusion`; the items of seed 8 do not reach 40 % of
  `sst-2-p`
"""
NONE_YET = "\nNo results are committed yet.\n"


def page(results: Path) -> str:
    """The text of docs/results.md for the stores in a folder; their long forms are written beside them."""
    sections = []
    for store in sorted(path.parent for path in results.glob("*/records.jsonl")):
        read = read_results(store)
        write_long_form(read, store)
        content = make_content(read, read.plan["suite"]["reference"])
        sections.append("\n" + to_markdown(content, title=store.name, level=2, brief=True))
    return HEAD + ("".join(sections) or NONE_YET)


def main(arguments: list[str]) -> None:
    """Write the page; with one argument, from the stores in that folder instead."""
    text = page(Path(arguments[0]) if arguments else ROOT / "results")
    with atomic_file(TARGET) as path:
        path.write_text(text, encoding="utf-8")
    print(TARGET)


if __name__ == "__main__":
    main(sys.argv[1:])
