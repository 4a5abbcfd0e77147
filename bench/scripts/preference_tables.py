"""Write docs/preference-results.md from the committed store results/preferences.

Run: python bench/scripts/preference_tables.py
"""

from __future__ import annotations

from pathlib import Path

from pages import write_page

from dcpc_bench.preferences.page import page
from dcpc_bench.preferences.policies import CELLS as POLICIES
from dcpc_bench.preferences.suite import CELLS, read_cells
from dcpc_bench.preferences.trained import CELLS as TRAINED

ROOT = Path(__file__).resolve().parents[2]
STORE = ROOT / "results" / "preferences"

if __name__ == "__main__":
    write_page(
        ROOT / "docs" / "preference-results.md",
        lambda: page(*(read_cells(STORE / name) for name in (CELLS, TRAINED, POLICIES))),
        __doc__,
    )
