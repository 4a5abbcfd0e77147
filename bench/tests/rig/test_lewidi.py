"""The metrics of LeWiDi-2025 are the task's own, and its page has the figures of the committed rows."""

from __future__ import annotations

import runpy
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dcpc import read_annotations

BENCH = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def benchmark() -> dict:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCH / "benchmarks"))
        return runpy.run_path(str(BENCH / "benchmarks" / "lewidi_2025.py"))


def annotations(rows: list[tuple[str, str, str]], tmp_path: Path, **options):
    path = tmp_path / "judgements.csv"
    table = pd.DataFrame(rows, columns=["item_id", "annotator_id", "label"])
    table.assign(text="text " + table["item_id"]).to_csv(path, index=False)
    return read_annotations(path, **options)


def test_an_ordinal_item_is_scored_in_steps_of_its_scale(benchmark, tmp_path) -> None:
    test = annotations([("a", "x", "1"), ("a", "y", "3"), ("b", "x", "2")], tmp_path, scale="ordinal")
    p = np.array([[0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])  # a: 2, b: 3
    found = benchmark["distances"](p, np.eye(3)[[0, 0, 1]], test)  # x says 1, y says 1, x says 2
    assert found["soft"] == pytest.approx([1.0, 1.0])
    assert found["perspectivist"] == pytest.approx([(0 + 2 / 3) / 2, 0.0], abs=1e-5)


def test_a_combined_label_says_yes_to_its_parts(benchmark, tmp_path) -> None:
    test = annotations([("a", "x", "e"), ("a", "y", "e,n"), ("b", "x", "c"), ("b", "y", "n")], tmp_path)
    assert test.labels == ("c", "e", "e,n", "n")
    p = np.tile([0.0, 1.0, 0.0, 0.0], (2, 1))  # e, always
    found = benchmark["distances"](p, p[[0, 0, 1, 1]], test)
    # a: n is said by half, so yes and no are each off by a half; b: c and n by a half each, e by one
    assert found["soft"] == pytest.approx([1 / 3, 4 / 3], abs=1e-5)
    assert found["perspectivist"] == pytest.approx([(0 + 1 / 3) / 2, (2 / 3 + 2 / 3) / 2], abs=1e-5)


@pytest.mark.parametrize(
    ("name", "baseline", "printed"),
    [("paraphrase_par", "most frequent", 0.362), ("varierr_nli", "no to all", 0.345)],
)
def test_the_baseline_is_the_one_that_the_task_printed(
    benchmark, shared_data, name, baseline, printed
) -> None:
    splits = benchmark["read"](shared_data, name)
    found = benchmark["baselines"](splits["train"], splits["test"])[baseline]
    assert found["perspectivist"] == pytest.approx(printed, abs=5e-4)


def test_the_page_is_what_the_script_writes() -> None:
    """`python bench/scripts/lewidi_table.py` writes it anew."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCH / "scripts"))
        script = runpy.run_path(str(BENCH / "scripts" / "lewidi_table.py"))
    assert script["page"]() == (BENCH.parent / "docs" / "lewidi.md").read_text(encoding="utf-8")
