"""Write docs/results.md, a page per store and the long forms from the committed stores under results/.

Run: python bench/scripts/benchmark_tables.py

Every folder results/NAME that holds a `plan.json` becomes a page, with its reference taken from the suite.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from dcpc.files import atomic_file
from dcpc_bench.report.content import make_content
from dcpc_bench.report.document import markdown_table, to_markdown
from dcpc_bench.report.long_form import write_long_form
from dcpc_bench.report.records import read_results
from dcpc_bench.report.wording import headline_count, report

ROOT = Path(__file__).resolve().parents[2]
MARK = "<!-- Written by bench/scripts/benchmark_tables.py from the stores under results/. Do not edit by hand. -->"
HEAD = f"""\
# Results

{MARK}

A page of tables per store of the benchmark suites, listed below. [Metrics and statistics](metrics.md) says what each
number means. A store holds every cell with its settings, cost, and predictions per test item; beside it is the long
form (`results.parquet`: suite, dataset, condition, method, seed, metric, value; `cells.parquet`: parameters, steps,
seconds, memory, device, setting, commit). `dcpc-bench report results/NAME` makes the page with figures and all
metrics (`report.html`). `dcpc-bench run NAME --output results/NAME` makes the store.
Three are parts of a suite with more seeds, of `real-small` and twice of `shift-small`:

- `real-small-seeds`: `--conditions budget=1 --methods
  dcpc,bottleneck-adapter,lora,p-tuning-v2,linear-probe,linear-probe-annotators --seeds 6`
- `shift-small-control`: `--conditions clean --methods dcpc,bottleneck-adapter,lora,p-tuning-v2,ncr --seeds 10`
- `shift-small-seeds`: `--methods dcpc,bottleneck-adapter,lora,p-tuning-v2,linear-probe-annotators --seeds 10`, and
  `--conditions` those of the pools `sst-2-p`, `thresholds` and `confusion`; the items of seed 8 do not reach 40 % of
  `sst-2-p`
"""


def pages(results: Path) -> dict[str, str]:
    """The text of every page by its path below docs/; the long forms of the stores are written beside them."""
    stores = sorted(path.parent for path in results.glob("*/plan.json"))
    if not stores:
        raise SystemExit(f"{results} holds no store: a folder NAME with a plan.json")
    found, rows = {}, []
    for store in stores:
        read = read_results(store)
        write_long_form(read, store)
        content = make_content(read, read.plan["suite"]["reference"])
        text = to_markdown(store.name, report(content, store), brief=True)
        found[f"results/{store.name}.md"] = text.replace("\n\n", f"\n\n{MARK}\n\n", 1)
        about = read.plan["suite"].get("description") or "–"
        cells = f"{len(read.cells):,} of {read.n_planned:,}"
        result = headline_count(content) if content.headlines else "forms of the reference alone"
        rows.append([f"[{store.name}](results/{store.name}.md)", about, cells, result])
    index = markdown_table(["store", "what", "cells", "result"], rows, left=4)
    return {"results.md": HEAD + "\n" + "\n".join(index) + "\n", **found}


def main() -> None:
    """Write all pages, each whole or not at all."""
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    for name, text in pages(ROOT / "results").items():
        target = ROOT / "docs" / name
        target.parent.mkdir(exist_ok=True)
        with atomic_file(target) as path:
            path.write_text(text, encoding="utf-8")
        print(target)


if __name__ == "__main__":
    main()
