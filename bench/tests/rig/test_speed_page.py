"""The page on speed and memory has the figures of the committed rows."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]


def test_the_page_is_what_the_script_writes() -> None:
    """`python bench/scripts/speed_tables.py` writes it anew."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "bench" / "scripts"))
        script = runpy.run_path(str(ROOT / "bench" / "scripts" / "speed_tables.py"))
    assert script["page"]() == (ROOT / "docs" / "speed.md").read_text(encoding="utf-8")
