"""The report as one page."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from markupsafe import Markup

from dcpc.report import render_page
from dcpc_bench.report import rows
from dcpc_bench.report.content import Content
from dcpc_bench.report.costs import cost_plots, edge_plot
from dcpc_bench.report.curves import learning_plot, shift_plot
from dcpc_bench.report.families import Family
from dcpc_bench.report.figures import rank_plot, spread_plot
from dcpc_bench.report.markdown import HEADLINE_NOTE, METHOD_NOTE, edges, headline_count, ranking_note
from dcpc_bench.report.metrics import TESTED
from dcpc_bench.report.results import Cell, Column
from dcpc_bench.report.tables import MetricTable


def report_page(content: Content, folder: Path) -> str:
    """The HTML page, self-contained.

    Args:
        content: what the store amounts to.
        folder: of the store; its name stands in the commands that make the results and this page.
    """
    results = content.results
    reference = content.reference
    return render_page(
        "benchmark",
        package="dcpc_bench.report",
        suite=results.suite,
        reference=reference,
        results=results,
        n_seeds=max((len(results.of(c.column, c.method)) for c in results.cells), default=0),
        n_datasets=len({c.dataset for c in results.columns}),
        state=content.state,
        headline_header=rows.headline_header(reference),
        headline_rows=[rows.headline_row(line) for line in content.headlines],
        headline_count=headline_count(content),
        set_legend=rows.SET_LEGEND,
        headline_note=HEADLINE_NOTE.format(reference=reference),
        method_note=METHOD_NOTE.format(reference=reference),
        legend=rows.LEGEND,
        families=[_family(content, family) for family in content.families],
        learning=_learning(content),
        cost_header=rows.cost_header(),
        cost_rows=rows.cost_rows(results),
        costs=_costs(content),
        edge_plot=edge_plot(content),
        edges=edges(content),
        selections=[
            [
                *s.column,
                s.method,
                rows.setting_text(s.setting),
                str(s.trials),
                f"{s.loss:.4f}",
                ", ".join(s.on_edge),
            ]
            for s in results.selections
        ],
        failures=[
            [f.method, f.column.dataset, f.column.condition, str(f.seed), f.reason] for f in results.failures
        ],
        plan=list(flattened(results.plan)),
        commits=content.commits,
        folder=folder.name or str(folder),
        columns=[_column(content, column) for column in results.columns],
        cell_header=CELL_HEADER,
    )


def _family(content: Content, family: Family) -> dict[str, Any]:
    return {
        "title": family.title,
        "name": family.name,
        "tables": [_table(content, table) for table in content.of_family(family, tested=True)],
        "others": [
            (t.metric.title, rows.metric_header(t), rows.metric_rows(t), rows.complete_note(t))
            for t in content.of_family(family, tested=False)
        ],
        "sources": _sources(content, family.columns),
    }


def _table(content: Content, table: MetricTable) -> dict[str, Any]:
    shifts = [shift_plot(content, table.family, name, table.metric) for name in table.family.datasets]
    return {
        "anchor": table.anchor,
        "title": table.metric.title,
        "short": table.metric.short,
        "direction": "higher" if table.metric.higher_is_better else "lower",
        "header": rows.metric_header(table),
        "rows": rows.metric_rows(table),
        "note": f"{rows.complete_note(table)} {ranking_note(table)}".strip(),
        "ranks": rank_plot(table, content.reference),
        "difference_header": rows.difference_header(),
        "difference_rows": rows.difference_rows(table),
        "set_header": rows.set_header(table),
        "set_rows": rows.set_rows(table),
        "spread": spread_plot(content.scores, table, content.reference),
        "spread_header": rows.spread_header(content.reference),
        "spread_rows": rows.spread_rows(content, table),
        "shifts": [plot for plot in shifts if plot is not None],
        "sources": _sources(content, table.columns),
    }


def _sources(content: Content, columns: Iterable[Column]) -> list[tuple[str, str, int]]:
    """Anchor, name and number of cells of columns: what a figure or table was made from."""
    n = {column: sum(c.column == column for c in content.results.cells) for column in columns}
    return [(c.anchor, f"{c.dataset}, {c.condition}", n[c]) for c in columns]


def _learning(content: Content) -> list[tuple[Markup, list[tuple[str, str, int]]]]:
    plots = [(c, learning_plot(content, c, TESTED[0])) for c in content.results.columns]
    return [(plot, _sources(content, [column])) for column, plot in plots if plot is not None]


def _costs(content: Content) -> list[dict[str, Any]]:
    """Per family the plots of its first table, with the names behind the numbers."""
    found = []
    for family in content.families:
        tables = content.of_family(family, tested=True)
        plots = cost_plots(content, tables[0]) if tables else []
        if plots:
            names = ", ".join(f"{i}\u00a0{m}" for i, m in enumerate(tables[0].ranked, start=1))
            sources = _sources(content, tables[0].complete)
            found.append({"title": family.title, "plots": plots, "names": names, "sources": sources})
    return found


def _column(content: Content, column: Column) -> dict[str, Any]:
    cells = [cell for cell in content.results.cells if cell.column == column]
    return {
        "anchor": column.anchor,
        "title": f"{column.dataset}, {column.condition}",
        "cells": [(cell.anchor, _cell(cell)) for cell in cells],
    }


CELL_HEADER = [
    *("cell", "macro-F1", "accuracy", "JS divergence", "cross-entropy", "parameters", "steps", "seconds"),
    *("MiB", "setting", "commit"),
]


def _cell(cell: Cell) -> list[str]:
    names = ("macro_f1", "accuracy", "jensen_shannon", "cross_entropy")
    values = [cell.metrics.get(name, float("nan")) for name in names]
    costs = (cell.parameters, cell.steps, cell.seconds, cell.memory_mib)
    return [
        cell.key,
        *("–" if v != v else f"{v:.4f}" for v in values),
        *("–" if v != v else f"{v:,.0f}" for v in costs),
        rows.setting_text(cell.setting) + (f" (edge: {', '.join(cell.on_edge)})" if cell.on_edge else ""),
        cell.commit[:12],
    ]


def flattened(value: Any, name: str = "") -> Iterable[tuple[str, str]]:
    """A plan as names and values: `suite.training.epochs`, `5`; lists of plain values in one line."""
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from flattened(inner, f"{name}.{key}" if name else str(key))
    elif isinstance(value, list) and any(isinstance(v, dict) for v in value):
        for number, inner in enumerate(value):
            label = inner.get("name", number) if isinstance(inner, dict) else number
            yield from flattened(inner, f"{name}.{label}")
    elif value not in (None, {}, []):
        yield name, ", ".join(map(str, value)) if isinstance(value, list) else str(value)
