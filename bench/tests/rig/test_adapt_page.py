"""The page on new annotators has the figures of the committed rows."""

from __future__ import annotations

import runpy
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def script() -> dict:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "bench" / "scripts"))
        return runpy.run_path(str(ROOT / "bench" / "scripts" / "adapt_table.py"))


def test_the_page_is_what_the_script_writes(script, tmp_path, monkeypatch) -> None:
    """`python bench/scripts/adapt_table.py` writes it anew."""
    monkeypatch.setitem(script["page"].__globals__, "PICTURE", tmp_path / "adapt.svg")
    assert script["page"]() == (ROOT / "docs" / "adapt.md").read_text(encoding="utf-8")
    assert (tmp_path / "adapt.svg").stat().st_size > 1000
    assert (ROOT / "docs" / "images" / "adapt.svg").is_file()


def test_a_change_is_weighed_by_judgements_and_its_interval_holds_it(script) -> None:
    population = np.array([[10, 4, 8.0], [30, 6, 20.0]])
    own = np.array([[10, 2, 7.0], [30, 6, 19.0]])
    mean, low, high = script["change"](own, population, 1)
    assert mean == pytest.approx(-2 / 40)
    assert low <= mean <= high <= 0
    assert script["change"](own, population, 2)[0] == pytest.approx(-2 / 40)
