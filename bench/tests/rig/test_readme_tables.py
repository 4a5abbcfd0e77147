"""The tables of the README and of docs/results.md say what the stores say."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from synthetic_store import write_store

from dcpc_bench.report.content import make_content
from dcpc_bench.report.metrics import TESTED
from dcpc_bench.report.records import read_results

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def script() -> dict[str, Any]:
    return runpy.run_path(str(ROOT / "bench" / "scripts" / "readme_tables.py"))


def test_means_are_over_the_seeds_that_all_methods_share(tmp_path: Path, script: dict[str, Any]) -> None:
    write_store(
        tmp_path,
        datasets=("a", "b"),
        methods=("dcpc", "lora", "elr"),
        keep=lambda dataset, condition, method, seed: method == "dcpc" or (method == "lora" and seed == 0),
    )
    content = make_content(read_results(tmp_path), "dcpc", replicates=20)
    metric, family = TESTED[0], content.families[0]
    means = script["shared_means"](content.results, family, metric, ("dcpc", "lora", "elr"))
    first = [c.metrics[metric.name] for c in content.results.cells if (c.method, c.seed) == ("dcpc", 0)]
    assert means[0] == pytest.approx(np.mean(first))
    assert np.isnan(means[2])
    assert script["row"]([0.5, 0.25, np.nan], metric) == ["**50.0**", "25.0", "–"]


def test_only_what_stands_between_the_markers_is_written(script: dict[str, Any]) -> None:
    text = "before\n<!-- one: by a script -->\nold\n<!-- end of one -->\nafter\n"
    new = script["replaced"](text, "one", ["a", "b"])
    assert new == text.replace("old", "a\nb")
    with pytest.raises(SystemExit, match="0 places for two"):
        script["replaced"](text, "two", [])


@pytest.mark.parametrize("suite", ["real-small", "shift-small"])
def test_the_evidence_speaks_of_the_committed_stores(suite: str) -> None:
    """As many cells as the store has; `python bench/scripts/readme_tables.py` writes them anew."""
    text = (ROOT / "docs" / "evidence.md").read_text(encoding="utf-8")
    _, _, block = text.partition(f"<!-- {suite}: ")
    n_cells = len(read_results(ROOT / "results" / suite).cells)
    assert f"{n_cells:,} of " in block.partition("<!-- end of ")[0]


def test_the_figures_of_the_readme_are_those_of_the_evidence() -> None:
    """Both are written by `python bench/scripts/readme_tables.py`."""
    pages = [(ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "docs/evidence.md")]
    short, whole = (page.partition("<!-- real-small: ")[2].partition("<!-- end of ")[0] for page in pages)
    leads = [
        line.rstrip("| ").rpartition("| ")[2]
        for line in short.splitlines()
        if "interval" not in line and "(" in line
    ]
    assert len(leads) == 5
    assert [lead for lead in leads if lead not in whole] == []


def test_the_results_page_has_every_committed_store() -> None:
    """With as many cells as it has; `python bench/scripts/benchmark_tables.py` writes the page anew."""
    index = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
    stores = [path.parent for path in (ROOT / "results").glob("*/plan.json")]
    assert len(stores) == index.count("](results/") > 0
    for store in stores:
        page = (ROOT / "docs" / "results" / f"{store.name}.md").read_text(encoding="utf-8")
        assert page.startswith(f"# {store.name}\n")
        assert f"\n{len(read_results(store).cells):,} of " in page
