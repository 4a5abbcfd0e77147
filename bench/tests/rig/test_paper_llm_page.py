"""The page of the paper's experiment says what the committed store holds."""

from __future__ import annotations

import paper_llm_table


def test_the_page_is_what_the_script_writes() -> None:
    assert paper_llm_table.TARGET.read_text(encoding="utf-8") == paper_llm_table.page()


def test_a_column_that_was_not_run_says_so(monkeypatch) -> None:
    kept = {key: cells for key, cells in paper_llm_table.cells().items() if key[0] == "sst2"}
    monkeypatch.setattr(paper_llm_table, "cells", lambda *_: kept)
    row = next(line for line in paper_llm_table.page().splitlines() if line.startswith("| LoRA"))
    assert "| 86.9 | not run | not run |" in row


def test_parts_are_shown_once_they_were_run(monkeypatch) -> None:
    kept = {key: cells for key, cells in paper_llm_table.cells().items() if key[2] in paper_llm_table.METHODS}
    of_whole = kept["sst2", "pool=sst-2-p@0.2", "dcpc-paper"]
    short = {**kept, ("sst2", "pool=sst-2-p@0.2", "dcpc-paper-no-pcm"): of_whole}
    monkeypatch.setattr(
        paper_llm_table,
        "cells",
        lambda store=paper_llm_table.STORE: short if store != paper_llm_table.LONGER else {},
    )
    lines = paper_llm_table.page().splitlines()
    row = next(line for line in lines if line.startswith("| without the correction module"))
    mean = sum(cell["metrics"]["accuracy"] for cell in of_whole) / len(of_whole)
    assert f"{100 * mean:.1f}" in row
    assert next(line for line in lines if line.startswith("| without alignment")).count("not run") == 2


def test_methods_are_compared_on_the_seeds_that_all_of_them_have() -> None:
    found = {("d", "c", "lora"): [{"seed": 0}, {"seed": 1}], ("d", "c", "dcpc"): [{"seed": 1}]}
    assert paper_llm_table.compared(found, "d", "c", ["lora", "dcpc", "ia3"]) == {
        "lora": [{"seed": 1}],
        "dcpc": [{"seed": 1}],
    }
