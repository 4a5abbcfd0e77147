"""The page about architectures says what the tests test."""

from __future__ import annotations

import runpy
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_page_is_what_the_script_writes() -> None:
    script = runpy.run_path(str(ROOT / "scripts" / "architecture_table.py"))
    written = (ROOT / "docs" / "architectures.md").read_text(encoding="utf-8")
    assert written == script["page"](), "run: python scripts/architecture_table.py"
