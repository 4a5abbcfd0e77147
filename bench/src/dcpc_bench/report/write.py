"""Write everything that is made from a store."""

from __future__ import annotations

from pathlib import Path

from dcpc.files import atomic_file
from dcpc_bench.report.content import Content, make_content
from dcpc_bench.report.longform import write_long_form
from dcpc_bench.report.markdown import to_markdown
from dcpc_bench.report.page import report_page
from dcpc_bench.report.records import read_results
from dcpc_bench.rig.store import writing
from dcpc_bench.statistics.significance import REPLICATES


def write_report(folder: Path, *, reference: str, replicates: int = REPLICATES) -> Content:
    """Write `results.parquet`, `cells.parquet`, `results.md` and `report.html` from a store; returns what they say.

    Each file appears whole or not at all; the store is only read.

    Args:
        folder: with `plan.json` and `records.jsonl`, as far as the run has got.
        reference: the method that the others are compared with; the report says so if it has no cells.
        replicates: bootstrap samples of the items.

    Raises:
        UsageError: no store there, one of another version, or the folder cannot be written to.
        DataError: a record that cannot be used.
        TrainingError: the disk is full.
    """
    results = read_results(folder)
    content = make_content(results, reference, replicates=replicates)
    with writing(folder):
        write_long_form(results, folder)
        for name, text in (
            ("results.md", to_markdown(content)),
            ("report.html", report_page(content, folder)),
        ):
            with atomic_file(folder / name) as path:
                path.write_text(text, encoding="utf-8")
    return content
