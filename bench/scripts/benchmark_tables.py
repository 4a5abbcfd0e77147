"""Write docs/results.md and the long forms from the committed stores under results/.

Run: python bench/scripts/benchmark_tables.py

Every folder results/NAME that holds a `records.jsonl` becomes a section, with its reference taken from the suite.
"""

from __future__ import annotations

from pathlib import Path

from pages import write_page

from dcpc_bench.report.content import make_content
from dcpc_bench.report.document import to_markdown
from dcpc_bench.report.long_form import write_long_form
from dcpc_bench.report.records import read_results
from dcpc_bench.report.wording import report

ROOT = Path(__file__).resolve().parents[2]
TARGET = ROOT / "docs" / "results.md"
HEAD = """\
# Results

<!-- Written by bench/scripts/benchmark_tables.py from the stores under results/. Do not edit by hand. -->

Tables of the benchmark suites. [Metrics and statistics](metrics.md) says what each number means. A store holds every
cell with its settings, cost, and predictions per test item; beside it is the long form (`results.parquet`: suite,
dataset, condition, method, seed, metric, value; `cells.parquet`: parameters, steps, seconds, memory, device,
setting, commit). `dcpc-bench report results/NAME` makes the page with figures and all metrics
(`report.html`). `dcpc-bench run NAME --output results/NAME` makes the store.
Three are parts of a suite with more seeds, of `real-small` and twice of `shift-small`:

- `real-small-seeds`: `--conditions budget=1 --methods
  dcpc,bottleneck-adapter,lora,p-tuning-v2,linear-probe,linear-probe-annotators --seeds 6`
- `shift-small-control`: `--conditions clean --methods dcpc,bottleneck-adapter,lora,p-tuning-v2,ncr --seeds 10`
- `shift-small-seeds`: `--methods dcpc,bottleneck-adapter,lora,p-tuning-v2,linear-probe-annotators --seeds 10`, and
  `--conditions` those of the pools `sst-2-p`, `thresholds` and `confusion`; the items of seed 8 do not reach 40 % of
  `sst-2-p`
"""


def page(results: Path) -> str:
    """The text of docs/results.md for the stores in a folder; their long forms are written beside them."""
    stores = sorted(path.parent for path in results.glob("*/records.jsonl"))
    if not stores:
        raise SystemExit(f"{results} holds no store: a folder NAME with a records.jsonl")
    sections = []
    for store in stores:
        read = read_results(store)
        write_long_form(read, store)
        content = make_content(read, read.plan["suite"]["reference"])
        sections.append("\n" + to_markdown(store.name, report(content, store), level=2, brief=True))
    return HEAD + "".join(sections)


if __name__ == "__main__":
    write_page(TARGET, lambda: page(ROOT / "results"), __doc__)
