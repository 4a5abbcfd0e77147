"""The page of the paper's experiment says what the committed store holds."""

from __future__ import annotations

import paper_llm_table


def test_the_page_is_what_the_script_writes() -> None:
    assert paper_llm_table.TARGET.read_text(encoding="utf-8") == paper_llm_table.page()


def test_a_column_that_was_not_run_says_so(monkeypatch) -> None:
    kept = {key: cells for key, cells in paper_llm_table.cells().items() if key[0] == "sst2"}
    monkeypatch.setattr(paper_llm_table, "cells", lambda: kept)
    row = next(line for line in paper_llm_table.page().splitlines() if line.startswith("| LoRA"))
    assert row.endswith("| 86.9 | not run | not run |")
