"""Write everything that is made from a store."""

from __future__ import annotations

from pathlib import Path

from dcpc.files import atomic_file
from dcpc_bench.report.content import Content, make_content
from dcpc_bench.report.document import to_markdown, to_page
from dcpc_bench.report.long_form import write_long_form
from dcpc_bench.report.records import read_results
from dcpc_bench.report.wording import report
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
    blocks = report(content, folder)
    texts = {
        "results.md": to_markdown(results.suite, blocks),
        "report.html": to_page(f"Benchmark {results.suite}", _lead(content), _key_figures(content), blocks),
    }
    with writing(folder):
        write_long_form(results, folder)
        for name, text in texts.items():
            with atomic_file(folder / name) as path:
                path.write_text(text, encoding="utf-8")
    return content


def _lead(content: Content) -> str:
    n = len({c.dataset for c in content.results.columns})
    return (
        f"{len(content.results.methods)} methods on {n} data {'set' if n == 1 else 'sets'}; {content.reference} "
        "against each of the others."
    )


def _key_figures(content: Content) -> list[tuple[str, str]]:
    results = content.results
    n_seeds = max((len(results.of(c.column, c.method)) for c in results.cells), default=0)
    return [
        (f"{len(results.cells):,} of {results.n_planned:,}", "cells are there"),
        (str(len(results.methods)), "methods"),
        (str(n_seeds), "seed" if n_seeds == 1 else "seeds, at most"),
        (str(len(results.failures)), "cells failed"),
    ]
