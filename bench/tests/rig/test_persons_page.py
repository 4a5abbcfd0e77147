"""The page on persons by their number of judgements has the figures of the committed results."""

from __future__ import annotations

import runpy
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dcpc import read_annotations

BENCH = Path(__file__).resolve().parents[2]


def ran(path: Path) -> dict:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(path.parent))
        return runpy.run_path(str(path))


@pytest.fixture(scope="module")
def script() -> dict:
    return ran(BENCH / "scripts" / "persons_table.py")


def test_the_page_is_what_the_script_writes(script, tmp_path, monkeypatch) -> None:
    """`python bench/scripts/persons_table.py` writes it anew."""
    monkeypatch.setitem(script["page"].__globals__, "PICTURE", tmp_path / "persons.svg")
    assert script["page"]() == (BENCH.parent / "docs" / "persons.md").read_text(encoding="utf-8")
    assert (tmp_path / "persons.svg").stat().st_size > 1000


def test_every_annotator_is_in_one_bin(script) -> None:
    table = pd.DataFrame({"given": [0, 1, 5, 6, 20, 21, 50, 51, 100, 101, 900]})
    sizes = [len(script["within"](table, name)) for name in script["BINS"]]
    assert sizes == [1, 2, 2, 2, 2, 2]
    assert len(script["within"](table, "known")) == 10


def test_a_lead_is_weighed_by_judgements(script) -> None:
    own = pd.DataFrame({"judged": [10.0, 30.0], "wrong": [2.0, 6.0]})
    other = pd.DataFrame({"judged": [10.0, 30.0], "wrong": [4.0, 6.0]})
    assert script["lead"](own, other).startswith("−5.0 (")  # 2 of 40


def test_errors_are_counted_for_who_judged(tmp_path) -> None:
    """Each annotator's judgements by how many of the training judgements are theirs."""
    benchmark = ran(BENCH / "benchmarks" / "persons_by_count.py")

    def judgements(name: str, rows: list[tuple[str, str, str]]):
        table = pd.DataFrame(rows, columns=["item_id", "annotator_id", "label"])
        table.assign(text="text " + table["item_id"]).to_csv(tmp_path / name, index=False)
        return read_annotations(tmp_path / name)

    train = judgements("train.csv", [("a", "x", "no"), ("b", "x", "yes"), ("b", "y", "no")])
    test = judgements("test.csv", [("c", "x", "yes"), ("c", "z", "no"), ("d", "x", "no")])

    class AlwaysYes:
        def judged_probabilities(self, items, codes, annotators):
            return np.tile([0.2, 0.8], (len(items), 1)), None  # no, yes

    found = benchmark["by_annotator"](AlwaysYes(), train, test)
    assert found["given"] == [2, 0]  # x, z
    assert found["judged"] == [2, 1]
    assert found["wrong"] == [1, 1]
    assert found["nats"] == pytest.approx([-np.log(0.8) - np.log(0.2), -np.log(0.2)], abs=1e-3)
