"""What the README and the pages of evidence state in prose is what the committed results say."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def script() -> dict[str, Any]:
    return runpy.run_path(str(ROOT / "bench" / "scripts" / "claims.py"))


def test_every_figure_in_prose_is_computed_from_the_results(script: dict[str, Any]) -> None:
    """`python bench/scripts/claims.py` writes the page anew, or says what a page should say."""
    assert script["page"]() == (ROOT / "docs" / "claims.md").read_text(encoding="utf-8")


def test_another_figure_and_one_that_no_claim_has_are_found(
    script: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "page.md").write_text("It is 2.5 points\nbetter, and **9 %** faster. `at 0.5` is code.\n")
    monkeypatch.setitem(script["page"].__globals__, "ROOT", tmp_path)
    claim = script["Claim"]("page.md", "It is {} points better", lambda: ["2.5"], "", "")
    wrong = script["Claim"]("page.md", "It is {} points better", lambda: ["3.5"], "", "")
    assert script["missing"]([claim]) == []
    assert script["missing"]([claim, wrong]) == ["page.md should say: It is 3.5 points better"]
    assert len(list(script["uncovered"](["page.md"]))) == 2
